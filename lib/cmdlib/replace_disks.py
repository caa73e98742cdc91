# SPDX-License-Identifier: BSD-2-Clause
"""Plans that replace what one end of mirrored disks lies on, or the end itself.

The other end has the newest data all the time.  The old volumes go last, when the new ones hold everything (or, with
early release, when the new ones have begun to fill).  Undone, the old volumes are taken back and filled anew: what was
written meanwhile is not on them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gantry.cmdlib import disks, mirror, steps, volumes
from gantry.cmdlib.base import Hooks
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, DrbdEnd
from gantry.objects.plan import Action, Call, Plan, Say, Several, Step, Task, Update


@dataclass(frozen=True, kw_only=True)
class Swap:
    """A disk as it is and as it will be."""

    index: int
    old: Disk
    new: Disk

    def old_end(self, node: str) -> DrbdEnd:
        return _end(self.old, node)

    def new_end(self, node: str) -> DrbdEnd:
        return _end(self.new, node)


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """`node` gets new volumes; it is the new secondary if `leaves` is not None: the node that was it until now.

    `guest` has all disks, and the peers that can be asked.  `opens`: a disk is not brought up somewhere, all are for a
    while.  `apart`: an end stands alone, so after a split brain; what only the secondary has is given up then.
    `now`: since when the secondary has not everything.
    """

    guest: steps.Guest
    node: Node
    leaves: Node | None
    swaps: tuple[Swap, ...]
    opens: bool
    apart: bool
    wipe: bool
    early: bool
    now: float
    hooks: Hooks

    @property
    def fills_secondary(self) -> bool:
        """Whether it is the secondary's end that is empty for a while; else it is the primary's."""
        return self.leaves is not None or self.node.uuid != self.guest.node.uuid


def plan(seen: Replacement) -> Plan:
    last = (_wait, _remove) if not seen.early else (_remove, _wait)
    parts = [*_bring_up(seen), *_headed(3, "Allocate new storage", _allocate(seen)),
             *_headed(4, "Changing drbd configuration", [*_incomplete(seen), *_change(seen), _record(seen)])]
    titles = {_wait: "Sync devices", _remove: "Removing old storage"}
    for number, part in enumerate(last, 5):
        parts = steps.for_good(parts) if part is _remove else parts
        parts += _headed(number, titles[part], part(seen))
    return Plan(steps=(*parts, *_put_down(seen)), reserves=mirror.reserves(swap.new for swap in seen.swaps))


def _headed(number: int, title: str, parts: Iterable[Step]) -> list[Step]:
    return [Step(title=f"STEP {number}/6 {title}", action=Say(lines=[])), *parts]


def _end(disk: Disk, node: str) -> DrbdEnd:
    end = disk.drbd.end(node) if disk.drbd is not None else None
    assert end is not None, f"disk {disk.uuid} has no end on node {node}"  # noqa: S101 - the check made both
    return end


def _with(guest: steps.Guest, swaps: Sequence[Swap], peers: Iterable[Node] | None = None) -> steps.Guest:
    """The guest with the new disks."""
    new = {swap.index: swap.new for swap in swaps}
    found = tuple(new.get(index, disk) for index, disk in enumerate(guest.disks))
    return replace(guest, disks=found, peers=guest.peers if peers is None else tuple(peers))


def after(seen: Replacement) -> steps.Guest:
    """The guest as it will be."""
    return _with(seen.guest, seen.swaps, [seen.node] if seen.leaves is not None else None)


# --- bringing up, putting down -------------------------------------------------------------------------------


def _bring_up(seen: Replacement) -> list[Step]:
    """What is not up yet; the end that is given up may fail."""
    if not seen.opens:
        return []
    guest, plan = seen.guest, []
    given_up = (seen.leaves or seen.node).uuid
    for node in (guest.node, *guest.peers):
        undo = None if guest.instance.disks_active else steps.close(guest, node.uuid)
        plan.append(Step(title=f"* assembling the disks of instance {guest.name} on {node.name}", undo=undo,
                         action=mirror.assemble(guest, node.uuid), may_fail=node.uuid == given_up,
                         weight=steps.CALL_SECONDS))
    return plan


def _put_down(seen: Replacement) -> Sequence[Step]:
    if not seen.opens or seen.guest.instance.disks_active:
        return ()
    return steps.close_disks(after(seen), may_fail=True)


# --- new volumes ---------------------------------------------------------------------------------------------


def _allocate(seen: Replacement) -> list[Step]:
    plan = []
    for swap in seen.swaps:
        args = {"disk": codec.encode(swap.new), "owner_epoch": seen.guest.instance.owner_epoch, "wipe": seen.wipe}
        end = swap.new_end(seen.node.uuid)
        undo = volumes.remove(swap.new, end) if seen.leaves is None else steps.remove_disk(swap.new, seen.node.uuid)
        plan.append(Step(title=f"* creating new volumes on {seen.node.name} for {disks.shown(swap.index, swap.new)}",
                         action=Task(node=seen.node.uuid, call="disk_create", args=args), undo=undo,
                         weight=0.5 + swap.new.size / (disks.WIPE_RATE if seen.wipe else disks.CREATE_RATE)))
    return plan


# --- the change ----------------------------------------------------------------------------------------------


def _incomplete(seen: Replacement) -> list[Step]:
    """Nobody may fail over to the secondary's end until it is filled; nor when this is undone, until it is known to be
    whole again.
    """
    if not seen.fills_secondary:
        return []
    old = replace(seen.guest, disks=tuple(swap.old for swap in seen.swaps))
    return [replace(step, undo=Say(lines=[])) for step in mirror.seen_degraded(old, seen.now)]


def _change(seen: Replacement) -> list[Step]:
    return _new_volumes(seen) if seen.leaves is None else _new_peer(seen, seen.leaves)


def _replace(call: str, node: str, old: Disk, new: Disk) -> Call:
    return Call(node=node, call=call, args={"disk": codec.encode(old), "new": codec.encode(new)})


def _new_volumes(seen: Replacement) -> list[Step]:
    """Under the same device, while the other end serves and fills it."""
    node = seen.node
    plan = _filled_again(seen)
    if seen.apart and node.uuid != seen.guest.node.uuid:
        plan += _given_up(seen)
    plan += [Step(title=f"* exchanging the volumes of disk/{swap.index} on {node.name}", weight=1.0,
                 action=_replace("drbd_replace_local", node.uuid, swap.old, swap.new),
                 undo=_replace("drbd_replace_local", node.uuid, swap.new, swap.old)) for swap in seen.swaps]
    plan.append(Step(title=f"* connecting the disks of instance {seen.guest.name} on {node.name}",
                     action=mirror.assemble(after(seen), node.uuid), weight=steps.CALL_SECONDS))
    return plan


def _given_up(seen: Replacement) -> list[Step]:
    """The two ends talk again, and the secondary takes what the primary has: the operator chose that by replacing the
    secondary's storage.
    """
    guest = replace(seen.guest, disks=tuple(swap.old for swap in seen.swaps))
    primary, node = guest.node, seen.node
    return [Step(title=f"* giving up what only {node.name} has of the disks of instance {guest.name}",
                 action=steps.disks_call("drbd_discard", guest, node.uuid), weight=steps.CALL_SECONDS),
            Step(title=f"* connecting the disks of instance {guest.name} on {primary.name}",
                 action=mirror.connect(guest, primary.uuid, dual=False), weight=steps.CALL_SECONDS),
            mirror.wait_connected(guest)]


def _filled_again(seen: Replacement) -> list[Step]:
    """Do nothing.  Undone, old volumes that were taken back are whole again before all is put down."""
    if not seen.opens or seen.guest.instance.disks_active:
        return []
    old = replace(seen.guest, disks=tuple(swap.old for swap in seen.swaps))
    return [Step(title="", action=Say(lines=[]), undo=mirror.wait_synced(old).action)]


def _new_peer(seen: Replacement, leaves: Node) -> list[Step]:
    guest, new, plan = seen.guest, after(seen), []
    if leaves in guest.peers:
        plan += _filled_again(seen)
        plan.append(Step(title=f"* shutting down the mirrors of instance {guest.name} on old secondary {leaves.name}",
                         action=steps.close(guest, leaves.uuid), undo=mirror.assemble(guest, leaves.uuid),
                         may_fail=True, weight=steps.CALL_SECONDS))
    plan.append(Step(title=f"* assembling the disks of instance {guest.name} on new secondary {seen.node.name}",
                     action=mirror.assemble(new, seen.node.uuid), undo=steps.close(new, seen.node.uuid),
                     weight=steps.CALL_SECONDS))
    plan += _taken_back(seen, leaves) if leaves in guest.peers else []
    plan += [Step(title=f"* connecting disk/{swap.index} on {guest.place} to {seen.node.name}", weight=1.0,
                  action=_replace("drbd_replace_peer", guest.node.uuid, swap.old, swap.new),
                  undo=_replace("drbd_replace_peer", guest.node.uuid, swap.new, swap.old)) for swap in seen.swaps]
    return plan


def _taken_back(seen: Replacement, leaves: Node) -> list[Step]:
    """Do nothing.  Undone, the old secondary is filled anew: the primary, which has been with another peer, does not
    know any more what it had.  Its volumes are as they were until the primary is there to fill them.
    """
    return [Step(title="", action=Say(lines=[]), undo=_replace("drbd_replace_local", leaves.uuid, swap.old, swap.old))
            for swap in seen.swaps]


def _record(seen: Replacement) -> Step:
    return Step(title=f"recording the new volumes of instance {seen.guest.name}", action=Several(actions=[
        Update(table="disks", uuid=swap.new.uuid, fields=codec.encode({"drbd": swap.new.drbd, "nodes": swap.new.nodes}))
        for swap in seen.swaps]))


# --- the end -------------------------------------------------------------------------------------------------


def _wait(seen: Replacement) -> list[Step]:
    since = seen.now if seen.fills_secondary else None
    filled = replace(after(seen), disks=tuple(
        replace(swap.new, degraded_since=swap.new.degraded_since or since) for swap in seen.swaps))
    return [mirror.wait_synced(filled), *mirror.seen_whole(filled)]


def _remove(seen: Replacement) -> list[Step]:
    """There is no way back before the first of it is gone.  A node that is away keeps its volumes; the check has said
    so.
    """
    node = seen.leaves or seen.node
    if seen.leaves is not None and seen.leaves not in seen.guest.peers:
        return [Step(title=f"* leaving the old volumes on {node.name}, which does not answer", action=Say(lines=[]))]
    return [Step(title=f"* removing the old volumes of disk/{swap.index} on {node.name}", may_fail=True,
                 action=_remove_old(seen, swap), weight=1.0) for swap in seen.swaps]


def _remove_old(seen: Replacement, swap: Swap) -> Action:
    if seen.leaves is not None:
        return steps.remove_disk(swap.old, seen.leaves.uuid)
    return volumes.remove(swap.old, swap.old_end(seen.node.uuid))
