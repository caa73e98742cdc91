# SPDX-License-Identifier: BSD-2-Clause
"""OP_TEST_OS_PARAMS: whether secret parameters arrive, and nothing of them is stored or shown."""

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import ExecError
from gantry.objects.plan import Plan
from gantry.opcodes.test import TestOsParams


class TestOsParamsUnit(LogicalUnit[TestOsParams, None], op=TestOsParams):
    """The log names the parameters that came, never their values.  Result: null."""

    __test__ = False

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> None:
        if not self.op.osparams_secret:
            raise ExecError(detail="Opcode needs secret parameters: give --os-parameters-secret")
        view.say(f"secret parameters arrived: {', '.join(sorted(self.op.osparams_secret))}")

    def plan(self, seen: None) -> Plan:
        return Plan()
