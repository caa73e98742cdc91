# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for instances."""

from typing import Any

from gantry.opcodes.base import param
from gantry.opcodes.common import Command, InstanceCommand
from gantry.opcodes.types import (
    BEPARAMS,
    BOOL,
    DICT,
    DISK_EDITS,
    DISK_INDEX,
    DISK_INDICES,
    DISK_TEMPLATE,
    DISKS,
    DISKS_AGAIN,
    EMPTY,
    FILE_DRIVER,
    HYPERVISOR,
    INT,
    LIST,
    LIST_OF_DICTS,
    MIGRATION_MODE,
    NESTR,
    NIC_EDITS,
    NICS,
    POSITIVE,
    PRIVATE,
    SECRET,
    STR,
    STRINGS,
    TAGS,
    UINT,
    one_of,
)


class InstanceCreate(Command):
    """Create/import an instance."""

    summary_field = "instance_name"

    instance_name: str = param(STR, "instance name")
    force_variant: bool = param(BOOL, "accept an OS variant the definition does not list", default=False)
    wait_for_sync: bool = param(BOOL, "wait for the mirror to be in sync before success", default=True)
    name_check: bool = param(BOOL, "require the name to resolve, store the FQDN", default=False)
    ignore_ipolicy: bool = param(BOOL, "turn instance-policy violations into warnings", default=False)
    opportunistic_locking: bool = param(
        BOOL, "use only nodes whose lock is free now (needs iallocator)", default=False)
    beparams: dict[str, Any] = param(BEPARAMS, "backend parameters", default=EMPTY)
    disks: tuple[dict[str, Any], ...] = param(
        DISKS,
        "a dictionary a disk: size (MiB or unit string), mode (rw, ro), vg, metavg, adopt, name, spindles, "
        "provider, access, and keys of the external storage provider")
    disk_template: str | None = param(DISK_TEMPLATE, "disk layout", default=None)
    group_name: str | None = param(NESTR, "restrict allocation to this group", default=None)
    file_driver: str | None = param(FILE_DRIVER, "driver for file disks", default=None)
    file_storage_dir: str | None = param(
        NESTR, "sub-directory (under the cluster file dir) for file disks", default=None)
    hvparams: dict[str, Any] = param(DICT, "hypervisor parameters", default=EMPTY)
    hypervisor: str | None = param(HYPERVISOR, "hypervisor for the instance", default=None)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)
    identify_defaults: bool = param(BOOL, "drop submitted values equal to cluster defaults", default=False)
    ip_check: bool = param(
        BOOL, "ping the resolved address and refuse if it answers (needs name_check)", default=False)
    conflicts_check: bool = param(BOOL, "refuse addresses that collide with a managed network/pool", default=True)
    mode: str = param(one_of("create", "import", "remote-import"), "create, import, remote-import")
    nics: tuple[dict[str, Any], ...] = param(
        NICS, "NIC dicts: keys mac, ip, mode, link, vlan, bridge, network, name; mac default auto")
    no_nics: bool = param(BOOL, "no network interfaces, also where an export has some", default=False)
    no_install: bool | None = param(BOOL, "do not run OS scripts (also forces start=false)", default=None)
    osparams: dict[str, Any] = param(DICT, "public OS parameters", default=EMPTY)
    osparams_private: dict[str, str] | None = param(
        PRIVATE, "private OS parameters (stored, never shown)", default=None)
    osparams_secret: dict[str, str] | None = param(
        SECRET, "secret OS parameters (never written to the job file; stored as <redacted>)", default=None)
    os_type: str | None = param(NESTR, "OS as name or name+variant", default=None)
    pnode: str | None = param(NESTR, "primary node", default=None)
    pnode_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    snode: str | None = param(NESTR, "secondary node (drbd)", default=None)
    snode_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    source_handshake: list[Any] | None = param(LIST, "signed handshake from the source cluster", default=None)
    source_instance_name: str | None = param(NESTR, "name on the source cluster", default=None)
    source_shutdown_timeout: int = param(UINT, "stop timeout on the source", default=120)
    source_x509_ca: str | None = param(NESTR, "signed source CA (PEM)", default=None)
    src_node: str | None = param(NESTR, "node holding the export", default=None)
    src_node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    src_path: str | None = param(NESTR, "export directory (relative = under the export dir)", default=None)
    compress: str = param(
        STR, "compression tool for the transfer (none, or one of the cluster's compression_tools)", default="none")
    start: bool = param(BOOL, "start when done", default=True)
    forthcoming: bool = param(BOOL, "only reserve resources, create nothing", default=False)
    commit: bool = param(BOOL, "turn a forthcoming instance into a real one", default=False)
    tags: tuple[str, ...] = param(TAGS, "tags", default=())
    instance_communication: bool = param(BOOL, "add/remove the metadata NIC", default=False)
    helper_startup_timeout: int | None = param(INT, "seconds for the OS-install helper VM to boot", default=None)
    helper_shutdown_timeout: int | None = param(INT, "seconds for the OS-install helper VM to stop", default=None)


class InstanceMultiAlloc(Command):
    """Allocate many instances, submit one INSTANCE_CREATE job each."""

    opportunistic_locking: bool = param(
        BOOL, "use only nodes whose lock is free now (needs iallocator)", default=False)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)
    instances: tuple[dict[str, Any], ...] = param(
        LIST_OF_DICTS, "list of OP_INSTANCE_CREATE dicts (with OP_ID)", default=())


class InstanceRemove(InstanceCommand):
    """Stop and delete."""

    shutdown_timeout: int = param(UINT, "seconds to wait for a clean stop", default=120)
    ignore_failures: bool = param(BOOL, "remove from config even if stop/disk removal fails", default=False)


class InstanceStartup(InstanceCommand):
    """Start; sets admin_state up unless no_remember."""

    force: bool = param(BOOL, "start although secondary disks are degraded", default=False)
    ignore_offline_nodes: bool = param(BOOL, "act on config only when the primary is offline", default=False)
    hvparams: dict[str, Any] = param(DICT, "one-boot overrides, not stored", default=EMPTY)
    beparams: dict[str, Any] = param(BEPARAMS, "one-boot overrides, not stored", default=EMPTY)
    no_remember: bool = param(BOOL, "do not store the new admin state", default=False)
    startup_paused: bool = param(BOOL, "start with CPUs halted", default=False)
    shutdown_timeout: int = param(UINT, "seconds to wait for a clean stop", default=120)


class InstanceShutdown(InstanceCommand):
    """Stop; sets admin_state down unless no_remember."""

    force: bool = param(BOOL, "pull the plug (no clean shutdown)", default=False)
    ignore_offline_nodes: bool = param(BOOL, "act on config only when the primary is offline", default=False)
    timeout: int = param(UINT, "seconds to wait for a clean stop", default=120)
    no_remember: bool = param(BOOL, "do not store the new admin state", default=False)
    admin_state_source: str | None = param(
        one_of("admin", "user"), "who asked for the stop: admin or user (stored in config)", default=None)


class InstanceReboot(InstanceCommand):
    """Soft/hard reboot, or full = stop+start."""

    shutdown_timeout: int = param(UINT, "seconds to wait for a clean stop", default=120)
    ignore_secondaries: bool = param(BOOL, "reboot although secondary disks fail", default=False)
    reboot_type: str = param(one_of("full", "hard", "soft"), "soft, hard, full")


class InstanceSetParams(InstanceCommand):
    """Modify."""

    force: bool = param(BOOL, "skip safety refusals", default=False)
    force_variant: bool = param(BOOL, "accept an OS variant the definition does not list", default=False)
    ignore_ipolicy: bool = param(BOOL, "turn instance-policy violations into warnings", default=False)
    nics: tuple[tuple[str, int | str, dict[str, Any]], ...] = param(NIC_EDITS, "device edits, see notes", default=())
    disks: tuple[tuple[str, int | str, dict[str, Any]], ...] = param(
        DISK_EDITS, "device edits, see notes", default=())
    beparams: dict[str, Any] = param(BEPARAMS, "backend parameters", default=EMPTY)
    runtime_mem: int | None = param(POSITIVE, "balloon the running guest to this many MiB", default=None)
    hvparams: dict[str, Any] = param(DICT, "hypervisor parameters", default=EMPTY)
    disk_template: str | None = param(DISK_TEMPLATE, "disk layout", default=None)
    live: bool = param(BOOL, "with disk_template: convert the disks while the guest runs", default=False)
    ext_params: dict[str, Any] = param(DICT, "ext-storage parameters used while converting to ext", default=EMPTY)
    file_driver: str | None = param(FILE_DRIVER, "driver for file disks", default=None)
    file_storage_dir: str | None = param(
        NESTR, "sub-directory (under the cluster file dir) for file disks", default=None)
    pnode: str | None = param(
        NESTR, "declare a new primary without moving data (refused while running, unless force)", default=None)
    pnode_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    remote_node: str | None = param(NESTR, "new secondary node", default=None)
    remote_node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)
    os_name: str | None = param(NESTR, "change the recorded OS without reinstalling", default=None)
    osparams: dict[str, Any] = param(DICT, "public OS parameters", default=EMPTY)
    osparams_private: dict[str, str] | None = param(
        PRIVATE, "private OS parameters (stored, never shown)", default=None)
    wait_for_sync: bool = param(BOOL, "wait for the mirror to be in sync before success", default=True)
    offline: bool | None = param(BOOL, "true: admin_state offline; false: back to down", default=None)
    conflicts_check: bool = param(BOOL, "refuse addresses that collide with a managed network/pool", default=True)
    hotplug: bool = param(BOOL, "apply NIC/disk change to the running guest", default=True)
    hotplug_if_possible: bool = param(BOOL, "try hotplug, else apply at next boot", default=False)
    instance_communication: bool | None = param(BOOL, "add/remove the metadata NIC", default=None)


class InstanceMigrate(InstanceCommand):
    """Live migration."""

    mode: str | None = param(MIGRATION_MODE, "live / non-live; null = hypervisor's migration_mode", default=None)
    live: bool | None = param(BOOL, "legacy: true=live, false=non-live; excludes mode", default=None)
    target_node: str | None = param(NESTR, "target node", default=None)
    target_node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    allow_runtime_changes: bool = param(BOOL, "may balloon memory down to fit the target", default=True)
    ignore_ipolicy: bool = param(BOOL, "turn instance-policy violations into warnings", default=False)
    cleanup: bool = param(BOOL, "recover from a broken earlier migration instead of migrating", default=False)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)
    allow_failover: bool = param(BOOL, "fall back to failover when live migration is impossible", default=False)
    ignore_hvversions: bool = param(BOOL, "allow migration between differing hypervisor versions", default=False)


class InstanceFailover(InstanceCommand):
    """Stop, switch primary, start."""

    shutdown_timeout: int = param(UINT, "seconds to wait for a clean stop", default=120)
    ignore_consistency: bool = param(BOOL, "go on although mirror/storage state is bad", default=False)
    target_node: str | None = param(NESTR, "target node", default=None)
    target_node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    ignore_ipolicy: bool = param(BOOL, "turn instance-policy violations into warnings", default=False)
    cleanup: bool = param(BOOL, "recover from a broken earlier migration instead of migrating", default=False)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)


class InstanceMove(InstanceCommand):
    """Move by copying (plain/file)."""

    shutdown_timeout: int = param(UINT, "seconds to wait for a clean stop", default=120)
    ignore_ipolicy: bool = param(BOOL, "turn instance-policy violations into warnings", default=False)
    target_node: str = param(NESTR, "target node")
    target_node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    compress: str = param(
        STR, "compression tool for the transfer (none, or one of the cluster's compression_tools)", default="none")
    ignore_consistency: bool = param(BOOL, "go on although mirror/storage state is bad", default=False)


class InstanceReplaceDisks(InstanceCommand):
    """Replace drbd storage or secondary."""

    early_release: bool = param(BOOL, "drop old-storage locks as soon as data is safe", default=False)
    ignore_ipolicy: bool = param(BOOL, "turn instance-policy violations into warnings", default=False)
    mode: str = param(
        one_of("replace_on_primary", "replace_on_secondary", "replace_new_secondary", "replace_auto"),
        "which storage to replace")
    disks: tuple[int, ...] = param(DISK_INDICES, "disk indices; empty = all", default=())
    remote_node: str | None = param(NESTR, "new secondary node", default=None)
    remote_node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)


class InstanceGrowDisk(InstanceCommand):
    """Grow a disk."""

    wait_for_sync: bool = param(BOOL, "wait for the mirror to be in sync before success", default=True)
    disk: int = param(DISK_INDEX, "disk index")
    amount: int = param(UINT, "MiB to add, or final MiB if absolute")
    absolute: bool = param(BOOL, "true: amount is the final size; false: it is an increment", default=False)
    ignore_ipolicy: bool = param(BOOL, "turn instance-policy violations into warnings", default=False)


class InstanceRecreateDisks(InstanceCommand):
    """Re-create missing disks."""

    disks: tuple[tuple[int, dict[str, Any]], ...] = param(
        DISKS_AGAIN, "indices, or [index, {changes}] pairs (size, mode, spindles); empty = all", default=())
    nodes: tuple[str, ...] = param(STRINGS, "new node(s): 2 for drbd, 1 otherwise; empty = keep", default=())
    node_uuids: tuple[str, ...] | None = param(
        STRINGS, "node UUIDs; normally filled in by the server", default=None, hidden=True)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)


class InstanceActivateDisks(InstanceCommand):
    """Assemble disks."""

    ignore_size: bool = param(BOOL, "assemble disks with the size found, not the recorded one", default=False)
    wait_for_sync: bool = param(BOOL, "wait for the mirror to be in sync before success", default=False)


class InstanceDeactivateDisks(InstanceCommand):
    """Stop disks."""

    force: bool = param(BOOL, "deactivate without checking that the guest is down", default=False)


class InstanceReinstall(InstanceCommand):
    """Rerun the OS install."""

    force_variant: bool = param(BOOL, "accept an OS variant the definition does not list", default=False)
    os_type: str | None = param(NESTR, "OS as name or name+variant", default=None)
    osparams: dict[str, Any] | None = param(DICT, "public OS parameters", default=None)
    osparams_private: dict[str, str] | None = param(
        PRIVATE, "private OS parameters (stored, never shown)", default=None)
    osparams_secret: dict[str, str] | None = param(
        SECRET, "secret OS parameters (never written to the job file; stored as <redacted>)", default=None)


class InstanceRename(InstanceCommand):
    """Rename an instance."""

    summary_field = None

    new_name: str = param(NESTR, "new name")
    name_check: bool = param(BOOL, "require the name to resolve, store the FQDN", default=False)
    ip_check: bool = param(
        BOOL, "ping the resolved address and refuse if it answers (needs name_check)", default=False)


class InstanceConsole(InstanceCommand):
    """How to reach the console (RAPI and the CLI use the `console` query field instead)."""


class InstanceChangeGroup(InstanceCommand):
    """Plan a move to another group, submit jobs."""

    early_release: bool = param(BOOL, "drop old-storage locks as soon as data is safe", default=False)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)
    target_groups: tuple[str, ...] | None = param(STRINGS, "group names/UUIDs; null = any other group", default=None)


class InstanceQueryData(Command):
    """Full data for `gnt-instance info` and RAPI /info."""

    use_locking: bool = param(BOOL, "true: take locks (queries: refused by the query daemon)", default=False)
    instances: tuple[str, ...] = param(STRINGS, "instance names; empty = all", default=())
    static: bool = param(BOOL, "true: config only, no node RPC and no locks", default=False)
