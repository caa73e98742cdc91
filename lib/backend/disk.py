# SPDX-License-Identifier: BSD-2-Clause
"""Calls about disks: each goes to the driver of the disk's template."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from gantry.errors import Error
from gantry.objects.instance import Disk
from gantry.storage import base
from gantry.storage.base import Storage

Progress = Callable[[float, str], None]

_log = logging.getLogger(__name__)


def disk_create(*, disk: Disk, owner_epoch: int, wipe: bool, progress: Progress) -> None:
    base.load(disk.dev_type).create(disk, owner_epoch=owner_epoch, wipe=wipe, progress=progress)


def disk_remove(*, disk: Disk, progress: Progress) -> None:
    progress(0.0, "removing")
    base.load(disk.dev_type).remove(disk)


def disk_grow(*, disk: Disk, size: int, progress: Progress) -> None:
    progress(0.0, f"growing to {size} MiB")
    base.load(disk.dev_type).grow(disk, size=size)


def disk_snapshot(*, disk: Disk, snapshot: Disk, size: int, progress: Progress) -> None:
    base.load(disk.dev_type).snapshot(disk, snapshot, size=size, progress=progress)


def disks_assemble(*, disks: list[Disk], instance: str, owner_epoch: int) -> list[str]:
    return [base.load(disk.dev_type).assemble(disk, instance=instance, owner_epoch=owner_epoch) for disk in disks]


def disks_open(*, disks: list[Disk], instance: str, owner_epoch: int) -> list[str]:
    """All or none: when one cannot be opened, those before it are closed again."""
    return _open(disks, instance, lambda driver, disk: driver.open(disk, instance=instance, owner_epoch=owner_epoch))


def disks_force(*, disks: list[Disk], instance: str, owner_epoch: int) -> list[str]:
    return _open(disks, instance, lambda driver, disk: driver.force(disk, instance=instance, owner_epoch=owner_epoch))


def disks_demote(*, disks: list[Disk], instance: str) -> None:
    for disk in disks:
        base.load(disk.dev_type).demote(disk, instance=instance)


def disks_close(*, disks: list[Disk], instance: str) -> None:
    for disk in disks:
        base.load(disk.dev_type).close(disk, instance=instance)


def disks_status(*, disks: list[Disk]) -> list[dict[str, Any]]:
    """Those of one template are asked for at once."""
    found: dict[int, dict[str, Any]] = {}
    for template in {disk.dev_type for disk in disks}:
        places = [place for place, disk in enumerate(disks) if disk.dev_type == template]
        states = base.load(template).statuses([disks[place] for place in places])
        found |= {place: asdict(state) for place, state in zip(places, states, strict=True)}
    return [found[place] for place in range(len(disks))]


def disks_rename(*, disks: list[Disk], new: list[Disk]) -> None:
    for disk, renamed in zip(disks, new, strict=True):
        base.load(disk.dev_type).rename(disk, renamed)


def _open(disks: list[Disk], instance: str, action: Callable[[Storage, Disk], str]) -> list[str]:
    """Paths; what this call opened is given up again when a later one fails, what was open before stays."""
    opened: list[Disk] = []
    paths = []
    try:
        for disk in disks:
            driver = base.load(disk.dev_type)
            was_open = driver.is_open(disk)
            paths.append(action(driver, disk))
            if not was_open:
                opened.append(disk)
    except Error:
        give_back(opened, instance)
        raise
    return paths


def give_back(disks: Iterable[Disk], instance: str) -> None:
    """Nobody writes to the disks here any more: they are closed, but mirrored ones stay up for their peer.  One that
    cannot be given back keeps none of the others open.
    """
    for disk in disks:
        driver = base.load(disk.dev_type)
        try:
            if isinstance(driver, base.Mirror):
                driver.demote(disk, instance=instance)
            else:
                driver.close(disk, instance=instance)
        except Error as err:
            _log.warning("instance %s: disk %s stays open: %s", instance, disk.uuid, err)
