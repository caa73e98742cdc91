# SPDX-License-Identifier: BSD-2-Clause
"""Network interfaces: from what was asked for to what is recorded, and the values that scripts see of them."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gantry.cmdlib import macs
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.errors import NoResources, NotUnique, WrongInput
from gantry.objects.base import Params
from gantry.objects.cluster import Network, NodeGroup
from gantry.objects.instance import Nic
from gantry.objects.params import RESET, check_nic_effective, merge_nic

AUTO, GENERATE, NONE, POOL = "auto", "generate", "none", "pool"
_VLAN = re.compile(r"^(\.?\d+)?(:\d+)*$")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an interface will be: the group of its node, and the address that ip=auto stands for."""

    group: NodeGroup
    auto_ip: str | None = None
    conflicts_check: bool = True
    given: frozenset[str] = frozenset()
    """Addresses that other interfaces of the same operation got."""

    def after(self, nic: Nic) -> "Place":
        return replace(self, given=self.given | {nic.ip}) if nic.ip else self


def create(view: View, place: Place, spec: Mapping[str, Any]) -> Nic:
    """The interface that `spec` asks for, with a fresh UUID and without a PCI slot; its addresses are reserved."""
    return _apply(view, place, Nic(uuid=view.new_uuid(), mac=""), {"mac": AUTO, **spec})


def create_all(view: View, place: Place, specs: Iterable[Mapping[str, Any]]) -> tuple[Nic, ...]:
    found: list[Nic] = []
    for spec in specs:
        found.append(create(view, place, spec))
        place = place.after(found[-1])
    return tuple(found)


def modify(view: View, place: Place, nic: Nic, spec: Mapping[str, Any]) -> Nic:
    """`nic` with the changes of `spec`."""
    if spec.get("mac") == AUTO:
        raise WrongInput(detail="'auto' is not a valid MAC address when modifying a NIC; give an address, or "
                                "'generate' for a new one")
    return _apply(view, place, nic, spec)


def _apply(view: View, place: Place, nic: Nic, spec: Mapping[str, Any]) -> Nic:
    network = _network(view.config, nic, spec)
    params = _params(place, nic, spec, network)
    changed = replace(nic, network=network.uuid if network else None, nicparams=params)
    if "name" in spec:
        changed = replace(changed, name=_word(spec["name"]))
    changed = replace(changed, ip=_ip(view, place, changed, nic, spec))
    merged = effective.nicparams(view.config, changed, place.group.uuid)
    if merged["mode"] == "routed" and changed.ip is None:
        raise WrongInput(detail="Routed nic needs an ip address")
    check_nic_effective(merged, ip=changed.ip)
    return replace(changed, mac=_mac(view, changed, network, spec))


def _word(value: Any) -> str | None:
    return None if value in (None, "", NONE) else str(value)


def _network(config: Config, nic: Nic, spec: Mapping[str, Any]) -> Network | None:
    if "network" not in spec:
        return config.networks.get(nic.network or "")
    name = _word(spec["network"])
    return config.network(name) if name else None


def _params(place: Place, nic: Nic, spec: Mapping[str, Any], network: Network | None) -> Params:
    given = {key: spec[key] for key in ("mode", "link", "vlan") if spec.get(key) is not None}
    if spec.get("bridge") is not None:
        if "link" in given:
            raise WrongInput(detail="Cannot pass 'bridge' and 'link' at the same time")
        given["link"] = spec["bridge"]
    if network is not None:
        if given:
            raise WrongInput(detail=f"mode, link and vlan come from the network '{network.name}': "
                                    "they cannot be given together with it")
        if network.uuid not in place.group.networks:
            raise WrongInput(detail=f"Network '{network.name}' is not connected to node group '{place.group.name}'")
        return {}
    own = {key: RESET if value == AUTO else vlan(value) if key == "vlan" else value for key, value in given.items()}
    return merge_nic(nic.nicparams, own)


def vlan(value: str) -> str:
    """A VLAN specification in its normal form; raises WrongInput."""
    if not _VLAN.match(value):
        raise WrongInput(detail=f"Specified VLAN parameter is invalid : {value}")
    return f".{value}" if value[:1].isdecimal() else value


def _mac(view: View, nic: Nic, network: Network | None, spec: Mapping[str, Any]) -> str:
    wanted = spec.get("mac")
    if wanted is None or str(wanted).lower() == nic.mac:
        return nic.mac
    if str(wanted).lower() in (AUTO, GENERATE):
        return macs.generate(view, (network and network.mac_prefix) or view.config.cluster.mac_prefix)
    return macs.check(view, str(wanted))


# --- addresses ---------------------------------------------------------------------------------------------


def _ip(view: View, place: Place, nic: Nic, old: Nic, spec: Mapping[str, Any]) -> str | None:
    network = view.config.networks.get(nic.network or "")
    moved = nic.network != old.network
    wanted = _word(spec["ip"]) if "ip" in spec else nic.ip
    if wanted is None:
        return None
    if wanted.lower() == POOL:
        if network is None:
            raise WrongInput(detail="if ip=pool, parameter network must be passed too")
        return _lowest_free(view, network, place.given)
    address = _address(_given(place, wanted))
    if address == old.ip and not moved:
        return address
    if network is not None:
        return _reserved_in(view, network, address, place.given)
    if place.conflicts_check:
        _refuse_managed(view, place.group, address)
    return address


def _given(place: Place, wanted: str) -> str:
    if wanted.lower() != AUTO:
        return wanted
    if place.auto_ip is None:
        raise WrongInput(detail="IP address set to auto but the name check is off")
    return place.auto_ip


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as err:
        raise WrongInput(detail=f"Invalid IP address '{text}'") from err


def _refuse_managed(view: View, group: NodeGroup, address: str) -> None:
    """Refuse an address that belongs to a managed network of the group."""
    for uuid in group.networks:
        network = view.config.networks[uuid]
        if ipaddress.ip_address(address) in ipaddress.ip_network(network.network):
            raise WrongInput(detail=f"IP address {address} belongs to network '{network.name}', which is connected "
                                    f"to node group '{group.name}': give network={network.name}, or use "
                                    "--no-conflicts-check")


def used_addresses(view: View, network: Network) -> set[str]:
    """Addresses of `network` that are not free."""
    subnet = ipaddress.ip_network(network.network)
    found = {str(subnet[0]), str(subnet[-1])} | {str(subnet[offset]) for offset in network.ext_reservations}
    found |= {network.gateway} if network.gateway else set()
    found |= {nic.ip for instance in view.config.instances.values() for nic in instance.nics
              if nic.network == network.uuid and nic.ip}
    return found | view.reservations.taken("ip")


def _reserved_in(view: View, network: Network, address: str, given: frozenset[str]) -> str:
    if ipaddress.ip_address(address) not in ipaddress.ip_network(network.network):
        raise WrongInput(detail=f"IP address {address} is not in network '{network.name}' ({network.network})")
    if address in used_addresses(view, network) | given:
        raise NotUnique(detail=f"IP address {address} is already in use in network '{network.name}'")
    view.reservations.reserve("ip", address)
    return address


def _lowest_free(view: View, network: Network, given: frozenset[str]) -> str:
    taken = used_addresses(view, network) | given
    for address in ipaddress.ip_network(network.network):
        if str(address) not in taken:
            view.reservations.reserve("ip", str(address))
            return str(address)
    raise NoResources(detail=f"Network '{network.name}' has no free address")


# --- what scripts see --------------------------------------------------------------------------------------


def network_values(config: Config, nic: Nic) -> dict[str, str]:
    """name, uuid, tags, subnet, gateway, subnet6, gateway6, mac_prefix of its network; empty ones are absent."""
    network = config.networks.get(nic.network or "")
    if network is None:
        return {}
    values = {"name": network.name, "uuid": network.uuid, "tags": " ".join(sorted(network.tags)),
              "subnet": network.network, "gateway": network.gateway, "subnet6": network.network6,
              "gateway6": network.gateway6, "mac_prefix": network.mac_prefix}
    return {key: value for key, value in values.items() if value}
