# SPDX-License-Identifier: BSD-2-Clause
"""OP_OS_DIAGNOSE: which OS definitions there are, node by node."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import OsDiagnose
from gantry.query import operating_systems
from gantry.query.world import World

Rows = list[list[Any]]


class OsDiagnoseUnit(LogicalUnit[OsDiagnose, Rows], op=OsDiagnose):
    """Result: a row an OS, columns as asked."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> Rows:
        world = World(config=view.config, nodes=view.nodes)
        return await operating_systems.listed(world, self.op.output_fields, self.op.names)

    def plan(self, seen: Rows) -> Plan:
        return Plan(result=seen)
