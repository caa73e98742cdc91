# SPDX-License-Identifier: BSD-2-Clause
"""Disks as logical volumes: template `plain`.

Disk parameters: `stripes`; `exclusive_storage` when no other disk may share its physical volumes.  Volumes stay active
when nobody uses them.
"""

from collections.abc import Sequence

from gantry.constants import OF_INSTANCE
from gantry.errors import StorageError
from gantry.objects.instance import Disk, LvmLocation
from gantry.storage import lvm_volumes, owner
from gantry.storage.base import DiskStatus, Progress, Storage
from gantry.storage.lvm_commands import MIB, Volume
from gantry.storage.lvm_volumes import Wanted


class LvmStorage(Storage, names=("plain",)):
    """See the base class; `disk.lvm` says where."""

    def create(self, disk: Disk, *, owner_epoch: int, wipe: bool, progress: Progress) -> None:
        wanted = Wanted(where=_location(disk), size=disk.size, stripes=disk.params.get("stripes", 1),
                        exclusive=is_exclusive(disk), spindles=disk.spindles, origin=origin(disk))
        lvm_volumes.make(wanted, wipe=wipe, progress=progress)
        owner.claim_local(disk, epoch=owner_epoch)
        progress(1.0, f"disk of {disk.size} MiB made")

    def remove(self, disk: Disk) -> None:
        lvm_volumes.remove(_location(disk))
        owner.forget_local(disk)

    def open(self, disk: Disk, *, instance: str, owner_epoch: int) -> str:
        [path] = lvm_volumes.activate(_location(disk))
        owner.claim_local(disk, epoch=owner_epoch, instance=instance, opened=True)
        return str(path)

    def close(self, disk: Disk, *, instance: str) -> None:
        owner.release_local(disk)

    def status(self, disk: Disk) -> DiskStatus:
        return self.statuses([disk])[0]

    def is_open(self, disk: Disk) -> bool:
        return owner.read_local(disk).open

    def statuses(self, disks: Sequence[Disk]) -> list[DiskStatus]:
        present = lvm_volumes.find()
        return [_status(disk, present.get(_location(disk))) for disk in disks]

    def grow(self, disk: Disk, *, size: int) -> None:
        lvm_volumes.grow(_location(disk), size, exclusive=is_exclusive(disk))

    def rename(self, disk: Disk, new: Disk) -> None:
        """Also how a volume that exists already is taken over, and given back."""
        lvm_volumes.rename(_location(disk), _location(new))
        lvm_volumes.belong(origin(new), _location(new))
        owner.move_local(disk, new)

    def snapshot(self, disk: Disk, new: Disk, *, size: int, progress: Progress) -> None:
        snapshot(_location(disk), new, size, progress)


def snapshot(origin: LvmLocation, new: Disk, size: int, progress: Progress) -> None:
    """Make the plain disk `new` a snapshot of the volume `origin`."""
    progress(0.0, f"making a snapshot of {origin.vg}/{origin.lv}")
    lvm_volumes.snapshot(origin, _location(new), size)


def is_exclusive(disk: Disk) -> bool:
    return bool(disk.params.get("exclusive_storage", False))


def origin(disk: Disk) -> str:
    """The name of the disk's instance."""
    return str(disk.params.get(OF_INSTANCE, ""))


def _location(disk: Disk) -> LvmLocation:
    if disk.lvm is None:
        raise StorageError(detail=f"disk {disk.uuid} of type {disk.dev_type} has no volume in the configuration")
    return disk.lvm


def _status(disk: Disk, volume: Volume | None) -> DiskStatus:
    path = str(lvm_volumes.device(_location(disk)))
    if volume is None or lvm_volumes.NEW in volume.tags:
        return DiskStatus(path=path, exists=False)
    record = owner.read_local(disk)
    major, minor = lvm_volumes.node_number(path)
    return DiskStatus(path=path, exists=not (volume.partial or volume.lost), size=volume.size // MIB,
                      remains=volume.partial, owner_epoch=record.epoch, open=volume.active and record.open,
                      used=volume.open, major=major, minor=minor)
