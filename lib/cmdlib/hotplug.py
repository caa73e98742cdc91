# SPDX-License-Identifier: BSD-2-Clause
"""Steps that change the devices of a guest while it runs.

Giving a device may fail: the guest has it after its next start.  Taking one away may not, where something is removed
after it: whoever makes such a plan decides with `may_fail`.
"""

from typing import Any

from gantry.cmdlib.steps import Guest
from gantry.cmdlib.view import View
from gantry.objects import codec
from gantry.objects.plan import Call, Step, Task, ref
from gantry.objects.vm import DeviceChange, VmDisk, VmNic
from gantry.rpc import calls

PLUG_SECONDS = 1.0
EXCHANGE_RATE = 80.0
"""MiB a second that copying a disk under its guest is expected to take, for progress."""
FAILED = "hotplug:failed"


async def obstacle(view: View, guest: Guest, change: DeviceChange) -> str:
    """Why the running guest cannot get and lose these devices, empty when it can."""
    found: str = await view.nodes.call(guest.node.uuid, calls.instance_hotplug_obstacle, instance=guest.instance.uuid,
                                       hypervisor=str(guest.instance.hypervisor), change=change)
    return found


def outcome(key: str) -> dict[str, Any]:
    """What the opcode's result says of the step `key`: `hotplug:done` or `hotplug:failed`."""
    return ref(key, "outcome", default=FAILED)


def add_disk(guest: Guest, index: int, disk: VmDisk, *, key: str = "", may_fail: bool = True) -> Step:
    """Give the guest a disk that exists.  Undone, the guest loses it again."""
    return Step(title=f"* giving disk/{index} to the running instance {guest.name}", key=key, may_fail=may_fail,
                action=_add_disk(guest, index, disk), undo=_remove_disk(guest, disk), weight=PLUG_SECONDS)


def remove_disk(guest: Guest, index: int, disk: VmDisk, *, key: str = "", may_fail: bool = False) -> Step:
    """Take a disk from the guest and close it.  Undone, the guest has it again."""
    return Step(title=f"* taking disk/{index} from the running instance {guest.name}", key=key, may_fail=may_fail,
                action=_remove_disk(guest, disk), undo=_add_disk(guest, index, disk), weight=PLUG_SECONDS)


def add_nic(guest: Guest, index: int, nic: VmNic, *, key: str = "", may_fail: bool = True) -> Step:
    return Step(title=f"* giving nic/{index} to the running instance {guest.name}", key=key, may_fail=may_fail,
                action=_add_nic(guest, index, nic), undo=_remove_nic(guest, nic), weight=PLUG_SECONDS)


def remove_nic(guest: Guest, index: int, nic: VmNic, *, key: str = "", may_fail: bool = True) -> Step:
    return Step(title=f"* taking nic/{index} from the running instance {guest.name}", key=key, may_fail=may_fail,
                action=_remove_nic(guest, nic), undo=_add_nic(guest, index, nic), weight=PLUG_SECONDS)


def disk_resized(guest: Guest, index: int, disk: VmDisk, size: int) -> Step:
    """Tell the guest of a disk that has grown to `size` MiB.  Harmless when it does not run."""
    args = _guest(guest, disk=codec.encode(disk.disk), size=size)
    return Step(title=f"* telling instance {guest.name} the new size of disk/{index}", weight=PLUG_SECONDS,
                action=Call(node=guest.node.uuid, call="instance_disk_resized", args=args), may_fail=True)


def exchange_disk(guest: Guest, index: int, old: VmDisk, new: VmDisk, *, key: str = "") -> Step:
    """Let the running guest use `new` instead of `old`, with all that is on it.  Undone, it is the other way round."""
    return Step(title=f"* copying disk/{index} of instance {guest.name} while it runs", key=key,
                action=_exchange(guest, old, new), undo=_exchange(guest, new, old),
                weight=1.0 + old.disk.size / EXCHANGE_RATE)


def _guest(guest: Guest, **more: Any) -> dict[str, Any]:
    return {"instance": guest.instance.uuid, "hypervisor": str(guest.instance.hypervisor), **more}


def _add_disk(guest: Guest, index: int, disk: VmDisk) -> Call:
    return Call(node=guest.node.uuid, call="instance_disk_add", args=_guest(
        guest, disk=codec.encode(disk), index=index, owner_epoch=guest.instance.owner_epoch))


def _remove_disk(guest: Guest, disk: VmDisk) -> Call:
    return Call(node=guest.node.uuid, call="instance_disk_remove", args=_guest(guest, disk=codec.encode(disk.disk)))


def _add_nic(guest: Guest, index: int, nic: VmNic) -> Call:
    return Call(node=guest.node.uuid, call="instance_nic_add", args=_guest(guest, nic=codec.encode(nic), index=index))


def _remove_nic(guest: Guest, nic: VmNic) -> Call:
    return Call(node=guest.node.uuid, call="instance_nic_remove", args=_guest(guest, nic=nic.uuid))


def _exchange(guest: Guest, old: VmDisk, new: VmDisk) -> Task:
    return Task(node=guest.node.uuid, call="instance_disk_exchange", args=_guest(
        guest, old=codec.encode(old.disk), new=codec.encode(new.disk), owner_epoch=guest.instance.owner_epoch))
