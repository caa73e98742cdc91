# SPDX-License-Identifier: BSD-2-Clause
"""Calls about mirrored disks, beyond what all disks have."""

from collections.abc import Callable, Sequence

from gantry.errors import StorageError
from gantry.objects.instance import Disk
from gantry.storage import base
from gantry.storage.drbd_watch import until_other

Progress = Callable[[float, str], None]


def drbd_connect(*, disks: list[Disk], instance: str, dual_primary: bool) -> None:
    for disk in disks:
        _driver([disk]).connect(disk, instance=instance, dual_primary=dual_primary)


def drbd_disconnect(*, disks: list[Disk]) -> None:
    for disk in disks:
        _driver([disk]).disconnect(disk)


def drbd_wait_connected(*, disks: list[Disk], progress: Progress) -> None:
    if disks:
        _driver(disks).wait_connected(disks, progress=progress)


def drbd_wait_synced(*, disks: list[Disk], progress: Progress) -> None:
    if disks:
        _driver(disks).wait_synced(disks, progress=progress)


def drbd_watch(*, minors: list[int], seen: list[list[str]], wait: float) -> list[list[str]]:
    return until_other(minors, seen, wait)


def drbd_replace_local(*, disk: Disk, new: Disk) -> None:
    _driver([disk, new]).replace_local(disk, new)


def drbd_replace_peer(*, disk: Disk, new: Disk) -> None:
    _driver([disk, new]).replace_peer(disk, new)


def drbd_resize(*, disk: Disk, size: int) -> None:
    _driver([disk]).resize(disk, size=size)


def drbd_discard(*, disks: list[Disk], instance: str) -> None:
    for disk in disks:
        _driver([disk]).discard(disk, instance=instance)


def _driver(disks: Sequence[Disk]) -> base.Mirror:
    """The driver that all the disks have; raises StorageError when one of them is not mirrored."""
    drivers = [base.load(disk.dev_type) for disk in disks]
    for disk, driver in zip(disks, drivers, strict=True):
        if not isinstance(driver, base.Mirror):
            raise StorageError(detail=f"disk {disk.uuid} of type {disk.dev_type} is not mirrored")
    assert isinstance(drivers[0], base.Mirror)  # noqa: S101 - for the type checker, checked above
    return drivers[0]
