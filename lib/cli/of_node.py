# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node: nodes."""

from gantry.cli.declare import Command, flag, opt
from gantry.cli.lists import Listing, fields_command, list_command
from gantry.cli.options import (
    EARLY_RELEASE,
    FIELD_LIST,
    FORCE,
    FORCE_PARAM,
    IALLOCATOR,
    IGNORE_CONSISTENCY,
    IGNORE_IPOLICY,
    MIGRATION,
    NO_RUNTIME_CHANGES,
    NODE_PARAMS,
    SETS,
    SHOW_NAMES,
    STATES,
    TARGET_NODE,
    UNITS,
)
from gantry.cli.tags import tag_commands

LISTING = Listing("node", "name,dtotal,dfree,mtotal,mnode,mfree,pinst_cnt,sinst_cnt")

CAPABLE = (opt("--master-capable", param="master_capable", metavar="yes|no"),
           opt("--vm-capable", param="vm_capable", metavar="yes|no"))
SECONDARY_IP = opt("-s", "--secondary-ip", param="secondary_ip", metavar="IPv4")
OOB_TIMEOUT = opt("--oob-timeout", param="timeout", metavar="SECONDS")
OUTPUT = SETS["L"][2]
STORAGE = ("node_name", "storage_type", "name")

ADD = Command("NODE", "Add a node to the cluster", sets="P", run="node_add:run", opcode="node.NodeAdd", options=(
    SECONDARY_IP, opt("--readd", param="readd"),
    flag("--no-ssh-key-check", help="Accept any SSH host key"),
    flag("--force-join", help="Accepted for compatibility"), flag("--no-node-setup", help="Accepted for compatibility"),
    flag("-v", "--verbose", help="Say more"), opt("-g", "--node-group", param="group", metavar="GROUP"), *CAPABLE,
    NODE_PARAMS, *STATES))

MODIFY = Command("NODE", "Change parameters of a node", sets="SPN", run="node_modify:run",
                 opcode="node.NodeSetParams", positional=("node_name",), options=(
    FORCE_PARAM, opt("-C", "--master-candidate", param="master_candidate", metavar="yes|no"),
    opt("-D", "--drained", param="drained", metavar="yes|no"),
    opt("-O", "--offline", param="offline", metavar="yes|no"),
    *CAPABLE, SECONDARY_IP, opt("--auto-promote", param="auto_promote"), NODE_PARAMS,
    opt("--node-powered", param="powered", metavar="yes|no"), *STATES))

COMMANDS = {
    "list": list_command(LISTING, "[NODE...]", "List nodes", units=True, filters=True),
    "list-fields": fields_command("node"),
    "info": Command("[NODE...]", "Show all about nodes", run="node_info:run"),
    "add": ADD,
    "modify": MODIFY,
    "remove": Command("NODE", "", sets="PN", opcode="node.NodeRemove", positional=("node_name",)),
    "migrate": Command("NODE", "Migrate all primary instances away", sets="SPN", run="node_empty:migrate",
                       opcode="node.NodeMigrate", positional=("node_name",), options=(
        FORCE, *MIGRATION, TARGET_NODE, IALLOCATOR, IGNORE_IPOLICY, NO_RUNTIME_CHANGES)),
    "failover": Command("NODE", "Fail over all primary instances", sets="PN", run="node_empty:failover",
                        opcode="instance.InstanceFailover", options=(FORCE, IGNORE_CONSISTENCY, IALLOCATOR)),
    "evacuate": Command("NODE", "Move instances or their mirrors away", sets="SPN", run="node_empty:evacuate",
                        opcode="node.NodeEvacuate", positional=("node_name",), options=(
        FORCE, IALLOCATOR, opt("--ignore-soft-errors", param="ignore_soft_errors", kind="flag", value=True),
        opt("-n", "--new-secondary", param="remote_node", metavar="NODE"), EARLY_RELEASE,
        flag("-p", "--primary-only", help="Only instances that are primary there"),
        flag("-s", "--secondary-only", help="Only instances that are secondary there"))),
    "powercycle": Command("NODE", "", (FORCE_PARAM, flag("--yes", help="Ask no questions")), "SPN",
                          "node.NodePowercycle", ("node_name",), run="node_power:powercycle"),
    "power": Command("on|off|cycle|status [NODE...]", "Power through the out-of-band program", sets="SPN",
                     opcode="cluster.OobCommand", run="node_power:power", options=(
        flag("--auto-promote", help="Promote other nodes when there would be too few candidates"),
        opt("--ignore-status", param="ignore_status"), FORCE, *FIELD_LIST, OOB_TIMEOUT,
        opt("--power-delay", param="power_delay", metavar="SECONDS"))),
    "health": Command("[NODE...]", "Health as the out-of-band program sees it", (*FIELD_LIST, OOB_TIMEOUT), "P",
                      "cluster.OobCommand", run="node_power:health"),
    "volumes": Command("[NODE...]", "", (*FIELD_LIST, UNITS, OUTPUT), "P", "node.NodeQueryvols",
                       run="node_storage:volumes"),
    "list-storage": Command("[NODE...]", "", sets="P", opcode="node.NodeQueryStorage", run="node_storage:storage",
                            options=(*FIELD_LIST, UNITS, OUTPUT,
                                     opt("-t", "--storage-type", param="storage_type", metavar="TYPE"))),
    "modify-storage": Command("NODE STORAGE-TYPE NAME", "", sets="SPN", opcode="node.NodeModifyStorage",
                              positional=STORAGE, run="node_storage:modify", options=(
        opt("--allocatable", kind="yesno", metavar="yes|no", help="Allow allocation on the physical volume"),)),
    "repair-storage": Command("NODE STORAGE-TYPE NAME", "", (IGNORE_CONSISTENCY,), "SPN", "node.RepairNodeStorage",
                              STORAGE),
    "list-drbd": Command("NODE", "List the mirrored disks of a node and their DRBD minors", FIELD_LIST,
                         run="node_drbd:run"),
    "restricted-command": Command("COMMAND [NODE...]", "", sets="SPN", opcode="cluster.RestrictedCommand",
                                  run="node_restricted:run", options=(
        opt("--sync", param="use_locking", help="Let no other job act on the nodes meanwhile"), SHOW_NAMES,
        opt("-g", "--node-group", kind="str", metavar="GROUP", help="On all nodes of this group"))),
    **tag_commands("node", "NODE"),
}
