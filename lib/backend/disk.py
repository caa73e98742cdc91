# SPDX-License-Identifier: BSD-2-Clause
"""Calls about disks: each goes to the driver of the disk's template."""

from collections.abc import Callable
from typing import Any

from gantry.errors import Error
from gantry.objects.instance import Disk
from gantry.storage import base

Progress = Callable[[float, str], None]


def disk_create(*, disk: Disk, owner_epoch: int, wipe: bool, progress: Progress) -> None:
    base.load(disk.dev_type).create(disk, owner_epoch=owner_epoch, wipe=wipe, progress=progress)


def disk_remove(*, disk: Disk, progress: Progress) -> None:
    progress(0.0, "removing")
    base.load(disk.dev_type).remove(disk)


def disk_grow(*, disk: Disk, size: int, progress: Progress) -> None:
    progress(0.0, f"growing to {size} MiB")
    base.load(disk.dev_type).grow(disk, size=size)


def disks_open(*, disks: list[Disk], instance: str, owner_epoch: int) -> list[str]:
    """All or none: when one cannot be opened, those before it are closed again."""
    opened: list[Disk] = []
    paths = []
    try:
        for disk in disks:
            paths.append(base.load(disk.dev_type).open(disk, instance=instance, owner_epoch=owner_epoch))
            opened.append(disk)
    except Error:
        disks_close(disks=opened, instance=instance)
        raise
    return paths


def disks_close(*, disks: list[Disk], instance: str) -> None:
    for disk in disks:
        base.load(disk.dev_type).close(disk, instance=instance)


def disks_status(*, disks: list[Disk]) -> list[dict[str, Any]]:
    found = [base.load(disk.dev_type).status(disk) for disk in disks]
    return [{"path": status.path, "exists": status.exists, "size": status.size, "open": status.open,
             "used": status.used, "owner_epoch": status.owner_epoch} for status in found]


def disks_rename(*, disks: list[Disk], new: list[Disk]) -> None:
    for disk, renamed in zip(disks, new, strict=True):
        base.load(disk.dev_type).rename(disk, renamed)
