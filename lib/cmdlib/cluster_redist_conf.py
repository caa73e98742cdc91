# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_REDIST_CONF: write the ssconf files of all nodes, and gnt-rapi's files of all candidates, anew."""

from gantry.cmdlib.base import ALL, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Master, Plan, Step
from gantry.opcodes.cluster import ClusterRedistConf


class ClusterRedistConfUnit(LogicalUnit[ClusterRedistConf, None], op=ClusterRedistConf):
    """Every change is distributed by itself; this repairs what was changed by hand.  Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks(shared={"node": ALL})

    async def check(self, view: View) -> None:
        """Nodes that are offline get theirs when they come back."""

    def plan(self, seen: None) -> Plan:
        return Plan(steps=(Step(title="", may_fail=True, weight=0.5,
                                action=Master(call="redistribute")),))
