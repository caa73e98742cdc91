# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_POST_INIT: run the hooks of a new cluster."""

from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.cluster import Cluster
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import ClusterPostInit


class ClusterPostInitUnit(LogicalUnit[ClusterPostInit, Cluster], op=ClusterPostInit):
    """Result: true."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive_cluster=True)

    async def check(self, view: View) -> Cluster:
        return view.config.cluster

    def plan(self, seen: Cluster) -> Plan:
        return Plan(result=True)

    def hooks(self, seen: Cluster) -> Hooks:
        return Hooks(path="cluster-init", object_type="CLUSTER", target=seen.name, post_nodes=(seen.master_node,))
