# SPDX-License-Identifier: BSD-2-Clause
"""OP_NETWORK_REMOVE: delete a network that is connected nowhere."""

from dataclasses import dataclass

from gantry.cmdlib import network_pool
from gantry.cmdlib.base import ALL, Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongState
from gantry.objects.cluster import Network
from gantry.objects.plan import Delete, Plan, Step, put
from gantry.opcodes.network import NetworkRemove


@dataclass(frozen=True)
class Old:
    network: Network
    hooks: Hooks


class NetworkRemoveUnit(LogicalUnit[NetworkRemove, Old], op=NetworkRemove):
    """Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"network": frozenset({view.config.network(self.op.network_name).uuid})},
                     shared={"nodegroup": ALL})

    async def check(self, view: View) -> Old:
        network = view.config.network(self.op.network_name)
        groups = [group.name for group in network_pool.connected(view.config, network)]
        if groups:
            raise WrongState(detail=f"Network still connected: '{network.name}' is connected to the node groups "
                                    f"{', '.join(groups)}; disconnect it first (gnt-network disconnect)")
        master = (view.config.cluster.master_node,)
        return Old(network, Hooks(path="network-remove", object_type="NETWORK", target=network.name,
                                  env={"NETWORK_NAME": network.name}, pre_nodes=master, post_nodes=master))

    def plan(self, seen: Old) -> Plan:
        return Plan(steps=(Step(title="", action=Delete(table="networks", uuid=seen.network.uuid),
                                undo=put("networks", seen.network)),))

    def hooks(self, seen: Old) -> Hooks:
        return seen.hooks
