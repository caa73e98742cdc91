# SPDX-License-Identifier: BSD-2-Clause
"""gnt-network info."""

import textwrap
from typing import Any

from gantry.cli import output
from gantry.cli.context import Context

_FIELDS = ("name", "uuid", "serial_no", "network", "gateway", "network6", "gateway6", "mac_prefix", "free_count",
           "reserved_count", "map", "group_list", "inst_list", "external_reservations")
_MAP_WIDTH = 64


def run(ctx: Context) -> int:
    """Show networks."""
    for row in ctx.named("network", _FIELDS, ctx.args):
        network = dict(zip(_FIELDS, row, strict=True))
        used = ctx.query("instance", ["name", "nic.ips", "nic.networks.names"]) if network["inst_list"] else []
        for text in lines(network, used):
            output.line(text)
    return 0


def lines(network: dict[str, Any], instances: list[list[Any]]) -> list[str]:
    """What is shown of one network; `instances`: name, addresses and network names of their NICs."""
    free, reserved = network["free_count"], network["reserved_count"]
    found = [f"Network name: {network['name']}", f"UUID: {network['uuid']}", f"Serial number: {network['serial_no']}"]
    for title, key in (("Subnet", "network"), ("Gateway", "gateway"), ("IPv6 Subnet", "network6"),
                       ("IPv6 Gateway", "gateway6"), ("Mac Prefix", "mac_prefix")):
        found.append(f"  {title}: {network[key]}")
    if free is not None and reserved is not None:
        total = free + reserved
        found += [f"  Size: {total}", f"  Free: {free} ({100 * free / (total or 1):.2f}%)"]
    found += [*_map(network["map"] or ""), *_reserved(network["external_reservations"])]
    if network["group_list"]:
        found.append("  connected to node groups:")
        found += [f"    {group} (mode:{mode} link:{link} vlan:{vlan})"
                  for group, mode, link, vlan in network["group_list"]]
    else:
        found.append("  not connected to any node group")
    return found + _instances(network, instances)


def _map(usage: str) -> list[str]:
    if not usage:
        return []
    rows = [(start, usage[start:start + _MAP_WIDTH]) for start in range(0, len(usage), _MAP_WIDTH)]
    return ["  Usage map:", *(f"    {start:>5} {row} {start + len(row) - 1}" for start, row in rows),
            "         (X) used    (.) free"]


def _reserved(addresses: Any) -> list[str]:
    text = ", ".join(addresses) if isinstance(addresses, list) else str(addresses or "")
    if not text:
        return []
    return ["  externally reserved IPs:", *textwrap.wrap(text, 70, initial_indent="    ", subsequent_indent="    ")]


def _instances(network: dict[str, Any], instances: list[list[Any]]) -> list[str]:
    names = network["inst_list"] or []
    if not names:
        return ["  not used by any instances"]
    found = [f"  used by {len(names)} instances:"]
    for name, addresses, networks in instances:
        if name in names:
            nics = [f"{number}:{address}" for number, (address, of) in enumerate(zip(addresses, networks, strict=True))
                    if of == network["name"]]
            found.append(f"    {name}: {', '.join(nics)}")
    return found
