# SPDX-License-Identifier: BSD-2-Clause
"""OP_EXT_STORAGE_DIAGNOSE: which providers of external storage there are, node by node."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import ExtStorageDiagnose
from gantry.query import query
from gantry.query.world import World

Rows = list[list[Any]]


class ExtStorageDiagnoseUnit(LogicalUnit[ExtStorageDiagnose, Rows], op=ExtStorageDiagnose):
    """Result: a row a provider, columns as asked."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> Rows:
        world = World(config=view.config, nodes=view.nodes)
        rows = await query.classic(world, "extstorage", None, ("name", *self.op.output_fields))
        return [row[1:] for row in rows if not self.op.names or row[0] in self.op.names]

    def plan(self, seen: Rows) -> Plan:
        return Plan(result=seen)
