# SPDX-License-Identifier: BSD-2-Clause
"""Changed network interfaces of an instance, brought to its guest while that runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gantry.cmdlib import hotplug, vmspec
from gantry.cmdlib.edit_disks import Line
from gantry.cmdlib.steps import Guest
from gantry.cmdlib.view import View
from gantry.objects.instance import Instance
from gantry.objects.plan import Step
from gantry.objects.vm import DeviceChange, VmNic
from gantry.rpc import calls

NEXT_START = "the change of its network interfaces takes effect at its next start"


@dataclass(frozen=True, kw_only=True)
class Plugged:
    """`steps` change the guest; `lines`, of the opcode's result, tell how that went."""

    steps: tuple[Step, ...] = ()
    lines: tuple[Line, ...] = ()


async def plan(view: View, guest: Guest, new: Instance, *, silent: bool) -> Plugged:
    """From the interfaces the guest has to those of `new`, as far as the two records differ.

    Where the guest cannot be changed nothing is done, which is a warning unless `silent`.
    """
    old, later = _devices(view, guest, guest.instance), _devices(view, guest, new)
    touched = {uuid for uuid in {*old, *later} if _seen(old.get(uuid)) != _seen(later.get(uuid))}
    if not touched:
        return Plugged()
    spec = await view.nodes.call(guest.node.uuid, calls.instance_spec, instance=guest.instance.uuid)
    has = {nic.uuid: nic for nic in spec.nics} if spec is not None else old
    gone = [has[uuid] for uuid in has if uuid in touched]
    come = [later[uuid] for uuid in later if uuid in touched]
    change = DeviceChange(nics_added=tuple(come), nics_removed=tuple(nic.uuid for nic in gone))
    why = await hotplug.obstacle(view, guest, change)
    if why:
        (view.say if silent else view.warn)(f"{' - INFO: ' if silent else ''}{why}; {NEXT_START}")
        return Plugged()
    return _steps(guest, new, gone, come)


def _devices(view: View, guest: Guest, instance: Instance) -> dict[str, VmNic]:
    return {nic.uuid: nic for nic in vmspec.build(view.config, instance, guest.disks).nics}


def _seen(nic: VmNic | None) -> VmNic | None:
    """What counts for the guest: the operator's name of an interface does not."""
    return None if nic is None else replace(nic, name=None)


def _steps(guest: Guest, new: Instance, gone: Sequence[VmNic], come: Sequence[VmNic]) -> Plugged:
    """First all that go, then all that come, so that places are free.  One that changes does both."""
    found: list[Step] = []
    lines: list[Line] = []
    before = [nic.uuid for nic in guest.instance.nics]
    after = [nic.uuid for nic in new.nics]
    for nic in gone:
        index = before.index(nic.uuid) if nic.uuid in before else len(before)
        key = f"unplug nic/{index}"
        found.append(hotplug.remove_nic(guest, index, nic, key=key))
        if nic.uuid not in after:
            lines.append((f"nic.{index}", hotplug.outcome(key)))
    for nic in come:
        index = after.index(nic.uuid)
        key = f"plug nic/{index}"
        found.append(hotplug.add_nic(guest, index, nic, key=key))
        lines.append((f"nic.{index}", hotplug.outcome(key)))
    return Plugged(steps=tuple(found), lines=tuple(lines))
