# SPDX-License-Identifier: BSD-2-Clause
"""Disks that an instance takes over from another one: which may be, and that their new owner counts."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from gantry.cmdlib import mirror, steps
from gantry.cmdlib.view import View
from gantry.errors import Error, WrongState
from gantry.objects.instance import Disk, Instance
from gantry.objects.plan import Step
from gantry.rpc import calls

TAKEN = "disk"
"""Kind of the reservations of disks that are being attached: their UUIDs."""


def require_place(view: View, instance: Instance, present: Sequence[Disk], disk: Disk) -> None:
    """Refuse a disk that is not on all nodes of the instance, which has the disks `present`, and reserve it: another
    instance's job may be about to take it.
    """
    nodes = {instance.primary_node, *(node for one in present for node in one.nodes)}
    lacks = sorted(view.config.names_of(nodes - set(disk.nodes))) if disk.nodes else []
    if lacks:
        raise WrongState(detail=f"Disk {disk.uuid} is not on node {' and '.join(lacks)}; it can be attached only to "
                                f"an instance whose nodes all have it, and {instance.name} has others")
    view.reservations.reserve(TAKEN, disk.uuid)


def reserves(found: Sequence[Disk]) -> tuple[tuple[str, str], ...]:
    return tuple((TAKEN, disk.uuid) for disk in found)


def taken_over(guest: steps.Guest, later: Sequence[Disk], made: Collection[Disk]) -> tuple[Disk, ...]:
    """Those of the disks that the guest will have that it has not, and that are not new."""
    known = {disk.uuid for disk in (*guest.disks, *made)}
    return tuple(disk for disk in later if disk.uuid not in known)


async def claimed(view: View, guest: steps.Guest, found: Sequence[Disk]) -> tuple[steps.Guest, tuple[Step, ...]]:
    """For a guest that is to get these disks: where one of them has had a newer owner, the guest as an owner who is as
    new, and the steps that record it and tell its mirrored disks.  Else nobody could open the disk; and a secondary
    that has not heard of the owner would be taken for old.
    """
    answers = await view.nodes.call_many({guest.node.uuid, *(node for disk in found for node in disk.nodes
                                                             if not view.config.nodes[node].offline)},
                                         calls.disks_status, disks=list(found)) if found else {}
    epoch = guest.instance.owner_epoch
    for node, answer in answers.items():
        if isinstance(answer, Error):
            if node == guest.node.uuid:
                raise answer
            view.warn(f"Node {view.config.nodes[node].name} cannot tell who used the disk before: {answer}")
        else:
            epoch = max(epoch, *(int(state["owner_epoch"]) for state in answer))
    if epoch == guest.instance.owner_epoch:
        return guest, ()
    instance = replace(guest.instance, owner_epoch=epoch)
    record = steps.update(instance, owner_epoch=epoch)
    newer = replace(guest, instance=instance)
    plan = [Step(title=f"recording instance {guest.name} as the owner of disks that had others", action=record,
                 undo=record)]
    own = replace(newer, disks=tuple(disk for disk in guest.disks if disk.drbd is not None))
    if own.disks:
        active = guest.instance.disks_active
        plan += [Step(title=f"* telling the disks of instance {guest.name} on {node.name} their new owner",
                      action=mirror.assemble(own, node.uuid), undo=None if active else steps.close(own, node.uuid),
                      weight=steps.CALL_SECONDS, may_fail=node.uuid != guest.node.uuid)
                 for node in (guest.node, *guest.peers)]
        plan += [] if active else steps.close_disks(own, may_fail=True)
    return newer, tuple(plan)
