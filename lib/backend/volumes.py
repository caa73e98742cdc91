# SPDX-License-Identifier: BSD-2-Clause
"""Calls about what disks lie on: logical volumes, volume groups, physical volumes, folders."""

import os
from collections.abc import Iterator
from typing import Any

from gantry.errors import Error, NotFound, StorageError, WrongInput
from gantry.objects.node import StorageUnit
from gantry.storage import lvm_commands, lvm_volumes
from gantry.utils import command

MIB = 1 << 20
FILE_KINDS = ("file", "sharedfile", "gluster")


def volumes_list() -> list[dict[str, Any]]:
    return [{"vg": where.vg, "name": where.lv, "size": volume.size // MIB, "devices": list(volume.devices),
             "online": volume.active and not volume.partial}
            for where, volume in sorted(lvm_volumes.find().items(), key=lambda item: (item[0].vg, item[0].lv))]


def storage_list(*, kind: str, name: str) -> list[dict[str, Any]]:
    if kind in FILE_KINDS:
        return [_row(unit.name, unit.total, unit.free) for unit in measure(kind, name)]
    if kind == "lvm-vg":
        return [_row(group.name, group.size // MIB, group.free // MIB) for group in lvm_volumes.groups().values()
                if name in ("", group.name)]
    if kind == "lvm-pv":
        return [_row(device.name, device.size // MIB, device.free // MIB, allocatable=device.allocatable)
                for device in lvm_volumes.physical() if name in ("", device.vg)]
    raise WrongInput(detail=f"storage units of type '{kind}' cannot be listed; lvm-vg, lvm-pv and "
                            f"{', '.join(FILE_KINDS)} can")


def storage_modify(*, kind: str, name: str, changes: dict[str, Any]) -> None:
    unknown = sorted(changes.keys() - {"allocatable"})
    if kind != "lvm-pv" or unknown:
        raise WrongInput(detail=f"{', '.join(unknown) or 'allocatable'} of {kind} units cannot be changed; there is "
                                "'allocatable' of lvm-pv")
    found = next((device for device in lvm_volumes.physical() if device.name == name), None)
    if found is None:
        raise NotFound(kind="physical volume", name=name)
    wanted = bool(changes.get("allocatable", found.allocatable))
    if wanted != found.allocatable:
        command.run(lvm_commands.allow(name, allocatable=wanted), seconds=lvm_volumes.SECONDS)


def storage_repair(*, vg: str) -> None:
    group = lvm_volumes.groups().get(vg)
    if group is None:
        raise NotFound(kind="volume group", name=vg)
    if not group.missing:
        return
    broken = sorted(where.lv for where, volume in lvm_volumes.find().items() if where.vg == vg and volume.partial)
    if broken:
        raise StorageError(detail=f"volume group {vg} cannot be repaired: the logical volumes {', '.join(broken)} lie "
                                  "on missing physical volumes; bring those back, or move the instances away "
                                  "(gnt-instance replace-disks) and remove the volumes first")
    command.run(lvm_commands.reduce(vg), seconds=lvm_volumes.SECONDS)


def measure(kind: str, name: str) -> Iterator[StorageUnit]:
    """The unit with its space, if it is there; `lvm-pv` counts the physical volumes of a group, and the empty ones."""
    try:
        if kind in FILE_KINDS:
            space = os.statvfs(name)
            yield StorageUnit(kind=kind, name=name, total=space.f_blocks * space.f_frsize // MIB,
                              free=space.f_bavail * space.f_frsize // MIB)
        elif kind == "lvm-vg":
            group = lvm_volumes.groups().get(name)
            if group is not None:
                yield StorageUnit(kind=kind, name=name, total=group.size // MIB, free=group.free // MIB)
        elif kind == "lvm-pv":
            own = [device for device in lvm_volumes.physical() if device.vg == name]
            yield StorageUnit(kind=kind, name=name, total=len(own),
                              free=sum(1 for device in own if device.free == device.size and device.allocatable))
    except (OSError, Error):
        return


def _row(name: str, size: int, free: int, *, allocatable: bool = True) -> dict[str, Any]:
    return {"name": name, "size": size, "used": size - free, "free": free, "allocatable": allocatable}
