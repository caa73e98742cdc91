# SPDX-License-Identifier: BSD-2-Clause
"""OP_BACKUP_PREPARE: what an export needs before it can begin.  One to a node of this cluster needs nothing."""

from gantry.cmdlib import exports
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput
from gantry.objects.plan import Plan
from gantry.opcodes.backup import BackupPrepare


class BackupPrepareUnit(LogicalUnit[BackupPrepare, None], op=BackupPrepare):
    """Result: null, for mode local; the other one is refused."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"instance": frozenset({view.config.instance(self.op.instance_name).name})})

    async def check(self, view: View) -> None:
        if self.op.mode != "local":
            raise WrongInput(detail=exports.NO_REMOTE)

    def plan(self, seen: None) -> Plan:
        return Plan()
