# SPDX-License-Identifier: BSD-2-Clause
"""The networks as queries show them."""

import ipaddress
from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

from gantry.objects.cluster import Network
from gantry.query.fields import Field, Kind, common_fields, maybe, nice_sorted, sort_key
from gantry.query.world import Context, Resource, World, table

SMALLEST_WITH_ENDS = 4
"""Addresses from which on a subnet has a network and a broadcast address of its own."""


class NetworkRow:
    def __init__(self, item: Network, context: Context) -> None:
        self.item = item
        self.context = context

    @cached_property
    def subnet(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.item.network, strict=False)

    @cached_property
    def instances(self) -> list[str]:
        return nice_sorted(self.context.by_network.get(self.item.uuid, {}))

    @cached_property
    def external(self) -> list[int]:
        """Offsets of the addresses that no instance may have."""
        taken = set(self.item.ext_reservations)
        if self.item.gateway:
            taken.update(self._offsets([self.item.gateway]))
        if self.subnet.num_addresses >= SMALLEST_WITH_ENDS:
            taken.update((0, self.subnet.num_addresses - 1))
        return sorted(taken)

    @cached_property
    def taken(self) -> set[int]:
        """Offsets of all addresses that are not free."""
        used = [nic.ip for instance in self.context.by_network.get(self.item.uuid, {}).values()
                for nic in instance.nics if nic.network == self.item.uuid and nic.ip]
        return {*self.external, *self._offsets(used)}

    def _offsets(self, addresses: Sequence[str]) -> set[int]:
        first = int(self.subnet.network_address)
        return {int(address) - first for address in map(ipaddress.ip_address, addresses) if address in self.subnet}

    @cached_property
    def groups(self) -> list[list[str]]:
        """[group, mode, link, vlan] of each connection."""
        return [[group.name, *(group.networks[self.item.uuid].get(key) or "-" for key in ("mode", "link", "vlan"))]
                for group in sorted(self.context.config.groups.values(), key=lambda group: sort_key(group.name))
                if self.item.uuid in group.networks]


def address_map(row: NetworkRow) -> str:
    """A character an address: X taken, . free."""
    cells = bytearray(b"." * row.subnet.num_addresses)
    for offset in row.taken:
        cells[offset] = ord("X")
    return cells.decode()


def external_reservations(row: NetworkRow) -> str:
    return ", ".join(str(row.subnet.network_address + offset) for offset in row.external)


FIELDS = (
    Field("name", "Network", Kind.TEXT, "Its name", attrgetter("item.name")),
    Field("external_reservations", "ExternalReservations", Kind.TEXT, "Addresses that no instance may have",
          external_reservations),
    Field("free_count", "FreeCount", Kind.NUMBER, "Number of free addresses",
          lambda row: row.subnet.num_addresses - len(row.taken)),
    Field("gateway", "Gateway", Kind.OTHER, "IPv4 gateway", lambda row: maybe(row.item.gateway)),
    Field("gateway6", "IPv6Gateway", Kind.OTHER, "IPv6 gateway", lambda row: maybe(row.item.gateway6)),
    Field("group_cnt", "NodeGroups", Kind.NUMBER, "Number of connected node groups", lambda row: len(row.groups)),
    Field("group_list", "GroupList", Kind.OTHER, "Connected node groups, each with mode, link and VLAN",
          attrgetter("groups")),
    Field("inst_cnt", "Instances", Kind.NUMBER, "Number of instances with an interface in it",
          lambda row: len(row.instances)),
    Field("inst_list", "InstanceList", Kind.OTHER, "Instances with an interface in it", attrgetter("instances")),
    Field("mac_prefix", "MacPrefix", Kind.OTHER, "First half of its MAC addresses",
          lambda row: maybe(row.item.mac_prefix)),
    Field("map", "Map", Kind.TEXT, "A character an address: X taken, . free", address_map),
    Field("network", "Subnet", Kind.TEXT, "IPv4 subnet", attrgetter("item.network")),
    Field("network6", "IPv6Subnet", Kind.OTHER, "IPv6 subnet", lambda row: maybe(row.item.network6)),
    Field("reserved_count", "ReservedCount", Kind.NUMBER, "Number of addresses that are not free",
          lambda row: len(row.taken)),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[NetworkRow]:
    context = Context(world)
    if names is not None:
        return [NetworkRow(world.config.network(str(name)), context) for name in names]
    return [NetworkRow(item, context)
            for item in sorted(world.config.networks.values(), key=lambda item: sort_key(item.name))]


RESOURCE: Resource[NetworkRow] = Resource("network", "name", table(FIELDS, common_fields()), rows)
