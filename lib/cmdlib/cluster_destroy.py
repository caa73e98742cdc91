# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_DESTROY: check that a cluster is empty; the client then ends it (`lib/bootstrap/destroy.py`)."""

from gantry.cmdlib import master_ip
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongState
from gantry.objects.cluster import Cluster
from gantry.objects.plan import Plan, Step
from gantry.opcodes.cluster import ClusterDestroy


class ClusterDestroyUnit(LogicalUnit[ClusterDestroy, Cluster], op=ClusterDestroy):
    """Result: UUID of the master node."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive_cluster=True)

    async def check(self, view: View) -> Cluster:
        cluster = view.config.cluster
        others = sorted(node.name for node in view.config.nodes.values() if node.uuid != cluster.master_node)
        if others:
            raise WrongState(detail=f"There are still {len(others)} node(s) in this cluster beside the master: "
                                    f"{', '.join(others)}; remove them with gnt-node remove")
        instances = sorted(instance.name for instance in view.config.instances.values())
        if instances:
            raise WrongState(detail=f"There are still {len(instances)} instance(s) in this cluster: "
                                    f"{', '.join(instances)}; remove them with gnt-instance remove")
        return cluster

    def plan(self, seen: Cluster) -> Plan:
        return Plan(steps=(Step(title="", action=master_ip.stop(seen), may_fail=True),), result=seen.master_node)

    def hooks(self, seen: Cluster) -> Hooks:
        return Hooks(path="cluster-destroy", object_type="CLUSTER", target=seen.name, post_nodes=(seen.master_node,))
