# SPDX-License-Identifier: BSD-2-Clause
"""OP_NETWORK_DISCONNECT: take a network away from a node group."""

from dataclasses import dataclass

from gantry.cmdlib import network_pool
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.network_connect import instances_of
from gantry.cmdlib.view import View
from gantry.errors import WrongState
from gantry.objects.cluster import Network, NodeGroup
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.network import NetworkDisconnect


@dataclass(frozen=True)
class Connection:
    network: Network
    group: NodeGroup
    hooks: Hooks


class NetworkDisconnectUnit(LogicalUnit[NetworkDisconnect, Connection], op=NetworkDisconnect):
    """Not connected at all is a warning.  Result: null."""

    def locks(self, view: View) -> Locks:
        group = view.config.group(self.op.group_name)
        return Locks(exclusive={"nodegroup": frozenset({group.uuid})},
                     shared={"instance": instances_of(view.config, group)})

    async def check(self, view: View) -> Connection:
        config = view.config
        network, group = config.network(self.op.network_name), config.group(self.op.group_name)
        if network.uuid not in group.networks:
            view.warn(f"Network '{network.name}' is not connected to node group '{group.name}'")
        users = sorted(name for name in instances_of(config, group)
                       if any(nic.network == network.uuid for nic in config.instance(name).nics))
        if users:
            raise WrongState(detail=f"Cannot disconnect network '{network.name}' from node group '{group.name}': the "
                                    f"instances {', '.join(users)} have interfaces in it")
        nic = {name: str(value) for name, value in group.networks.get(network.uuid, {}).items()}
        return Connection(network, group, network_pool.on_group(config, "network-disconnect", network, group, nic))

    def plan(self, seen: Connection) -> Plan:
        group, uuid = seen.group, seen.network.uuid
        if uuid not in group.networks:
            return Plan()
        rest = {network: nic for network, nic in group.networks.items() if network != uuid}
        step = Step(title="", action=Update(table="nodegroups", uuid=group.uuid, fields={"networks": rest}),
                    undo=Update(table="nodegroups", uuid=group.uuid, fields={"networks": group.networks}))
        return Plan(steps=(step,))

    def hooks(self, seen: Connection) -> Hooks:
        return seen.hooks
