# SPDX-License-Identifier: BSD-2-Clause
"""gnt-instance: instances."""

from gantry.cli.declare import Command, flag, opt
from gantry.cli.lists import Listing, fields_command, list_command
from gantry.cli.options import (
    BACKEND,
    DISK,
    EARLY_RELEASE,
    FORCE,
    FORCE_PARAM,
    HYPERVISOR,
    HYPERVISOR_KEYS,
    IALLOCATOR,
    IGNORE_CONSISTENCY,
    IGNORE_IPOLICY,
    MIGRATION,
    NET,
    NO_CONFLICTS_CHECK,
    NO_RUNTIME_CHANGES,
    NO_WAIT_FOR_SYNC,
    NODE,
    NODE_GROUP,
    OS_PARAMS,
    OS_PRIVATE,
    OS_SECRET,
    OS_TYPE,
    PLACEMENT,
    SELECTION,
    SHUTDOWN_TIMEOUT,
    TARGET_NODE,
    TO_GROUPS,
)
from gantry.cli.tags import tag_commands

LISTING = Listing("instance", "name,hypervisor,os,pnode,status,oper_ram")

NAME = ("instance_name",)
FORCE_VARIANT = opt("--force-variant", param="force_variant")
FILE_STORAGE = (opt("--file-storage-dir", param="file_storage_dir", metavar="DIR"),
                opt("--file-driver", param="file_driver", metavar="DRIVER"))
TEMPLATE = opt("-t", "--disk-template", param="disk_template", metavar="TEMPLATE")
COMMUNICATION = opt("-c", "--communication", kind="yesno", param="instance_communication", metavar="yes|no")
IGNORE_OFFLINE = opt("--ignore-offline", param="ignore_offline_nodes")
NO_REMEMBER = opt("--no-remember", param="no_remember")
CLEANUP = opt("--cleanup", param="cleanup")
NAME_CHECKS = (
    opt("--name-check", param="name_check"), opt("--ip-check", param="ip_check"),
    flag("--no-name-check", help="Accepted for compatibility: the name is not checked anyway"),
    flag("--no-ip-check", help="Accepted for compatibility: the address is not checked anyway"),
)
HELPER = (opt("--helper-startup-timeout", param="helper_startup_timeout", metavar="SECONDS"),
          opt("--helper-shutdown-timeout", param="helper_shutdown_timeout", metavar="SECONDS"))

CREATION = (
    BACKEND, DISK, TEMPLATE, *FILE_STORAGE, HYPERVISOR, IALLOCATOR, NET, PLACEMENT, NODE_GROUP, *NAME_CHECKS,
    NO_CONFLICTS_CHECK, opt("--no-nics", param="no_nics", help="Create it without network interfaces"),
    NO_WAIT_FOR_SYNC, OS_PARAMS, OS_PRIVATE, OS_SECRET,
    opt("-s", "--os-size", kind="size", metavar="SIZE", help="One disk of SIZE"),
    opt("--opportunistic-locking", param="opportunistic_locking"), opt("--tags", param="tags", metavar="TAG,..."),
    IGNORE_IPOLICY, *HELPER)
"""What gnt-instance add and gnt-backup import have in common."""

SPECIFIC = "Only some instances: names, patterns such as web*, or what a selection option says"

COMMANDS = {
    "list": list_command(LISTING, "[INSTANCE...]", "List instances", units=True, filters=True),
    "list-fields": fields_command("instance"),
    "info": Command("[INSTANCE...]", "Show all about instances", sets="P", opcode="instance.InstanceQueryData",
                    run="instance_info:run", options=(
        opt("-s", "--static", param="static"), flag("--all", help="All instances"),
        flag("--roman", help="Accepted for compatibility"))),
    "add": Command("INSTANCE", "Create an instance", sets="SPN", opcode="instance.InstanceCreate", positional=NAME,
                   run="instance_add:add", options=(
        *CREATION, opt("--forthcoming", param="forthcoming"), opt("--commit", param="commit"),
        opt("--no-start", param="start", help="Leave it stopped"), OS_TYPE, FORCE_VARIANT,
        opt("--no-install", param="no_install", kind="flag", value=True), COMMUNICATION)),
    "batch-create": Command("FILE", "Create many instances", (IALLOCATOR,), "SPN", "instance.InstanceMultiAlloc",
                            run="instance_batch:run"),
    "remove": Command("INSTANCE", "Stop an instance and delete its disks", sets="SPN",
                      opcode="instance.InstanceRemove", positional=NAME, run="instance_simple:remove", options=(
        FORCE, SHUTDOWN_TIMEOUT, opt("--ignore-failures", param="ignore_failures"))),
    "startup": Command("[INSTANCE...]", "Start instances", sets="SPN", opcode="instance.InstanceStartup",
                       run="instance_several:run", data="startup", options=(
        FORCE_PARAM, *SELECTION, HYPERVISOR_KEYS, BACKEND, IGNORE_OFFLINE, NO_REMEMBER,
        opt("--paused", param="startup_paused"))),
    "shutdown": Command("[INSTANCE...]", "Stop instances", sets="SPN", opcode="instance.InstanceShutdown",
                        run="instance_several:run", data="shutdown", options=(
        FORCE_PARAM, *SELECTION, opt("--timeout", param="timeout", metavar="SECONDS"), IGNORE_OFFLINE, NO_REMEMBER)),
    "reboot": Command("[INSTANCE...]", "Reboot instances", sets="SPN", opcode="instance.InstanceReboot",
                      run="instance_several:run", data="reboot", fixed=(("reboot_type", "hard"),), options=(
        *SELECTION, opt("-t", "--type", param="reboot_type", metavar="TYPE"),
        opt("--ignore-secondaries", param="ignore_secondaries"), SHUTDOWN_TIMEOUT)),
    "reinstall": Command("[INSTANCE...]", "Install the OS again", sets="SPN", opcode="instance.InstanceReinstall",
                         run="instance_several:run", data="reinstall", options=(
        FORCE, *SELECTION, OS_TYPE, FORCE_VARIANT, flag("--select-os", help="Choose the OS from a menu"), OS_PARAMS,
        OS_PRIVATE, OS_SECRET)),
    "console": Command("INSTANCE", "Open an instance's console; Ctrl-] leaves it", sets="P",
                       run="instance_console:run", options=(
        flag("--show-cmd", help="Print the command instead of running it"),)),
    "modify": Command("INSTANCE", "Change an instance", sets="SPN", opcode="instance.InstanceSetParams",
                      positional=NAME, run="instance_modify:run", options=(
        BACKEND, DISK, FORCE_PARAM, HYPERVISOR_KEYS, NET, TEMPLATE, opt("--live", param="live"),
        opt("-n", "--node", param="remote_node", metavar="NODE"), IALLOCATOR,
        opt("-o", "--os-type", param="os_name", metavar="OS[+VARIANT]"), FORCE_VARIANT, OS_PARAMS, OS_PRIVATE,
        NO_WAIT_FOR_SYNC, flag("--offline", help="Mark it offline"), flag("--online", help="Mark it down again"),
        IGNORE_IPOLICY, opt("-m", "--runtime-memory", param="runtime_mem", kind="size", metavar="SIZE"),
        NO_CONFLICTS_CHECK, opt("--new-primary", param="pnode", metavar="NODE"),
        flag("--hotplug", help="Accepted for compatibility: changes reach the running guest where they can anyway"),
        opt("--hotplug-if-possible", param="hotplug_if_possible",
            help="Say nothing where changes cannot reach the running guest"),
        opt("--no-hotplug", param="hotplug", help="Leave the running guest alone; changes wait for its next start"),
        COMMUNICATION, opt("-e", "--ext-params", param="ext_params", kind="keyval", metavar="provider=NAME,..."),
        *FILE_STORAGE)),
    "grow-disk": Command("INSTANCE DISK SIZE", "", sets="SPN", opcode="instance.InstanceGrowDisk",
                         run="instance_simple:grow_disk", options=(
        NO_WAIT_FOR_SYNC, opt("--absolute", param="absolute"), IGNORE_IPOLICY)),
    "change-group": Command("INSTANCE", "Move an instance to another group", (TO_GROUPS, IALLOCATOR, EARLY_RELEASE),
                            "SPN", "instance.InstanceChangeGroup", NAME, run="instance_simple:change_group"),
    "migrate": Command("INSTANCE", "Migrate a running instance", sets="SPN", opcode="instance.InstanceMigrate",
                       positional=NAME, run="instance_simple:migrate", options=(
        FORCE, *MIGRATION, CLEANUP, TARGET_NODE, IALLOCATOR, opt("--allow-failover", param="allow_failover"),
        IGNORE_IPOLICY, opt("--ignore-hvversions", param="ignore_hvversions"), NO_RUNTIME_CHANGES)),
    "failover": Command("INSTANCE", "Stop an instance and start it on another node", sets="SPN",
                        opcode="instance.InstanceFailover", positional=NAME, run="instance_simple:failover", options=(
        FORCE, IGNORE_CONSISTENCY, SHUTDOWN_TIMEOUT, TARGET_NODE, IALLOCATOR, IGNORE_IPOLICY, CLEANUP)),
    "move": Command("INSTANCE", "Copy an instance's disks to another node", sets="SPN",
                    opcode="instance.InstanceMove", positional=NAME, run="instance_simple:move", options=(
        FORCE, NODE._replace(param="target_node"), opt("--compress", param="compress", metavar="TOOL"),
        SHUTDOWN_TIMEOUT, IGNORE_CONSISTENCY, IGNORE_IPOLICY)),
    "replace-disks": Command("INSTANCE", "Replace DRBD storage or the secondary node", sets="SPN",
                             opcode="instance.InstanceReplaceDisks", positional=NAME,
                             run="instance_disks:replace", options=(
        flag("-a", "--auto", help="Find and repair broken disks"),
        opt("--disks", kind="str", metavar="IDX,...", help="Only these disks"), IALLOCATOR, EARLY_RELEASE,
        opt("-n", "--new-secondary", param="remote_node", metavar="NODE"),
        flag("-p", "--on-primary", help="New storage on the primary node"),
        flag("-s", "--on-secondary", help="New storage on the secondary node"), IGNORE_IPOLICY)),
    "activate-disks": Command("INSTANCE", "", sets="SPN", opcode="instance.InstanceActivateDisks", positional=NAME,
                              run="instance_disks:activate", options=(
        opt("--ignore-size", param="ignore_size"), opt("--wait-for-sync", param="wait_for_sync"))),
    "deactivate-disks": Command("INSTANCE", "", (FORCE_PARAM,), "SPN", "instance.InstanceDeactivateDisks", NAME),
    "recreate-disks": Command("INSTANCE", "", (DISK, PLACEMENT, IALLOCATOR), "SPN", "instance.InstanceRecreateDisks",
                              NAME, run="instance_disks:recreate"),
    "rename": Command("OLD NEW", "Rename a stopped instance", (FORCE, *NAME_CHECKS), "SPN",
                      "instance.InstanceRename", ("instance_name", "new_name"), run="submit:run_and_say",
                      data="Instance '{0}' renamed to '{result}'"),
    **tag_commands("instance", "INSTANCE"),
}
