# SPDX-License-Identifier: BSD-2-Clause
"""Migrating a guest whose disks are on its node only: they are copied while it runs, and go with it.

The target gets new disks of the same UUIDs at places with fresh names.  They are recorded together with the new primary
node, once the guest is there; the old ones are removed last.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from gantry.cmdlib import checks, disks, steps
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.constants import DiskTemplate
from gantry.errors import WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, Instance, LvmLocation
from gantry.objects.plan import Action, Call, Say, Several, Step, Task, Update, ref
from gantry.objects.vm import VmSpec

TEMPLATES = frozenset({DiskTemplate.FILE, DiskTemplate.PLAIN})


def is_local(instance: Instance) -> bool:
    return instance.disk_template in TEMPLATES


def target(config: Config, instance: Instance, node: str | None, iallocator: str | None) -> Node:
    """The node named, which is to get the disks; raises WrongInput when none is."""
    if node is None or iallocator is not None:
        raise WrongInput(detail=f"The disks of instance {instance.name} are on its primary node only; name the node "
                                "that is to get them (-n)")
    found = checks.target(config, node)
    if found.uuid == instance.primary_node:
        raise WrongInput(detail=f"Cannot migrate instance {instance.name} to its primary node {found.name}")
    return found


def require_whole(guest: steps.Guest, spec: VmSpec) -> None:
    """Refuse when the guest lacks some of its disks, or has others: those would be left behind."""
    has, owns = {item.disk.uuid for item in spec.disks}, {disk.uuid for disk in guest.disks}
    if has != owns:
        names = ", ".join(f"disk/{index}" for index, disk in enumerate(guest.disks) if disk.uuid not in has)
        raise WrongState(detail=f"Instance {guest.name} runs without its {names}, which cannot be copied; restart it "
                                "first" if names else
                                f"Instance {guest.name} still uses a disk that was taken from it; restart it first")


async def moved(view: View, guest: steps.Guest, node: Node) -> tuple[Disk, ...]:
    """The disks as they will be on the target; raises NoResources when it has no room for them."""
    found = tuple(_placed(view, index, disk, node.uuid) for index, disk in enumerate(guest.disks))
    where = disks.Layout(template=guest.instance.disk_template, node=node.uuid)
    await disks.require_room(view, disks.wanted_room(view.config, where, found))
    return disks.annotated(view.config, replace(guest.instance, primary_node=node.uuid), found)


def _placed(view: View, index: int, disk: Disk, node: str) -> Disk:
    if disk.file is not None:
        path = PurePosixPath(disk.file.path)
        path = path.with_name(f"{view.new_uuid()}.{disk.dev_type.value}.disk{index}")
        return replace(disk, nodes=(node,), file=replace(disk.file, path=str(path)))
    if disk.lvm is None:
        raise WrongState(detail=f"disk/{index} has no place on record, it cannot be copied")
    return replace(disk, nodes=(node,), lvm=LvmLocation(vg=disk.lvm.vg, lv=f"{view.new_uuid()}.disk{index}"))


def there(spec: VmSpec, found: Sequence[Disk]) -> VmSpec:
    """`spec` with the disks of the target."""
    by_uuid = {disk.uuid: disk for disk in found}
    return replace(spec, disks=tuple(replace(item, disk=by_uuid[item.disk.uuid]) for item in spec.disks))


# --- steps --------------------------------------------------------------------------------------------------


def create(guest: steps.Guest, node: Node, found: Sequence[Disk], epoch: int) -> list[Step]:
    """Empty disks on the target, for the owner that the guest will have there."""
    later = replace(guest, node=node, peers=(), instance=replace(guest.instance, owner_epoch=epoch))
    return [steps.create_disk(later, index, disk, wipe=False) for index, disk in enumerate(found)]


def let_go(guest: steps.Guest) -> Step:
    """Undone, the copying ends.  It comes before the target waits for the guest, so that on the way back the target is
    gone by then: one that does not react any more would keep the source from reacting, too.
    """
    return Step(title="", action=Say(lines=[]), undo=Call(
        node=guest.node.uuid, call="migration_finish_source", args=_guest(guest, success=False)))


def copy(guest: steps.Guest, node: Node, spec: VmSpec, bandwidth: int) -> list[Step]:
    """After the target waits for the guest: let its disks be written, and copy them."""
    size = sum(disk.size for disk in guest.disks)
    return [
        Step(title=f"* opening the new disks of instance {guest.name} on {node.name}", key="inbox",
             action=Call(node=node.uuid, call="migration_receive_disks",
                         args={"spec": codec.encode(spec), "listen": node.secondary_ip}), weight=steps.CALL_SECONDS),
        Step(title=f"* copying the disks of instance {guest.name}, {size}M, to {node.name}",
             weight=1.0 + size / max(1, bandwidth),
             action=Task(node=guest.node.uuid, call="migration_mirror_disks",
                         args=_guest(guest, target=ref("inbox"), bandwidth=bandwidth)))]


def _guest(guest: steps.Guest, **more: Any) -> dict[str, Any]:
    return {"instance": guest.instance.uuid, "hypervisor": str(guest.instance.hypervisor), **more}


def switched(switch: Update, found: Sequence[Disk]) -> Action:
    """The record of the guest's new node, with the new places of its disks."""
    changes: list[Action] = [Update(table="disks", uuid=disk.uuid, fields=codec.encode(
        {"nodes": disk.nodes, "file": disk.file, "lvm": disk.lvm})) for disk in found]
    return Several(actions=[switch, *changes])


def remove_old(guest: steps.Guest) -> list[Step]:
    """Last of all.  A disk that cannot be removed is named in the job's log."""
    return [Step(title=f"* removing {disks.shown(index, disk)} of instance {guest.name} on {guest.place}",
                 action=Task(node=guest.node.uuid, call="disk_remove", args={"disk": codec.encode(disk)}),
                 may_fail=True, weight=1.0) for index, disk in enumerate(guest.disks)]
