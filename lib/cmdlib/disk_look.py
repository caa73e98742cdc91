# SPDX-License-Identifier: BSD-2-Clause
"""What nodes say of the disks that should be on them: volumes, devices, mirrors."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantry.cmdlib import disks as disk_records
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import NodeError
from gantry.objects.instance import Disk, Instance
from gantry.rpc import calls

Owned = Sequence[tuple[Instance, Disk]]
State = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class NodeDisks:
    """`states` by disk (UUID), as `disks_status` tells them; `missing`: of each disk the places where nothing is."""

    states: dict[str, State] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)


def places(disk: Disk, node: str) -> tuple[str, ...]:
    """What lies on the node (UUID) for this disk: a path, or VG/LV of each of its volumes there."""
    if disk.file is not None:
        return (disk.file.path,)
    if disk.lvm is not None:
        return (f"{disk.lvm.vg}/{disk.lvm.lv}",)
    end = disk.drbd.end(node) if disk.drbd is not None else None
    return () if end is None else (f"{end.data.vg}/{end.data.lv}", f"{end.meta.vg}/{end.meta.lv}")


def owners(config: Config, node: str) -> dict[str, str]:
    """Name of the instance (empty for a detached disk) by the VG/LV of each volume that should be on the node."""
    found = {}
    for disk in config.disks_on(node):
        if disk.file is None:
            owner = config.owner_of(disk.uuid)
            found.update(dict.fromkeys(places(disk, node), owner.name if owner is not None else ""))
    return found


def by_node(config: Config, instances: Iterable[Instance]) -> dict[str, list[tuple[Instance, Disk]]]:
    """Which disks should be seen on which nodes; those that every node can open on the primary."""
    found: dict[str, list[tuple[Instance, Disk]]] = {}
    for instance in instances:
        for disk in disk_records.annotated(config, instance, config.disks_of(instance)):
            for node in disk.nodes or (instance.primary_node,):
                found.setdefault(node, []).append((instance, disk))
    return found


async def look(view: View, wanted: Mapping[str, Owned]) -> dict[str, NodeDisks | NodeError]:
    """Ask these nodes about these disks, all at once."""
    answers = await asyncio.gather(*(_ask(view, node, owned) for node, owned in wanted.items()))
    return dict(zip(wanted, answers, strict=True))


async def _ask(view: View, node: str, owned: Owned) -> NodeDisks | NodeError:
    asked = [disk for _, disk in owned]
    try:
        states = await view.nodes.call(node, calls.disks_status, disks=asked)
        lvm = any(disk.file is None for disk in asked)
        volumes = await view.nodes.call(node, calls.volumes_list) if lvm else []
    except NodeError as err:
        return err
    there = {f"{row['vg']}/{row['name']}" for row in volumes}
    missing: dict[str, list[str]] = {}
    for disk, state in zip(asked, states, strict=True):
        gone = [state["path"]] if disk.file is not None and not state["exists"] else [
            place for place in places(disk, node) if disk.file is None and place not in there]
        if gone:
            missing[disk.uuid] = gone
    return NodeDisks(states={disk.uuid: state for disk, state in zip(asked, states, strict=True)}, missing=missing)


def wants_activation(disk: Disk, state: State, *, primary: bool, peer_online: bool) -> bool:
    """Whether a disk that should be in use is not, on this node; one that only lost a node that is marked offline is
    as well as it can be.
    """
    mirror = state.get("mirror")
    if disk.drbd is None or mirror is None:
        return not state["open"]
    if mirror["status"] == "down" or (primary and mirror["role"] != "Primary"):
        return True
    return mirror["status"] in ("degraded", "faulty") and peer_online
