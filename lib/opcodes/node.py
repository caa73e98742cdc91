# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for nodes."""

from typing import Any

from gantry.opcodes.base import param
from gantry.opcodes.common import Command, NodeCommand
from gantry.opcodes.types import BOOL, DICT, EVACUATION_MODE, MIGRATION_MODE, NESTR, STORAGE_TYPE, STRINGS


class NodeAdd(Command):
    """Add or re-add a node (CLI first does the SSH/daemon setup)."""

    summary_field = "node_name"

    node_name: str = param(NESTR, "node name")
    hv_state: dict[str, Any] | None = param(
        DICT, "hypervisor resource overrides (unused by scheduling)", default=None)
    disk_state: dict[str, Any] | None = param(DICT, "disk resource overrides (unused by scheduling)", default=None)
    primary_ip: str | None = param(NESTR, "primary address (normally looked up)", default=None)
    secondary_ip: str | None = param(NESTR, "replication-network address", default=None)
    readd: bool = param(BOOL, "re-add a node already in the config", default=False)
    group: str | None = param(NESTR, "group name/UUID for the new node", default=None)
    master_capable: bool | None = param(BOOL, "may become (candidate) master", default=None)
    vm_capable: bool | None = param(BOOL, "may host instances", default=None)
    ndparams: dict[str, Any] | None = param(DICT, "node parameters", default=None)
    node_setup: bool = param(BOOL, "copy SSH keys to the node as part of the job", default=False)
    node_uuid: str | None = param(NESTR, "UUID in the node's certificate", default=None, hidden=True)
    certificate: str | None = param(NESTR, "digest of the node's certificate", default=None, hidden=True)


class NodeRemove(NodeCommand):
    """Remove an empty node."""


class NodeSetParams(NodeCommand):
    """Change node flags/params."""

    force: bool = param(BOOL, "skip safety refusals", default=False)
    hv_state: dict[str, Any] | None = param(
        DICT, "hypervisor resource overrides (unused by scheduling)", default=None)
    disk_state: dict[str, Any] | None = param(DICT, "disk resource overrides (unused by scheduling)", default=None)
    master_candidate: bool | None = param(BOOL, "set/clear the candidate flag", default=None)
    offline: bool | None = param(BOOL, "set/clear the offline flag", default=None)
    drained: bool | None = param(BOOL, "set/clear the drained flag", default=None)
    auto_promote: bool = param(BOOL, "promote other nodes to keep the candidate pool full", default=False)
    master_capable: bool | None = param(BOOL, "may become (candidate) master", default=None)
    vm_capable: bool | None = param(BOOL, "may host instances", default=None)
    secondary_ip: str | None = param(NESTR, "replication-network address", default=None)
    ndparams: dict[str, Any] | None = param(DICT, "node parameters", default=None)
    powered: bool | None = param(BOOL, "record the powered flag", default=None)


class NodePowercycle(NodeCommand):
    """Hard reset through the hypervisor/OS."""

    force: bool = param(BOOL, "allow powercycling the master node", default=False)


class NodeEvacuate(NodeCommand):
    """Submit one replace/migrate job chain per instance; without iallocator only `secondary-only` with
    remote_node; mode `all` is refused.
    """

    early_release: bool = param(BOOL, "drop old-storage locks as soon as data is safe", default=False)
    remote_node: str | None = param(NESTR, "new secondary node", default=None)
    remote_node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)
    mode: str = param(EVACUATION_MODE, "primary-only, secondary-only, all")
    ignore_soft_errors: bool | None = param(BOOL, "pass --ignore-soft-errors to the allocator", default=None)


class NodeMigrate(NodeCommand):
    """Submit one INSTANCE_MIGRATE job per primary instance."""

    mode: str | None = param(MIGRATION_MODE, "live / non-live; null = default", default=None)
    live: bool | None = param(BOOL, "legacy: true=live, false=non-live; excludes mode", default=None)
    target_node: str | None = param(NESTR, "target node", default=None)
    target_node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)
    allow_runtime_changes: bool = param(BOOL, "may balloon memory down to fit the target", default=True)
    ignore_ipolicy: bool = param(BOOL, "turn instance-policy violations into warnings", default=False)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)


class NodeQueryvols(Command):
    """List logical volumes."""

    output_fields: tuple[str, ...] = param(STRINGS, "columns wanted")
    nodes: tuple[str, ...] = param(STRINGS, "node names; empty = all", default=())


class NodeQueryStorage(Command):
    """List storage units."""

    output_fields: tuple[str, ...] = param(STRINGS, "columns wanted")
    storage_type: str | None = param(STORAGE_TYPE, "storage type", default=None)
    nodes: tuple[str, ...] = param(STRINGS, "node names; empty = all", default=())
    name: str | None = param(NESTR, "only this storage unit", default=None)


class NodeModifyStorage(NodeCommand):
    """Change a storage unit."""

    storage_type: str = param(STORAGE_TYPE, "storage type")
    name: str | None = param(NESTR, "storage unit name", default=None)
    changes: dict[str, Any] = param(DICT, "storage attributes to change; only allocatable (bool) exists")


class RepairNodeStorage(NodeCommand):
    """Repair a volume group."""

    storage_type: str = param(STORAGE_TYPE, "storage type")
    name: str | None = param(NESTR, "storage unit name", default=None)
    ignore_consistency: bool = param(BOOL, "go on although mirror/storage state is bad", default=False)
