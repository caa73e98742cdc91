# SPDX-License-Identifier: BSD-2-Clause
"""gnt-group: node groups."""

from typing import Any

from gantry.cli.declare import Command, flag, opt
from gantry.cli.lists import Listing, fields_command, list_command
from gantry.cli.options import (
    DISK_PARAMS,
    EARLY_RELEASE,
    FORCE_PARAM,
    IALLOCATOR,
    IPOLICY,
    NODE_PARAMS,
    STATES,
    TO_GROUPS,
)
from gantry.cli.tags import tag_commands


def _params(value: Any) -> str:
    return ", ".join(f"{key}={item}" for key, item in sorted(value.items())) or "(empty)"


LISTING = Listing("group", "name,node_cnt,pinst_cnt,alloc_policy,ndparams",
                  dict.fromkeys(("ndparams", "custom_ndparams"), _params))

SETTINGS = (opt("--alloc-policy", param="alloc_policy", metavar="POLICY"), NODE_PARAMS, DISK_PARAMS, *STATES, *IPOLICY)

COMMANDS = {
    "list": list_command(LISTING, "[GROUP...]", "List node groups", filters=True),
    "list-fields": fields_command("group"),
    "info": Command("[GROUP...]", "Show all about node groups", run="group_info:run"),
    "add": Command("GROUP", "", SETTINGS, "SPN", "group.GroupAdd", ("group_name",), run="group_change:add"),
    "rename": Command("OLD NEW", "Rename a node group", (), "SPN", "group.GroupRename", ("group_name", "new_name")),
    "remove": Command("GROUP", "", (), "SPN", "group.GroupRemove", ("group_name",)),
    "assign-nodes": Command("GROUP NODE...", "", (FORCE_PARAM,), "SPN", "group.GroupAssignNodes",
                            ("group_name", "nodes")),
    "modify": Command("GROUP", "", SETTINGS, "SPN", "group.GroupSetParams", ("group_name",),
                      run="group_change:modify"),
    "evacuate": Command("GROUP", "", (TO_GROUPS, IALLOCATOR, EARLY_RELEASE,
                                      opt("--sequential", param="sequential"),
                                      opt("--force-failover", param="force_failover")),
                        "SN", "group.GroupEvacuate", ("group_name",), run="group_change:evacuate"),
    "show-ispecs-cmd": Command("[GROUP...]", "Show the commands that make groups with these instance policies", (
        flag("--include-defaults", help="Print inherited values as well"),), run="ipolicy:show_groups"),
    **tag_commands("nodegroup", "GROUP"),
}
