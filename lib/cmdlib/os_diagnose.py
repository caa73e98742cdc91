# SPDX-License-Identifier: BSD-2-Clause
"""OP_OS_DIAGNOSE: which OS definitions there are, node by node."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import OsDiagnose
from gantry.query import query
from gantry.query.world import World

SHOWN = ("name", "valid", "hidden", "blacklisted")
"""Fields that decide whether an OS is shown."""
Rows = list[list[Any]]


class OsDiagnoseUnit(LogicalUnit[OsDiagnose, Rows], op=OsDiagnose):
    """Result: a row an OS, columns as asked.  Invalid, hidden and blacklisted ones are left out unless the
    field that shows it is asked for.
    """

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> Rows:
        fields = self.op.output_fields
        world = World(config=view.config, nodes=view.nodes)
        rows = await query.classic(world, "os", None, (*SHOWN, *fields))
        return [row[len(SHOWN):] for row in rows if self._shown(dict(zip(SHOWN, row, strict=False)))]

    def _shown(self, row: dict[str, Any]) -> bool:
        fields, names = self.op.output_fields, self.op.names
        if names and row["name"] not in names:
            return False
        return ((row["valid"] or "valid" in fields) and (not row["hidden"] or "hidden" in fields)
                and (not row["blacklisted"] or "blacklisted" in fields))

    def plan(self, seen: Rows) -> Plan:
        return Plan(result=seen)
