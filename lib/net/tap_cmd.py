# SPDX-License-Identifier: BSD-2-Clause
"""Argument lists and settings for tap devices.  Nothing here runs anything."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import simplejson

from gantry.net.vlan import Vlan
from gantry.objects.vm import VmNic, VmSpec

Argv = list[str]

SITE_FUNCTIONS = """
. "$1"
shift
case $MODE in
bridged) setup_bridge ;;
openvswitch) setup_ovs ;;
*) setup_route ;;
esac
"""
"""Calls what a site's net-common defines, as the entry script of Ganeti 3.0 does."""


def site_functions(library: str, tap: str) -> Argv:
    return ["/bin/sh", "-e", "-c", SITE_FUNCTIONS, "kvm-ifup", library, tap]


def environment(spec: VmSpec, nic: VmNic, index: int, tap: str, path: str) -> dict[str, str]:
    """What a site's network script sees; `path` is the daemon's own search path."""
    folders = path.split(":")
    env = {"PATH": ":".join([*folders, *(extra for extra in ("/sbin", "/usr/sbin") if extra not in folders)]),
           "INTERFACE": tap, "INTERFACE_INDEX": str(index), "INTERFACE_UUID": nic.uuid, "INSTANCE": spec.name,
           "MAC": nic.mac, "MODE": nic.mode, "VLAN": nic.vlan, "TAGS": " ".join(spec.tags)}
    optional = {"INTERFACE_NAME": nic.name, "LINK": nic.link, "IP": nic.ip,
                "BRIDGE": nic.link if nic.mode == "bridged" else None}
    optional |= {f"NETWORK_{key.upper()}": value for key, value in nic.network.items()}
    return env | {key: value for key, value in optional.items() if value}


def link_show(device: str) -> Argv:
    return ["ip", "-json", "-details", "link", "show", "dev", device]


def links_show(kind: str) -> Argv:
    return ["ip", "-json", "-details", "link", "show", "type", kind]


def link_up(tap: str) -> Argv:
    return ["ip", "link", "set", "dev", tap, "up"]


def bridged(tap: str, mac: str, bridge: Mapping[str, Any]) -> Iterator[Argv]:
    """Make the tap a port of the bridge, which is described as `ip` shows it.

    The tap's address starts with fe, so the bridge never takes it for its own.
    """
    yield ["ip", "link", "set", "dev", tap, "address", "fe" + mac[2:]]
    yield link_up(tap)
    yield ["ip", "link", "set", "dev", tap, "mtu", str(bridge["mtu"])]
    yield ["ip", "link", "set", "dev", tap, "master", str(bridge["ifname"])]


def bridge_vlans(tap: str, vlan: Vlan, ports: Sequence[str]) -> Iterator[Argv]:
    """VLANs of the tap, and the same ones tagged on the bridge's other ports."""
    for number in vlan.all:
        untagged = ["pvid", "untagged"] if number == vlan.native else []
        yield ["bridge", "vlan", "add", "dev", tap, "vid", str(number), *untagged]
        for port in ports:
            yield ["bridge", "vlan", "add", "dev", port, "vid", str(number)]


def switched(tap: str, switch: str, vlan: Vlan) -> Iterator[Argv]:
    """Make the tap a port of an Open vSwitch; a port of that name from before is taken away."""
    yield switch_port_gone(tap)
    yield link_up(tap)
    tag = [] if vlan.native is None else [f"tag={vlan.native}"]
    trunks = ["trunks=" + ",".join(str(number) for number in vlan.tagged)] if vlan.tagged else []
    yield ["ovs-vsctl", "add-port", switch, tap, *tag, *trunks]


def switch_port_gone(tap: str) -> Argv:
    return ["ovs-vsctl", "--if-exists", "del-port", tap]


def rule_gone(tap: str, ip: str) -> Argv:
    """Remove one of the rules for packets from the tap; fails when there is none left."""
    return [*_ip(ip), "rule", "del", "dev", tap]


def routed(tap: str, ip: str, table: str) -> Iterator[Argv]:
    """Rule and route to the guest.  `proto static` is what routing daemons look for."""
    if table:
        yield [*_ip(ip), "rule", "add", "dev", tap, "table", table]
    yield [*_ip(ip), "route", "replace", ip, "dev", tap, *(["table", table] if table else []), "proto", "static"]


def routed_settings(tap: str) -> dict[str, str]:
    """Files below /proc/sys/net and what they must hold."""
    return {f"ipv4/conf/{tap}/proxy_arp": "1", f"ipv4/conf/{tap}/forwarding": "1",
            f"ipv6/conf/{tap}/proxy_ndp": "1", f"ipv6/conf/{tap}/forwarding": "1"}


def parse_links(text: str) -> list[dict[str, Any]]:
    """What `ip -json` printed; it prints nothing where it finds nothing."""
    return [link for link in simplejson.loads(text or "[]") if link]


def filters_vlans(bridge: Mapping[str, Any]) -> bool:
    return bool(bridge.get("linkinfo", {}).get("info_data", {}).get("vlan_filtering"))


def vlan_devices_in_use(vlan: Vlan, devices: Sequence[Mapping[str, Any]], veths: Sequence[str]) -> list[str]:
    """Classic VLAN devices of the same number on something else than a veth: both would take the packets."""
    return [str(device["ifname"]) for device in devices
            if device.get("linkinfo", {}).get("info_data", {}).get("id") in vlan.all
            and device.get("link") not in veths]


def _ip(address: str) -> Argv:
    return ["ip", "-6"] if ipaddress.ip_interface(address).version == 6 else ["ip", "-4"]
