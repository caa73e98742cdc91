# SPDX-License-Identifier: BSD-2-Clause
"""OP_NETWORK_ADD: create a network."""

import dataclasses
import ipaddress
from dataclasses import dataclass

from gantry.cmdlib import network_pool
from gantry.cmdlib.base import ALL, Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import AlreadyExists
from gantry.objects.cluster import Network
from gantry.objects.params import check_tags
from gantry.objects.plan import Delete, Plan, Step, put
from gantry.opcodes.network import NetworkAdd


@dataclass(frozen=True)
class New:
    network: Network
    hooks: Hooks


class NetworkAddUnit(LogicalUnit[NetworkAdd, New], op=NetworkAdd):
    """Addresses of nodes and of the cluster that lie in the subnet are reserved.  Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks(shared={"node": ALL}) if self.op.conflicts_check else Locks()

    async def check(self, view: View) -> New:
        op = self.op
        if view.config.name_taken("networks", op.network_name):
            raise AlreadyExists(kind="Network", name=op.network_name)
        view.reservations.reserve("network", op.network_name)
        network = network_pool.check(Network(
            uuid=view.new_uuid(), name=op.network_name, network=op.network, gateway=op.gateway, network6=op.network6,
            gateway6=op.gateway6, mac_prefix=op.mac_prefix.lower() if op.mac_prefix else None,
            tags=check_tags(op.tags)))
        taken = {network_pool.offset(network, address) for address in op.add_reserved_ips or ()}
        if op.conflicts_check:
            taken |= self._own_addresses(view, network)
        reserved = network_pool.sorted_offsets(taken - network_pool.built_in(network))
        network = dataclasses.replace(network, ext_reservations=reserved)
        return New(network, network_pool.hooks(view.config, "network-add", network))

    def _own_addresses(self, view: View, network: Network) -> set[int]:
        """Offsets of the addresses of nodes and of the cluster."""
        config, subnet = view.config, ipaddress.ip_network(network.network)
        uses = {config.cluster.master_ip: "the cluster"}
        for node in config.nodes.values():
            uses |= {node.primary_ip: f"node {node.name}", node.secondary_ip: f"node {node.name}"}
        found = {address: user for address, user in uses.items() if ipaddress.ip_address(address) in subnet}
        for address, user in found.items():
            view.say(f" - INFO: Reserved IP address {address} of {user} in network '{network.name}'")
        return {network_pool.offset(network, address) for address in found}

    def plan(self, seen: New) -> Plan:
        network = seen.network
        return Plan(steps=(Step(title="", action=put("networks", network),
                                undo=Delete(table="networks", uuid=network.uuid)),),
                    reserves=(("network", network.name),))

    def hooks(self, seen: New) -> Hooks:
        return seen.hooks
