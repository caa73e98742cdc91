# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_REDIST_CONF: write the ssconf files of all nodes anew."""

from dataclasses import dataclass

from gantry.cmdlib.base import ALL, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config import ssconf
from gantry.objects.plan import Action, Call, Plan, Several, Step
from gantry.opcodes.cluster import ClusterRedistConf


@dataclass(frozen=True)
class Files:
    nodes: tuple[str, ...]
    values: dict[str, str]
    serial: int


class ClusterRedistConfUnit(LogicalUnit[ClusterRedistConf, Files], op=ClusterRedistConf):
    """Every change is distributed by itself; this repairs what was changed by hand.  Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks(shared={"node": ALL})

    async def check(self, view: View) -> Files:
        nodes = tuple(node.uuid for node in view.config.online_nodes())
        return Files(nodes, ssconf.values(view.config), view.config.serial)

    def plan(self, seen: Files) -> Plan:
        actions: list[Action] = [Call(node=node, call="ssconf_write",
                                      args={"values": seen.values, "serial": seen.serial}) for node in seen.nodes]
        return Plan(steps=(Step(title="", action=Several(actions=actions), may_fail=True, weight=0.5),))
