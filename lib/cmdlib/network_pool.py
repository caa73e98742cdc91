# SPDX-License-Identifier: BSD-2-Clause
"""What the network units have in common: checks of addresses, externally reserved offsets, hooks."""

import ipaddress
import re
from collections.abc import Iterable

from gantry.cmdlib.base import Hooks
from gantry.config.config import Config
from gantry.errors import WrongInput
from gantry.objects.cluster import Network, NodeGroup

NONE = "none"
"""As a value in a modify command: without one."""
_MAC_PREFIX = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){2}$")


def check(network: Network) -> Network:
    """`network` in its normal form; raises WrongInput when its parts do not fit together."""
    subnet = ipaddress.IPv4Network(network.network)
    if network.gateway is not None and ipaddress.ip_address(network.gateway) not in subnet:
        raise WrongInput(detail=f"Gateway {network.gateway} is not in the subnet {network.network}")
    if network.gateway6 is not None:
        if network.network6 is None:
            raise WrongInput(detail="An IPv6 gateway needs an IPv6 subnet (--network6)")
        if ipaddress.ip_address(network.gateway6) not in ipaddress.ip_network(network.network6):
            raise WrongInput(detail=f"Gateway {network.gateway6} is not in the subnet {network.network6}")
    if network.mac_prefix is not None and not _MAC_PREFIX.match(network.mac_prefix):
        raise WrongInput(detail=f"Invalid MAC prefix '{network.mac_prefix}': three octets such as aa:00:00 "
                                "are expected")
    return network


def offset(network: Network, address: str) -> int:
    """Place of `address` in the subnet; raises WrongInput when it is not in there."""
    subnet, found = ipaddress.IPv4Network(network.network), ipaddress.IPv4Address(address)
    if found not in subnet:
        raise WrongInput(detail=f"IP address {address} is not in the subnet {network.network}")
    return int(found) - int(subnet.network_address)


def built_in(network: Network) -> set[int]:
    """Offsets that are taken without being reserved: the first and last address, and the gateway."""
    own = {0, ipaddress.IPv4Network(network.network).num_addresses - 1}
    return own | ({offset(network, network.gateway)} if network.gateway else set())


def used_by_guests(config: Config, network: Network) -> dict[int, str]:
    """Name of the instance by offset."""
    subnet = ipaddress.IPv4Network(network.network)
    return {offset(network, nic.ip): instance.name for instance in config.instances.values() for nic in instance.nics
            if nic.network == network.uuid and nic.ip and ipaddress.ip_address(nic.ip) in subnet}


def connected(config: Config, network: Network) -> list[NodeGroup]:
    return sorted((group for group in config.groups.values() if network.uuid in group.networks),
                  key=lambda group: group.name)


def hooks(config: Config, path: str, network: Network) -> Hooks:
    """On the master, with everything about the network that is set."""
    values = {"NAME": network.name, "SUBNET": network.network, "GATEWAY": network.gateway,
              "SUBNET6": network.network6, "GATEWAY6": network.gateway6, "MAC_PREFIX": network.mac_prefix,
              "TAGS": " ".join(sorted(network.tags))}
    master = (config.cluster.master_node,)
    return Hooks(path=path, object_type="NETWORK", target=network.name, pre_nodes=master, post_nodes=master,
                 env={f"NETWORK_{key}": value for key, value in values.items() if value})


def on_group(config: Config, path: str, network: Network, group: NodeGroup, nic: dict[str, str] | None) -> Hooks:
    """On the members of a group; `nic` is how it is connected."""
    env = {"GROUP_NAME": group.name}
    env |= {f"GROUP_NETWORK_{key.upper()}": str(value) for key, value in (nic or {}).items()}
    nodes = tuple(node.uuid for node in config.members_of(group.uuid))
    return Hooks(path=path, object_type="GROUP", target=network.name, env=env, pre_nodes=nodes, post_nodes=nodes)


def sorted_offsets(offsets: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(offsets)))
