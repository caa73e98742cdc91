# SPDX-License-Identifier: BSD-2-Clause
"""Changing the devices of a guest that runs.  A disk is opened before the guest gets it, and closed after it."""

from gantry.backend import disk as disks
from gantry.backend import disk_data
from gantry.backend.instance import known_spec, runs
from gantry.errors import HypervisorError
from gantry.hypervisor import base, exchanged
from gantry.hypervisor.base import Hypervisor, Progress
from gantry.objects.instance import Disk
from gantry.objects.vm import DeviceChange, VmDisk, VmNic

DONE = {"outcome": "hotplug:done"}


def instance_hotplug_obstacle(*, instance: str, hypervisor: str, change: DeviceChange) -> str:
    return base.load(hypervisor).obstacle(instance, change)


def instance_disk_add(*, instance: str, hypervisor: str, disk: VmDisk, index: int, owner_epoch: int) -> dict[str, str]:
    driver = base.load(hypervisor)
    [path] = disks.disks_open(disks=[disk.disk], instance=instance, owner_epoch=owner_epoch)
    try:
        driver.plug_disk(instance, disk, path, index=index)
    except BaseException:
        _close_unused(driver, instance, disk.disk)
        raise
    return DONE


def instance_disk_remove(*, instance: str, hypervisor: str, disk: Disk) -> dict[str, str]:
    driver = base.load(hypervisor)
    driver.unplug_disk(instance, disk.uuid)
    disks.disks_close(disks=[disk], instance=instance)
    return DONE


def instance_nic_add(*, instance: str, hypervisor: str, nic: VmNic, index: int) -> dict[str, str]:
    base.load(hypervisor).plug_nic(instance, nic, index=index)
    return DONE


def instance_nic_remove(*, instance: str, hypervisor: str, nic: str) -> dict[str, str]:
    base.load(hypervisor).unplug_nic(instance, nic)
    return DONE


def instance_disk_resized(*, instance: str, hypervisor: str, disk: Disk, size: int) -> None:
    base.load(hypervisor).resize_disk(instance, disk.uuid, size=size)


def instance_disk_exchange(*, instance: str, hypervisor: str, old: Disk, new: Disk, owner_epoch: int,
                           progress: Progress) -> None:
    if old.uuid != new.uuid or old.size != new.size:
        raise HypervisorError(detail=f"disk {old.uuid} cannot be exchanged for {new.uuid} under a running guest: "
                                     "both must have one UUID and one size")
    driver = base.load(hypervisor)
    if not runs(driver, instance):
        _exchange_at_rest(instance, old, new, owner_epoch, progress)
        return
    [path] = disks.disks_open(disks=[new], instance=instance, owner_epoch=owner_epoch)
    try:
        driver.exchange_disk(instance, new, path, progress=progress)
    except BaseException:
        _close_unused(driver, instance, new)
        if _uses(driver, instance, old):  # both may be known by one UUID
            disks.disks_open(disks=[old], instance=instance, owner_epoch=owner_epoch)
        raise
    disks.disks_close(disks=[old], instance=instance)
    disks.disks_open(disks=[new], instance=instance, owner_epoch=owner_epoch)


def _exchange_at_rest(instance: str, old: Disk, new: Disk, owner_epoch: int, progress: Progress) -> None:
    """The guest has died meanwhile, perhaps after it had gone over to `new`; then `old` is out of date."""
    if exchanged.known(new.uuid) != new:
        disks.disks_open(disks=[old, new], instance=instance, owner_epoch=owner_epoch)
        disk_data.disk_copy(source=old, target=new, progress=progress)
        exchanged.remember(new, instead=old)
    disks.disks_close(disks=[old, new], instance=instance)


def _close_unused(driver: Hypervisor, instance: str, disk: Disk) -> None:
    """Close a disk, unless the guest uses it all the same."""
    if not _uses(driver, instance, disk):
        disks.disks_close(disks=[disk], instance=instance)


def _uses(driver: Hypervisor, instance: str, disk: Disk) -> bool:
    spec = known_spec(driver, instance)
    return spec is not None and runs(driver, instance) and any(item.disk == disk for item in spec.disks)
