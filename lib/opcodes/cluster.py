# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for the cluster as a whole."""

from typing import Any

from gantry.opcodes.base import param
from gantry.opcodes.common import Command
from gantry.opcodes.types import (
    BEPARAMS,
    BOOL,
    DICT,
    DICTS,
    DISK_TEMPLATES,
    FLOAT,
    HYPERVISORS,
    INT,
    LIST_EDITS,
    NESTR,
    NUMBERS,
    POSITIVE,
    PRIVATE_BY_OS,
    RANGES,
    STR,
    STRINGS,
    SWITCHES,
    UINT,
    VERIFY_CHECKS,
    VERIFY_CODES,
    one_of,
)


class ClusterPostInit(Command):
    """Run the init hooks after cluster init (submitted by `gnt-cluster init`)."""


class ClusterDestroy(Command):
    """Check the cluster is empty and run destroy hooks; client then stops daemons."""


class ClusterVerify(Command):
    """Submit one CLUSTER_VERIFY_CONFIG job plus one CLUSTER_VERIFY_GROUP job per group (each depends on
    the first with any final status); with `group_name` only that group's job.
    """

    debug_simulate_errors: bool = param(BOOL, "report every check as failed (testing)", default=False)
    error_codes: bool = param(BOOL, "prefix messages with ltype:ECODE:item: machine-readable codes", default=False)
    skip_checks: tuple[str, ...] = param(
        VERIFY_CHECKS, "optional checks to skip (nplusone_mem, hvparam_assessment)", default=())
    ignore_errors: tuple[str, ...] = param(VERIFY_CODES, "E-codes demoted to warnings", default=())
    verbose: bool = param(BOOL, "more output", default=False)
    group_name: str | None = param(NESTR, "verify only this group", default=None)
    verify_clutter: bool = param(BOOL, "also look for stale SSH keys", default=False)


class ClusterVerifyConfig(Command):
    """Check global config and certificates; problems go to the log."""

    debug_simulate_errors: bool = param(BOOL, "report every check as failed (testing)", default=False)
    error_codes: bool = param(BOOL, "prefix messages with ltype:ECODE:item: machine-readable codes", default=False)
    ignore_errors: tuple[str, ...] = param(VERIFY_CODES, "E-codes demoted to warnings", default=())
    verbose: bool = param(BOOL, "more output", default=False)


class ClusterVerifyGroup(Command):
    """Check nodes/instances of one group; problems go to the log."""

    summary_field = "group_name"

    group_name: str = param(NESTR, "group name or UUID")
    debug_simulate_errors: bool = param(BOOL, "report every check as failed (testing)", default=False)
    error_codes: bool = param(BOOL, "prefix messages with ltype:ECODE:item: machine-readable codes", default=False)
    skip_checks: tuple[str, ...] = param(
        VERIFY_CHECKS, "optional checks to skip (nplusone_mem, hvparam_assessment)", default=())
    ignore_errors: tuple[str, ...] = param(VERIFY_CODES, "E-codes demoted to warnings", default=())
    verbose: bool = param(BOOL, "more output", default=False)
    verify_clutter: bool = param(BOOL, "also look for stale SSH keys", default=False)


class ClusterVerifyDisks(Command):
    """Submit one GROUP_VERIFY_DISKS job per group."""

    group_name: str | None = param(NESTR, "verify only this group", default=None)
    is_strict: bool = param(
        BOOL, "wait for locked nodes and instances; false: skip what is locked", default=True)


class ClusterRepairDiskSizes(Command):
    """Correct recorded disk sizes."""

    instances: tuple[str, ...] = param(STRINGS, "instance names; empty = all", default=())


class ClusterRename(Command):
    """Rename the cluster / move the master IP."""

    summary_field = "name"

    name: str = param(NESTR, "new cluster name (must resolve; also sets the master IP)")


class ClusterSetParams(Command):
    """Change cluster parameters (null = leave alone)."""

    force: bool = param(BOOL, "skip safety refusals", default=False)
    hv_state: dict[str, Any] | None = param(
        DICT, "hypervisor resource overrides (unused by scheduling)", default=None)
    disk_state: dict[str, Any] | None = param(DICT, "disk resource overrides (unused by scheduling)", default=None)
    vg_name: str | None = param(STR, "LVM volume group ( disables LVM)", default=None)
    enabled_hypervisors: tuple[str, ...] | None = param(
        HYPERVISORS, "allowed hypervisors, first is the default", default=None)
    hvparams: dict[str, Any] | None = param(DICTS, "per-hypervisor default parameters", default=None)
    beparams: dict[str, Any] | None = param(BEPARAMS, "backend parameters", default=None)
    os_hvp: dict[str, Any] | None = param(DICTS, "per-OS, per-hypervisor parameter defaults", default=None)
    osparams: dict[str, Any] | None = param(DICTS, "per-OS parameter defaults", default=None)
    osparams_private_cluster: dict[str, dict[str, str]] | None = param(
        PRIVATE_BY_OS, "cluster private OS parameters", default=None)
    diskparams: dict[str, Any] | None = param(DICTS, "per-template disk parameters", default=None)
    candidate_pool_size: int | None = param(POSITIVE, "wanted number of master candidates", default=None)
    max_running_jobs: int | None = param(POSITIVE, "job slots that may run at once", default=None)
    max_tracked_jobs: int | None = param(POSITIVE, "jobs watched with inotify", default=None)
    uid_pool: tuple[tuple[int, int], ...] | None = param(
        RANGES, "replace the uid pool (list of inclusive [lo,hi])", default=None)
    add_uids: tuple[tuple[int, int], ...] | None = param(
        RANGES, "uid ranges [lo,hi] to append to the pool", default=None)
    remove_uids: tuple[tuple[int, int], ...] | None = param(
        RANGES, "uid ranges to take out of the pool", default=None)
    maintain_node_health: bool | None = param(
        BOOL, "let the watcher shut down strangers on offline nodes", default=None)
    prealloc_wipe_disks: bool | None = param(BOOL, "wipe disks before handing them out", default=None)
    nicparams: dict[str, Any] | None = param(DICT, "cluster NIC defaults (mode, link, vlan)", default=None)
    ndparams: dict[str, Any] | None = param(DICT, "node parameters", default=None)
    ipolicy: dict[str, Any] | None = param(DICT, "instance policy (partial dict)", default=None)
    drbd_helper: str | None = param(STR, "DRBD usermode helper path ( disables)", default=None)
    default_iallocator: str | None = param(STR, "allocator used when none is named ( clears)", default=None)
    default_iallocator_params: dict[str, Any] | None = param(
        DICT, "extra command-line options for the default allocator", default=None)
    mac_prefix: str | None = param(NESTR, "MAC prefix xx:xx:xx", default=None)
    master_netdev: str | None = param(STR, "interface for the master IP", default=None)
    master_netmask: int | None = param(UINT, "prefix length of the master IP", default=None)
    reserved_lvs: tuple[str, ...] | None = param(STRINGS, "LV name patterns to leave alone", default=None)
    hidden_os: tuple[tuple[str, str], ...] | None = param(LIST_EDITS, "list of [add|remove, os] edits", default=None)
    blacklisted_os: tuple[tuple[str, str], ...] | None = param(
        LIST_EDITS, "list of [add|remove, os] edits", default=None)
    use_external_mip_script: bool | None = param(BOOL, "use the site's master-IP script", default=None)
    enabled_disk_templates: tuple[str, ...] | None = param(
        DISK_TEMPLATES, "allowed templates, first is the default", default=None)
    modify_etc_hosts: bool | None = param(BOOL, "manage /etc/hosts on nodes", default=None)
    file_storage_dir: str | None = param(STR, "base directory for file disks", default=None)
    shared_file_storage_dir: str | None = param(STR, "base directory for sharedfile disks", default=None)
    gluster_storage_dir: str | None = param(STR, "mount point for gluster disks", default=None)
    install_image: str | None = param(STR, "image used by the OS-install helper VM", default=None)
    instance_communication_network: str | None = param(
        STR, "network name used for instance communication", default=None)
    zeroing_image: str | None = param(STR, "image of the zeroing helper VM", default=None)
    compression_tools: tuple[str, ...] | None = param(
        STRINGS, "allowed compressors; cannot be set through RAPI (403)", default=None)
    enabled_user_shutdown: bool | None = param(BOOL, "let guests power themselves off for good", default=None)
    enabled_data_collectors: dict[str, bool] | None = param(SWITCHES, "collector name -> on/off", default=None)
    data_collector_interval: dict[str, int] | None = param(
        NUMBERS, "collector name -> interval in microseconds", default=None)


class ClusterRedistConf(Command):
    """Push config, ssconf and ancillary files to nodes."""


class ClusterActivateMasterIp(Command):
    """Bring the master IP up."""


class ClusterDeactivateMasterIp(Command):
    """Take the master IP down."""


class ClusterRenewCrypto(Command):
    """Renew node client certificates / SSH keys (the server cert, RAPI cert, HMAC key and domain secret
    are replaced by the CLI outside the job).
    """

    node_certificates: bool = param(BOOL, "also make new per-node client certificates", default=False)
    renew_ssh_keys: bool = param(BOOL, "also renew node SSH keys", default=False)
    ssh_key_type: str | None = param(one_of("dsa", "ecdsa", "rsa"), "key type", default=None)
    ssh_key_bits: int | None = param(POSITIVE, "key size", default=None)
    verbose: bool = param(BOOL, "more output", default=False)
    debug: bool = param(BOOL, "debug output in helper scripts", default=False)


class OobCommand(Command):
    """Out-of-band power control."""

    node_names: tuple[str, ...] = param(STRINGS, "node names; empty = all", default=())
    node_uuids: tuple[str, ...] | None = param(
        STRINGS, "node UUIDs; normally filled in by the server", default=None, hidden=True)
    command: str = param(one_of("health", "power-cycle", "power-off", "power-on", "power-status"), "helper command")
    timeout: int = param(INT, "seconds before the helper is killed", default=60)
    ignore_status: bool = param(BOOL, "allow power-off of a node not marked offline", default=False)
    power_delay: float = param(FLOAT, "seconds between power-on of two nodes", default=2.0)


class RestrictedCommand(Command):
    """Run a whitelisted script on nodes."""

    use_locking: bool = param(BOOL, "true: take locks (queries: refused by the query daemon)", default=False)
    nodes: tuple[str, ...] = param(STRINGS, "node names")
    node_uuids: tuple[str, ...] | None = param(
        STRINGS, "node UUIDs; normally filled in by the server", default=None, hidden=True)
    command: str = param(NESTR, "script name in the restricted-commands dir")


class OsDiagnose(Command):
    """List OS definitions."""

    output_fields: tuple[str, ...] = param(STRINGS, "columns wanted")
    names: tuple[str, ...] = param(STRINGS, "restrict to these names; empty = all", default=())


class ExtStorageDiagnose(Command):
    """List ext-storage providers."""

    output_fields: tuple[str, ...] = param(STRINGS, "columns wanted")
    names: tuple[str, ...] = param(STRINGS, "restrict to these names; empty = all", default=())


class ClusterQuery(Command):
    """Cluster info as a job (LUXI QueryClusterInfo is what clients use)."""


class ClusterConfigQuery(Command):
    """Selected cluster fields (legacy)."""

    output_fields: tuple[str, ...] = param(STRINGS, "columns wanted")
