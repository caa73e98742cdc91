# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for networks."""

from gantry.opcodes.base import param
from gantry.opcodes.common import Command
from gantry.opcodes.types import BOOL, IPV4, IPV4_NET, IPV4S, IPV6, IPV6_NET, NESTR, STR, TAGS, one_of, or_word


class NetworkAdd(Command):
    """Create a network."""

    summary_field = "network_name"

    network_name: str = param(NESTR, "name of the new network")
    network: str = param(IPV4_NET, "IPv4 subnet in CIDR form (prefix /16../30)")
    gateway: str | None = param(IPV4, "IPv4 gateway inside the subnet", default=None)
    network6: str | None = param(IPV6_NET, "IPv6 subnet in CIDR form", default=None)
    gateway6: str | None = param(IPV6, "IPv6 gateway", default=None)
    mac_prefix: str | None = param(NESTR, "MAC prefix xx:xx:xx", default=None)
    add_reserved_ips: tuple[str, ...] | None = param(
        IPV4S, "IPv4 addresses to mark as externally reserved in the pool", default=None)
    conflicts_check: bool = param(BOOL, "refuse addresses that collide with a managed network/pool", default=True)
    tags: tuple[str, ...] = param(TAGS, "tags", default=())


class NetworkRemove(Command):
    """Delete an unconnected network."""

    summary_field = "network_name"

    network_name: str = param(NESTR, "network name or UUID")
    force: bool = param(BOOL, "skip safety refusals", default=False)


class NetworkSetParams(Command):
    """Modify a network."""

    summary_field = "network_name"

    network_name: str = param(NESTR, "network name or UUID")
    gateway: str | None = param(or_word(IPV4, "none"), "IPv4 gateway inside the subnet", default=None)
    network6: str | None = param(or_word(IPV6_NET, "none"), "IPv6 subnet in CIDR form", default=None)
    gateway6: str | None = param(or_word(IPV6, "none"), "IPv6 gateway", default=None)
    mac_prefix: str | None = param(NESTR, "MAC prefix xx:xx:xx", default=None)
    add_reserved_ips: tuple[str, ...] | None = param(
        IPV4S, "IPv4 addresses to mark as externally reserved in the pool", default=None)
    remove_reserved_ips: tuple[str, ...] | None = param(IPV4S, "IPv4 addresses to release", default=None)


class NetworkConnect(Command):
    """Connect to a group."""

    summary_field = "network_name"

    group_name: str = param(NESTR, "group name or UUID")
    network_name: str = param(NESTR, "network name or UUID")
    network_mode: str = param(one_of("bridged", "openvswitch", "pool", "routed"), "NIC mode used in that group")
    network_link: str = param(NESTR, "NIC link used in that group")
    network_vlan: str = param(STR, "VLAN spec for openvswitch", default="")
    conflicts_check: bool = param(BOOL, "refuse addresses that collide with a managed network/pool", default=True)


class NetworkDisconnect(Command):
    """Disconnect from a group."""

    summary_field = "network_name"

    group_name: str = param(NESTR, "group name or UUID")
    network_name: str = param(NESTR, "network name or UUID")


class NetworkRename(Command):
    """Rename a network."""

    network_name: str = param(NESTR, "network name or UUID")
    new_name: str = param(NESTR, "new name")
