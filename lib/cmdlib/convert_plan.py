# SPDX-License-Identifier: BSD-2-Clause
"""Plans that give an instance's disks another template.

Offline between plain and drbd the data stay on their volume, and a mirror is put over it or taken off it.  Everything
else is copied onto new disks: offline by the node, live by the guest's own QEMU, which then goes on with the copy.
The old disks go when the configuration names the new ones; until then the way back leads to them.
"""

from dataclasses import replace

from gantry.cmdlib import disks, hotplug, mirror, steps, volumes
from gantry.cmdlib.convert import DRBD, Conversion, device, in_place
from gantry.objects import codec
from gantry.objects.instance import Disk
from gantry.objects.plan import Action, Plan, Say, Several, Step, Task, Update

COPY_RATE = 100.0
"""MiB a second that copying on one node is expected to take, for progress."""
PLACE = ("dev_type", "size", "nodes", "file", "lvm", "drbd", "degraded_since")
NOTHING = Say(lines=[])


def plan(seen: Conversion) -> Plan:
    parts: list[Step] = [Step(title=f"Converting disk template from '{seen.old_template}' to '{seen.template}'",
                              action=NOTHING)]
    if seen.live:
        parts += _live(seen)
    elif not in_place(seen):
        parts += _copied(seen)
    elif seen.template is DRBD:
        parts += _mirrored(seen)
    else:
        parts += _unmirrored(seen)
    return Plan(steps=tuple(parts), result=[["disk_template", str(seen.template)]],
                reserves=mirror.reserves(seen.new.disks))


# --- in place ------------------------------------------------------------------------------------------------


def _mirrored(seen: Conversion) -> list[Step]:
    """Metadata beside the volume that is there, a new end on the other node, which is filled from it."""
    plan = []
    for index, disk in enumerate(seen.new.disks):
        plan += [_end(seen, index, disk, seen.new.node.uuid), _end(seen, index, disk, seen.new.peers[0].uuid)]
    return [Step(title="Creating additional volumes...", action=NOTHING), *plan,
            Step(title="Initializing DRBD devices...", action=NOTHING), *_pair(seen), _record(seen), *_ready(seen),
            *steps.close_disks(seen.new)]


def _end(seen: Conversion, index: int, disk: Disk, node: str) -> Step:
    """What is missing of an end: on the primary the volume with the data is there, and stays."""
    end = disk.drbd.end(node) if disk.drbd is not None else None
    assert end is not None  # noqa: S101 - the check made both ends
    kept = node == seen.guest.node.uuid
    action = Task(node=node, call="disk_create", args={
        "disk": codec.encode(disk), "owner_epoch": seen.guest.instance.owner_epoch, "wipe": seen.wipe and not kept})
    undo = volumes.remove_one(volumes.meta(disk, end)) if kept else steps.remove_disk(disk, node)
    name = seen.guest.place if kept else seen.new.peers[0].name
    return Step(title=f"* creating {'metadata for ' if kept else ''}{disks.shown(index, disk)} on {name}",
                action=action, undo=undo, weight=0.5 + (0 if kept else disk.size / disks.CREATE_RATE))


def _pair(seen: Conversion) -> tuple[Step, ...]:
    return (mirror.assemble_pair(seen.new), mirror.promote_new(seen.new))


def _ready(seen: Conversion) -> tuple[Step, ...]:
    """Until new mirrors are in sync, or only talk."""
    if seen.template is not DRBD:
        return ()
    if not seen.wait:
        return (mirror.wait_connected(seen.new),)
    return (mirror.wait_synced(seen.new), *mirror.seen_whole(seen.new))


def _unmirrored(seen: Conversion) -> list[Step]:
    """The primary's volume stays, once it is known to hold the newest data: only then it can be opened."""
    guest, plan = seen.guest, []
    opened = [*steps.open_disks(guest), *steps.close_disks(guest)]
    inactive = steps.remember(guest, f"remembering that the disks of instance {guest.name} are not in use",
                              disks_active=False)
    if guest.peers:
        plan.append(Step(title="Removing volumes on the secondary node...", may_fail=True, weight=1.0,
                         action=Several(actions=[steps.remove_disk(disk, guest.peers[0].uuid)
                                                 for disk in guest.disks])))
    metas: list[Action] = []
    for disk in guest.disks:
        end = disk.drbd.end(guest.node.uuid) if disk.drbd is not None else None
        metas += [volumes.remove_one(volumes.meta(disk, end))] if end is not None else []
    plan.append(Step(title="Removing unneeded volumes on the primary node...", may_fail=True,
                     action=Several(actions=metas), weight=1.0))
    return [*steps.for_good([*inactive, *opened, _record(seen)]), *plan]


# --- copied --------------------------------------------------------------------------------------------------


def _copied(seen: Conversion) -> list[Step]:
    guest, new = seen.guest, seen.new
    copies = [Step(title=f"* copying {disks.shown(index, old)} of instance {guest.name} on {guest.place}",
                   action=Task(node=guest.node.uuid, call="disk_copy", args={
                       "source": codec.encode(old), "target": codec.encode(made)}), weight=1.0 + old.size / COPY_RATE)
              for index, (old, made) in enumerate(zip(guest.disks, new.disks, strict=True))]
    inactive = steps.remember(guest, f"remembering that the disks of instance {guest.name} are not in use",
                              disks_active=False)
    opened = _pair(seen) if new.mirrored else steps.open_disks(new)
    copied = [*inactive, *steps.open_disks(guest), *_make(seen), *opened, *copies, *_ready(seen),
              *steps.close_disks(new), *steps.close_disks(guest), _record(seen)]
    return [*steps.for_good(copied), *_remove_old(seen)]


def _make(seen: Conversion) -> list[Step]:
    """The new disks, on their nodes at once.  What they have in common with the old ones stays when this is undone."""
    plan = []
    for index, (old, new) in enumerate(zip(seen.guest.disks, seen.new.disks, strict=True)):
        nodes = seen.new.at(new)
        create: list[Action] = [Task(node=node.uuid, call="disk_create", args={
            "disk": codec.encode(new), "owner_epoch": seen.new.instance.owner_epoch, "wipe": False}) for node in nodes]
        plan.append(Step(title=f"* creating the new {disks.shown(index, new)} on "
                               f"{' and '.join(node.name for node in nodes)}", action=Several(actions=create),
                         undo=Several(actions=_gone(seen.new, new, old)), undo_after=_exchanged(index),
                         weight=0.5 + new.size / disks.CREATE_RATE))
    return plan


# --- live ----------------------------------------------------------------------------------------------------


def _live(seen: Conversion) -> list[Step]:
    """Each disk is recorded where it is as soon as the guest uses it there, on the way back as well.  One that cannot
    go back stays as it is: what was written since lies there and nowhere else.  When all are exchanged there is no
    reason to go back, whatever becomes of the mirrors.
    """
    guest, plan = seen.guest, []
    pairs = list(zip(guest.disks, seen.new.disks, strict=True))
    for index, (old, new) in enumerate(pairs):
        plan += [Step(title="", action=NOTHING, undo=_place(replace(old, size=seen.sizes[index])),
                      undo_after=_exchanged(index)),
                 hotplug.exchange_disk(guest, index, device(old), device(new), key=_exchanged(index)),
                 Step(title=f"recording where disk/{index} of instance {guest.name} is now", action=_place(new),
                      undo=NOTHING)]
    template = steps.update(guest.instance, disk_template=seen.template)
    plan.append(Step(title=f"recording the disk template of instance {guest.name}", action=template))
    moved = [*_make(seen), *(_pair(seen) if seen.new.mirrored else ()), *plan]
    return [*steps.for_good(moved), *_remove_old(seen), *_ready(seen)]


def _exchanged(index: int) -> str:
    return f"exchange disk/{index}"


def _place(disk: Disk) -> Update:
    return Update(table="disks", uuid=disk.uuid, fields=codec.encode({name: getattr(disk, name) for name in PLACE}))


# --- the end -------------------------------------------------------------------------------------------------


def _record(seen: Conversion) -> Step:
    return Step(title=f"recording the disk template of instance {seen.guest.name}", action=Several(actions=[
        *(_place(disk) for disk in seen.new.disks), steps.update(seen.guest.instance, disk_template=seen.template)]))


def _remove_old(seen: Conversion) -> list[Step]:
    """Nobody uses the old disks any more.  What cannot be removed is left, and said."""
    return [Step(title=f"* removing the old {disks.shown(index, old)} of instance {seen.guest.name}", may_fail=True,
                 action=Several(actions=_gone(seen.guest, old, new)), weight=1.0)
            for index, (old, new) in enumerate(zip(seen.guest.disks, seen.new.disks, strict=True))]


def _gone(guest: steps.Guest, disk: Disk, other: Disk) -> list[Action]:
    """Remove `disk` of the guest everywhere, while `other`, of the same UUID, is in use on the primary.

    Of two that are both volumes there is one owner record on a node; removing the disk would forget it.
    """
    here = guest.node.uuid
    away: list[Action] = [steps.remove_disk(disk, node.uuid) for node in guest.at(disk) if node.uuid != here]
    if disk.file is not None or other.file is not None:
        return [steps.remove_disk(disk, here), *away]
    end = disk.drbd.end(here) if disk.drbd is not None else None
    kept = [volumes.plain(disk)] if end is None else [volumes.data(disk, end), volumes.meta(disk, end)]
    return [*(volumes.remove_one(volume) for volume in kept), *away]
