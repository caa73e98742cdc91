# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of an instance's disks: disks for a while, on its primary node, that no record names.

Volumes share their blocks, so a snapshot has room for changes only, and is lost when that is used up.  Disk files are
copied: nobody may write on them meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from gantry.cmdlib import disks, steps
from gantry.cmdlib.checks import node_info
from gantry.cmdlib.view import View
from gantry.constants import DiskTemplate
from gantry.errors import NoResources, WrongState
from gantry.objects import codec
from gantry.objects.instance import Disk, LvmLocation
from gantry.objects.plan import Step, Task

COPY_RATE = 200.0
"""MiB a second that copying a disk file is expected to take, for progress."""
LEAST_SHARE = 0.1
"""Of the size of a disk: with less room for changes no snapshot of it is begun."""
USABLE = 0.9
"""Of the free space of a volume group: volumes are rounded up to whole extents, and others want to grow."""
MARGIN = 8
"""MiB that a snapshot has beside its changes, for the list of them."""
RESERVED = "snapshot"
"""Kind of the reservations of copied files, which other groups' nodes may see as well: their paths."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """`disk` is what it is made of, `made` what it will be, with `room` MiB for changes."""

    disk: Disk
    made: Disk
    room: int

    @property
    def copies(self) -> bool:
        return self.made.file is not None


async def of_all(view: View, guest: steps.Guest) -> tuple[Snapshot, ...]:
    """Of all disks; raises WrongState where there can be none, NoResources without room for them."""
    made = tuple(_placed(view, guest, index, disk) for index, disk in enumerate(guest.disks))
    return await _with_room(view, guest, made)


def reserves(found: Iterable[Snapshot]) -> tuple[tuple[str, str], ...]:
    return tuple((RESERVED, item.made.file.path) for item in found if item.made.file is not None)


def place_of(disk: Disk) -> str:
    """What it is called on its node."""
    if disk.lvm is not None:
        return f"{disk.lvm.vg}/{disk.lvm.lv}"
    return disk.file.path if disk.file is not None else disk.ext.volume if disk.ext is not None else disk.uuid


def make(guest: steps.Guest, index: int, snapshot: Snapshot) -> Step:
    """Undone, it is removed."""
    what = "a copy" if snapshot.copies else "a snapshot"
    shown = disks.shown(index, snapshot.disk)
    return Step(title=f"* making {what} of {shown} of instance {guest.name} on {guest.place}",
                action=Task(node=guest.node.uuid, call="disk_snapshot", args={
                    "disk": codec.encode(snapshot.disk), "snapshot": codec.encode(snapshot.made),
                    "size": snapshot.room}),
                undo=steps.remove_disk(snapshot.made, guest.node.uuid),
                weight=1.0 + (snapshot.disk.size / COPY_RATE if snapshot.copies else 0.0))


def remove(guest: steps.Guest, index: int, snapshot: Snapshot) -> Step:
    """One that cannot be removed is named in the job's log."""
    return Step(title=f"* removing the snapshot {place_of(snapshot.made)} of disk/{index} on {guest.place}",
                action=steps.remove_disk(snapshot.made, guest.node.uuid), may_fail=True, weight=1.0)


def _placed(view: View, guest: steps.Guest, index: int, disk: Disk) -> Disk:
    uuid = view.new_uuid()
    new = replace(disk, uuid=uuid, name="", nodes=(guest.node.uuid,) if disk.nodes else ())
    if disk.drbd is not None:
        end = disk.drbd.end(guest.node.uuid)
        if end is None:
            raise WrongState(detail=f"disk/{index} of instance {guest.name} has no data on its primary node")
        return replace(new, dev_type=DiskTemplate.PLAIN, drbd=None, params={},
                       lvm=LvmLocation(vg=end.data.vg, lv=f"{uuid}.disk{index}"))
    if disk.lvm is not None:
        return replace(new, lvm=LvmLocation(vg=disk.lvm.vg, lv=f"{uuid}.disk{index}"))
    if disk.file is not None:
        path = PurePosixPath(disk.file.path).with_name(f"{uuid}.{disk.dev_type.value}.disk{index}")
        return replace(new, file=replace(disk.file, path=str(path)))
    if disk.ext is not None:
        return replace(new, ext=replace(disk.ext, volume=f"{uuid}.ext.disk{index}"))
    raise WrongState(detail=f"disk/{index} of instance {guest.name} ({disk.dev_type}) has no snapshots")


async def _with_room(view: View, guest: steps.Guest, made: tuple[Disk, ...]) -> tuple[Snapshot, ...]:
    """All the changes that can be, where the volume group has so much room; else what there is, by size."""
    where = disks.Layout(template=guest.instance.disk_template, node=guest.node.uuid)
    await disks.require_room(view, disks.wanted_room(view.config, where, (item for item in made if item.file)))
    groups = sorted({item.lvm.vg for item in made if item.lvm is not None})
    info = await node_info(view, guest.node.uuid, storage=[["lvm-vg", vg] for vg in groups]) if groups else None
    share = {vg: 1.0 for vg in groups}
    for unit in info.storage if info is not None else ():
        size = sum(_most(item) for item in made if item.lvm is not None and item.lvm.vg == unit.name)
        share[unit.name] = min(1.0, USABLE * unit.free / size)
        if share[unit.name] < LEAST_SHARE:
            raise NoResources(detail=f"Not enough disk space on node {guest.place} in volume group {unit.name} for "
                                     f"snapshots of instance {guest.name}: {int(size * LEAST_SHARE / USABLE)} MiB are "
                                     f"needed at least, {unit.free} MiB are free")
        if share[unit.name] < 1.0:
            view.warn(f"Volume group {unit.name} on node {guest.place} has {unit.free} MiB free: when more than "
                      f"{int(share[unit.name] * size)} MiB of the disks of instance {guest.name} are written while it "
                      "is exported, the export fails")
    return tuple(Snapshot(disk=disk, made=new, room=int(_most(new) * (share[new.lvm.vg] if new.lvm else 1.0)))
                 for disk, new in zip(guest.disks, made, strict=True))


def _most(disk: Disk) -> int:
    """MiB for a change of all of it."""
    return disk.size + disk.size // 100 + MARGIN
