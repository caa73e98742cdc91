# SPDX-License-Identifier: BSD-2-Clause
"""OP_TEST_JQUEUE: say something in the job's log, and fail when told so."""

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import ExecError
from gantry.objects.plan import Plan, Say, Step
from gantry.opcodes.test import TestJqueue


class TestJqueueUnit(LogicalUnit[TestJqueue, None], op=TestJqueue):
    """With `notify_waitlock` and `notify_exec` the log says when each phase is reached.  Result: true."""

    __test__ = False

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"node": frozenset({view.config.cluster.master_node})})

    async def check(self, view: View) -> None:
        if self.op.notify_waitlock:
            view.say("the locks are held")
        if self.op.fail and not self.op.log_messages:
            raise ExecError(detail="Opcode failure was requested")

    def plan(self, seen: None) -> Plan:
        lines = [*(["the plan runs"] if self.op.notify_exec else []), *self.op.log_messages]
        return Plan(steps=(Step(title="", action=Say(lines=lines)),) if lines else (), result=True)
