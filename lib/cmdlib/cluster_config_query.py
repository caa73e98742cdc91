# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_CONFIG_QUERY: some fields of the cluster, as bare values."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import ClusterConfigQuery
from gantry.query import query
from gantry.query.world import World


class ClusterConfigQueryUnit(LogicalUnit[ClusterConfigQuery, list[Any]], op=ClusterConfigQuery):
    """Result: a value for each field asked for, null for what has none."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> list[Any]:
        world = World(config=view.config, nodes=view.nodes)
        [row] = await query.classic(world, "cluster", None, self.op.output_fields)
        return row

    def plan(self, seen: list[Any]) -> Plan:
        return Plan(result=seen)
