# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_DEACTIVATE_MASTER_IP: take the cluster's address down."""

from gantry.cmdlib import master_ip
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.cluster import Cluster
from gantry.objects.plan import Plan, Step
from gantry.opcodes.cluster import ClusterDeactivateMasterIp


class ClusterDeactivateMasterIpUnit(LogicalUnit[ClusterDeactivateMasterIp, Cluster], op=ClusterDeactivateMasterIp):
    """Harmless when it is not up.  Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive_cluster=True)

    async def check(self, view: View) -> Cluster:
        return view.config.cluster

    def plan(self, seen: Cluster) -> Plan:
        return Plan(steps=(Step(title="", action=master_ip.stop(seen), weight=1.0),))
