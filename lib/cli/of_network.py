# SPDX-License-Identifier: BSD-2-Clause
"""gnt-network: address pools and where they are connected."""

from typing import Any

from gantry.cli.declare import Command, opt
from gantry.cli.lists import Listing, fields_command, list_command
from gantry.cli.options import FORCE_PARAM, NO_CONFLICTS_CHECK
from gantry.cli.tags import tag_commands


def _groups(value: Any) -> str:
    return ", ".join(f"{group} ({', '.join(str(part) for part in rest)})" for group, *rest in value or ())


LISTING = Listing("network", "name,network,gateway,mac_prefix,group_list,tags", {"group_list": _groups})

NAME = ("network_name",)
MAC_PREFIX = opt("-m", "--mac-prefix", param="mac_prefix", metavar="XX:XX:XX")
ADDRESSES = (opt("--gateway", param="gateway", metavar="IPv4|none"), MAC_PREFIX,
             opt("--network6", param="network6", metavar="CIDR|none"),
             opt("--gateway6", param="gateway6", metavar="IPv6|none"),
             opt("--add-reserved-ips", param="add_reserved_ips", metavar="IP,..."))

COMMANDS = {
    "list": list_command(LISTING, "[NETWORK...]", "List networks"),
    "list-fields": fields_command("network"),
    "info": Command("[NETWORK...]", "Show all about networks", run="network_info:run"),
    "add": Command("NETWORK", "", (*ADDRESSES, opt("--network", param="network", metavar="CIDR"), NO_CONFLICTS_CHECK,
                                   opt("--tags", param="tags", metavar="TAG,...")),
                   "SPN", "network.NetworkAdd", NAME, run="network_change:add"),
    "modify": Command("NETWORK", "", (*ADDRESSES, opt("--remove-reserved-ips", param="remove_reserved_ips",
                                                      metavar="IP,...")),
                      "SPN", "network.NetworkSetParams", NAME, run="network_change:modify"),
    "remove": Command("NETWORK", "", (FORCE_PARAM,), "SPN", "network.NetworkRemove", NAME),
    "rename": Command("OLD NEW", "", (), "SPN", "network.NetworkRename", ("network_name", "new_name")),
    "connect": Command("NETWORK [GROUP...]", "", (NO_CONFLICTS_CHECK, opt(
        "-N", "--nic-parameters", kind="keyval", metavar="K=V,...", help="mode, link and vlan in these groups")),
        "PN", "network.NetworkConnect", run="network_change:connect"),
    "disconnect": Command("NETWORK [GROUP...]", "", (), "PN", "network.NetworkDisconnect",
                          run="network_change:disconnect"),
    **tag_commands("network", "NETWORK"),
}
