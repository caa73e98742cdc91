# SPDX-License-Identifier: BSD-2-Clause
"""The logical volumes below disks, as disks of their own.

For operations that exchange volumes while the disk stays: removing the disk would end its device and forget its owner.
"""

from dataclasses import replace

from gantry.constants import DRBD_META_SIZE, DiskTemplate
from gantry.objects import codec
from gantry.objects.instance import Disk, DrbdEnd, LvmLocation
from gantry.objects.plan import Action, Several, Task


def data(disk: Disk, end: DrbdEnd) -> Disk:
    """The volume with the data."""
    return _volume(disk, end, end.data, disk.size)


def meta(disk: Disk, end: DrbdEnd) -> Disk:
    """The volume with the mirror's metadata."""
    return _volume(disk, end, end.meta, DRBD_META_SIZE)


def plain(disk: Disk) -> Disk:
    """The volume of a plain disk, when the disk lies elsewhere by now."""
    assert disk.lvm is not None  # noqa: S101 - for plain disks only
    return replace(disk, uuid=_known_as(disk, disk.lvm))


def _known_as(disk: Disk, where: LvmLocation) -> str:
    return f"{disk.uuid}.{where.lv}"


def _volume(disk: Disk, end: DrbdEnd, where: LvmLocation, size: int) -> Disk:
    return replace(disk, uuid=_known_as(disk, where), dev_type=DiskTemplate.PLAIN, drbd=None, lvm=where, size=size,
                   nodes=(end.node,), params={})


def remove(disk: Disk, end: DrbdEnd) -> Action:
    """Remove both volumes of an end whose device no longer uses them."""
    return Several(actions=[remove_one(data(disk, end)), remove_one(meta(disk, end))])


def remove_one(volume: Disk) -> Task:
    return Task(node=volume.nodes[0], call="disk_remove", args={"disk": codec.encode(volume)})
