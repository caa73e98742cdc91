# SPDX-License-Identifier: BSD-2-Clause
"""The logical volumes below an end of a mirrored disk, as disks of their own.

For operations that exchange volumes while the disk stays: removing the disk would end its device and forget its owner.
"""

from dataclasses import replace

from gantry.cmdlib import disks
from gantry.constants import DiskTemplate
from gantry.objects import codec
from gantry.objects.instance import Disk, DrbdEnd, LvmLocation
from gantry.objects.plan import Action, Several, Task


def data(disk: Disk, end: DrbdEnd) -> Disk:
    """The volume with the data."""
    return _volume(disk, end, end.data, disk.size)


def meta(disk: Disk, end: DrbdEnd) -> Disk:
    """The volume with the mirror's metadata."""
    return _volume(disk, end, end.meta, disks.META_SIZE)


def _volume(disk: Disk, end: DrbdEnd, where: LvmLocation, size: int) -> Disk:
    return replace(disk, uuid=f"{disk.uuid}.{where.lv}", dev_type=DiskTemplate.PLAIN, drbd=None, lvm=where, size=size,
                   nodes=(end.node,), params={})


def remove(disk: Disk, end: DrbdEnd) -> Action:
    """Remove both volumes of an end whose device no longer uses them."""
    return Several(actions=[remove_one(data(disk, end)), remove_one(meta(disk, end))])


def remove_one(volume: Disk) -> Task:
    return Task(node=volume.nodes[0], call="disk_remove", args={"disk": codec.encode(volume)})
