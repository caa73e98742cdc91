# SPDX-License-Identifier: BSD-2-Clause
"""OP_NETWORK_CONNECT: let the guests of a node group use a network."""

import ipaddress
from dataclasses import dataclass

from gantry.cmdlib import network_pool, nics
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import WrongState
from gantry.objects.cluster import Network, NodeGroup
from gantry.objects.params import check_nic_effective
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.network import NetworkConnect


@dataclass(frozen=True)
class Connection:
    """`nic` is how interfaces in the network are made in that group; None when it is connected already."""

    network: Network
    group: NodeGroup
    nic: dict[str, str] | None
    hooks: Hooks


class NetworkConnectUnit(LogicalUnit[NetworkConnect, Connection], op=NetworkConnect):
    """Connected already is a warning.  Result: null."""

    def locks(self, view: View) -> Locks:
        group = view.config.group(self.op.group_name)
        network = view.config.network(self.op.network_name)
        shared = {"instance": instances_of(view.config, group), "network": frozenset({network.uuid})}
        return Locks(exclusive={"nodegroup": frozenset({group.uuid})},
                     shared=shared if self.op.conflicts_check else {})

    async def check(self, view: View) -> Connection:
        op, config = self.op, view.config
        network, group = config.network(op.network_name), config.group(op.group_name)
        nic = {"mode": op.network_mode, "link": op.network_link, "vlan": nics.vlan(op.network_vlan)}
        hooks = network_pool.on_group(config, "network-connect", network, group, nic)
        if network.uuid in group.networks:
            view.warn(f"Network '{network.name}' is already connected to node group '{group.name}'")
            return Connection(network, group, None, hooks)
        check_nic_effective(nic, has_ip=True)
        if op.conflicts_check:
            _refuse_conflicts(config, network, group)
        return Connection(network, group, nic, hooks)

    def plan(self, seen: Connection) -> Plan:
        if seen.nic is None:
            return Plan()
        group = seen.group
        step = Step(title="", action=Update(table="nodegroups", uuid=group.uuid, fields={
                        "networks": {**group.networks, seen.network.uuid: seen.nic}}),
                    undo=Update(table="nodegroups", uuid=group.uuid, fields={"networks": group.networks}))
        return Plan(steps=(step,))

    def hooks(self, seen: Connection) -> Hooks:
        return seen.hooks


def instances_of(config: Config, group: NodeGroup) -> frozenset[str]:
    """Names of the instances whose primary node is in the group."""
    return frozenset(instance.name for node in config.members_of(group.uuid)
                     for instance in config.primaries_of(node.uuid))


def _refuse_conflicts(config: Config, network: Network, group: NodeGroup) -> None:
    subnet = ipaddress.ip_network(network.network)
    users = [f"{name}/nic{index} ({nic.ip})" for name in sorted(instances_of(config, group))
             for index, nic in enumerate(config.instance(name).nics)
             if nic.ip and nic.network is None and ipaddress.ip_address(nic.ip) in subnet]
    if users:
        raise WrongState(detail=f"Network '{network.name}' ({network.network}) cannot be connected to node group "
                                f"'{group.name}': these interfaces use addresses of it already: {', '.join(users)}")
