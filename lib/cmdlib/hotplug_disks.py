# SPDX-License-Identifier: BSD-2-Clause
"""Disks that an instance gets and loses, brought to its guest while that runs."""

from collections.abc import Sequence
from dataclasses import replace

from gantry.cmdlib import hotplug, mirror, steps, vmspec
from gantry.cmdlib.edit_disks import RUNNING, Line
from gantry.cmdlib.hotplug_nics import Plugged
from gantry.cmdlib.steps import Guest
from gantry.cmdlib.view import View
from gantry.errors import WrongState
from gantry.objects.instance import Disk
from gantry.objects.plan import Step
from gantry.objects.vm import DeviceChange, VmDisk

NEXT_START = "it has its new disks after its next start"


async def plan(view: View, guest: Guest, disks: Sequence[Disk], made: Sequence[Disk], *, silent: bool) -> Plugged:
    """From the disks of `guest` to `disks`, all as nodes are told of them; `made` are new and open already.

    What the guest cannot be given it gets at its next start, which is a warning unless `silent`.  Raises WrongState
    when it cannot let go of one.
    """
    before, after = {disk.uuid for disk in guest.disks}, {disk.uuid for disk in disks}
    come = [(index, disk) for index, disk in enumerate(disks) if disk.uuid not in before]
    gone = [(index, disk) for index, disk in enumerate(guest.disks) if disk.uuid not in after]
    if not come and not gone:
        return Plugged()
    change = DeviceChange(disks_added=tuple(_device(disk) for _, disk in come),
                          disks_removed=tuple(disk.uuid for _, disk in gone))
    why = await hotplug.obstacle(view, guest, change)
    if why and gone:
        raise WrongState(detail=f"{RUNNING}: {why}")
    if why:
        (view.say if silent else view.warn)(f"{' - INFO: ' if silent else ''}{why}; {NEXT_START}")
        return Plugged()
    return _steps(guest, come, gone, {disk.uuid for disk in made})


def _device(disk: Disk) -> VmDisk:
    return VmDisk(disk=disk, pci=disk.pci if disk.pci is not None else vmspec.RESERVED_SLOTS)


def _steps(guest: Guest, come: Sequence[tuple[int, Disk]], gone: Sequence[tuple[int, Disk]],
           made: set[str]) -> Plugged:
    found: list[Step] = []
    lines: list[Line] = []
    for index, disk in come:
        key = f"plug disk/{index}"
        if disk.uuid not in made:
            unused = replace(guest.instance, disks_active=False)  # so that it is closed again when this is undone
            found += steps.open_disks(replace(guest, instance=unused, disks=(disk,)))
        found.append(hotplug.add_disk(guest, index, _device(disk), key=key))
        lines.append((f"disk/{index}", hotplug.outcome(key)))
    for index, disk in gone:
        key = f"unplug disk/{index}"
        found.append(hotplug.remove_disk(guest, index, _device(disk), key=key))
        lines.append((f"disk/{index}", hotplug.outcome(key)))
    return Plugged(steps=tuple(found), lines=tuple(lines))


def put_down(guest: Guest, detached: Sequence[Disk]) -> list[Step]:
    """The other ends of disks that the guest has let go of, and that stay."""
    found = []
    for disk in detached:
        one = replace(guest, disks=(disk,))
        found += [Step(title=f"* deactivating detached disk {disk.uuid} of instance {guest.name} on {peer.name}",
                       action=steps.close(one, peer.uuid), undo=mirror.assemble(one, peer.uuid), may_fail=True,
                       weight=steps.CALL_SECONDS) for peer in guest.peers if disk.drbd is not None]
    return found
