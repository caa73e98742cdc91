# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes for node groups."""

from typing import Any

from gantry.opcodes.base import param
from gantry.opcodes.common import Command
from gantry.opcodes.types import ALLOC_POLICY, BOOL, DICT, DICTS, NESTR, STRINGS


class GroupVerifyDisks(Command):
    """Find broken volumes/mirrors of a group."""

    summary_field = "group_name"

    group_name: str = param(NESTR, "group name or UUID")
    is_strict: bool = param(
        BOOL, "wait for locked nodes and instances; false: skip what is locked", default=True)


class GroupAdd(Command):
    """Create a group."""

    summary_field = "group_name"

    group_name: str = param(NESTR, "name of the new group")
    alloc_policy: str | None = param(ALLOC_POLICY, "allocation preference of the group", default=None)
    ndparams: dict[str, Any] | None = param(DICT, "node parameters", default=None)
    diskparams: dict[str, Any] | None = param(DICTS, "per-template disk parameters", default=None)
    hv_state: dict[str, Any] | None = param(
        DICT, "hypervisor resource overrides (unused by scheduling)", default=None)
    disk_state: dict[str, Any] | None = param(DICT, "disk resource overrides (unused by scheduling)", default=None)
    ipolicy: dict[str, Any] | None = param(DICT, "instance policy (partial dict)", default=None)


class GroupAssignNodes(Command):
    """Move nodes into the group."""

    summary_field = "group_name"

    group_name: str = param(NESTR, "group name or UUID")
    force: bool = param(BOOL, "allow moves that split mirrored instances over groups", default=False)
    nodes: tuple[str, ...] = param(STRINGS, "node names")
    node_uuids: tuple[str, ...] | None = param(
        STRINGS, "node UUIDs; normally filled in by the server", default=None, hidden=True)


class GroupSetParams(Command):
    """Modify a group."""

    summary_field = "group_name"

    group_name: str = param(NESTR, "group name or UUID")
    alloc_policy: str | None = param(ALLOC_POLICY, "allocation preference of the group", default=None)
    ndparams: dict[str, Any] | None = param(DICT, "node parameters", default=None)
    diskparams: dict[str, Any] | None = param(DICTS, "per-template disk parameters", default=None)
    hv_state: dict[str, Any] | None = param(
        DICT, "hypervisor resource overrides (unused by scheduling)", default=None)
    disk_state: dict[str, Any] | None = param(DICT, "disk resource overrides (unused by scheduling)", default=None)
    ipolicy: dict[str, Any] | None = param(DICT, "instance policy (partial dict)", default=None)


class GroupRemove(Command):
    """Remove an empty group (not the last one)."""

    summary_field = "group_name"

    group_name: str = param(NESTR, "group name or UUID")


class GroupRename(Command):
    """Rename."""

    group_name: str = param(NESTR, "group name or UUID")
    new_name: str = param(NESTR, "new name")


class GroupEvacuate(Command):
    """Move all instances to other groups, submit jobs."""

    summary_field = "group_name"

    group_name: str = param(NESTR, "group name or UUID")
    early_release: bool = param(BOOL, "drop old-storage locks as soon as data is safe", default=False)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)
    target_groups: tuple[str, ...] | None = param(STRINGS, "group names/UUIDs; null = any other group", default=None)
    sequential: bool = param(BOOL, "chain the generated jobs with dependencies", default=False)
    force_failover: bool = param(BOOL, "never live-migrate, always fail over", default=False)
