# SPDX-License-Identifier: BSD-2-Clause
"""Mirrored disks: the numbers, names and secrets they take, and the steps that work on both of their ends.

A port is the cluster's, a minor its node's; both are the lowest that is free in the configuration and in what running
jobs have reserved, and a plan lists them (`reserves`) until the configuration has them.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bitarray import bitarray

from gantry.cmdlib import steps
from gantry.cmdlib.steps import Guest
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.constants import FIRST_PORT, LAST_PORT
from gantry.errors import NodeError, NoResources, WrongState
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, DrbdEnd, DrbdLocation, LvmLocation
from gantry.objects.plan import Action, Call, Several, Step, Task, Update
from gantry.rpc import calls
from gantry.utils import clock

SYNC_RATE = 60.0
"""MiB a second that copying to the other end is expected to take, for progress."""
MINORS = 1 << 16
PORT, MINOR = "port", "minor"
"""Kinds of reservations: a number; and node (UUID), slash, number."""

# --- numbers, names, secrets ---------------------------------------------------------------------------------


def free_port(view: View) -> int:
    """The lowest free TCP port for a console or a mirrored disk, reserved for this job; raises NoResources."""
    taken = {*view.config.ports_in_use(), *map(int, view.reservations.held(PORT))}
    place = _lowest_free((port - FIRST_PORT for port in taken), LAST_PORT - FIRST_PORT + 1)
    if place is None:
        raise NoResources(detail=f"all ports from {FIRST_PORT} to {LAST_PORT} are in use")
    view.reservations.reserve(PORT, str(FIRST_PORT + place))
    return FIRST_PORT + place


def free_minor(view: View, node: str) -> int:
    """The lowest free DRBD minor of the node (UUID), reserved for this job; raises NoResources."""
    taken = [end.minor for disk in view.config.disks_on(node) if disk.drbd is not None
             for end in disk.drbd.ends if end.node == node]
    stem = f"{node}/"
    taken += [int(held.removeprefix(stem)) for held in view.reservations.held(MINOR) if held.startswith(stem)]
    minor = _lowest_free(taken, MINORS)
    if minor is None:
        raise NoResources(detail=f"all {MINORS} DRBD minors of node {view.config.nodes[node].name} are in use")
    view.reservations.reserve(MINOR, f"{stem}{minor}")
    return minor


def _lowest_free(taken: Iterable[int], size: int) -> int | None:
    pool = bitarray(size)
    pool.setall(0)
    for number in taken:
        if 0 <= number < size:
            pool[number] = 1
    place = pool.find(0)
    return None if place < 0 else place


def new_secret() -> str:
    """What the two ends of a new disk prove to each other that they know."""
    return secrets.token_hex(20)


def address(node: Node) -> str:
    """Where the node's mirrors talk."""
    return node.secondary_ip or node.primary_ip


def new_end(view: View, node: Node, index: int, *, vg: str, metavg: str) -> DrbdEnd:
    """An end on `node` for disk/`index`: a free minor, and volumes with fresh names."""
    stem = view.new_uuid()
    return DrbdEnd(node=node.uuid, address=address(node), minor=free_minor(view, node.uuid),
                   data=LvmLocation(vg=vg, lv=f"{stem}.disk{index}_data"),
                   meta=LvmLocation(vg=metavg, lv=f"{stem}.disk{index}_meta"))


def new_location(view: View, ends: Sequence[DrbdEnd]) -> DrbdLocation:
    return DrbdLocation(port=free_port(view), secret=new_secret(), ends=tuple(ends))


def reserves(disks: Iterable[Disk]) -> tuple[tuple[str, str], ...]:
    """For `Plan.reserves`: the numbers of these disks."""
    found: list[tuple[str, str]] = []
    for disk in disks:
        if disk.drbd is not None:
            found.append((PORT, str(disk.drbd.port)))
            found += [(MINOR, f"{end.node}/{end.minor}") for end in disk.drbd.ends]
    return tuple(found)


# --- who can be asked ----------------------------------------------------------------------------------------


async def answering(view: View, guest: Guest, *, what: str = "left out", must: str = "") -> Guest:
    """`guest` with those peers that answer; `what` becomes of the mirror of one that is away.

    A node that is marked offline is a warning.  So is one that does not answer, unless `must` says what the operator
    can do about that: then it is refused (WrongState).
    """
    if not guest.mirrored:
        return guest
    found = []
    for uuid in view.config.secondaries_of(guest.instance):
        node = view.config.nodes[uuid]
        why = "it is marked offline" if node.offline else await _silent(view, uuid)
        if why and must and not node.offline:
            raise WrongState(detail=f"Disk consistency error: secondary node {node.name} of instance {guest.name} does "
                                    f"not answer ({why}); {must}")
        if why:
            view.warn(f"The mirror of instance {guest.name} on secondary node {node.name} is {what}: {why}")
        else:
            found.append(node)
    return replace(guest, peers=tuple(found))


def claimed(config: Config, guest: Guest) -> tuple[Guest, tuple[Step, ...]]:
    """For a guest whose disks are about to be opened: where an end is left out, a new owner, and the step that records
    it.  So the end that is left out is known to be old from then on.
    """
    if not alone(config, guest) or guest.instance.disks_active:
        return guest, ()
    instance = replace(guest.instance, owner_epoch=guest.instance.owner_epoch + 1)
    record = steps.update(instance, owner_epoch=instance.owner_epoch)
    title = f"recording that instance {guest.name} goes on without its mirror"
    return replace(guest, instance=instance), (Step(title=title, action=record, undo=record),
                                               *seen_degraded(guest, clock.epoch()))


async def _silent(view: View, node: str) -> str:
    try:
        await view.nodes.call(node, calls.version)
    except NodeError as err:
        return str(err)
    return ""


def alone(config: Config, guest: Guest) -> bool:
    """Whether an end of its disks is on a node that cannot be asked."""
    return guest.mirrored and {node.uuid for node in guest.peers} != set(config.secondaries_of(guest.instance))


# --- actions on one end --------------------------------------------------------------------------------------


def assemble(guest: Guest, node: str, *, epoch: int = 0) -> Call:
    """Devices up and connecting, their roles untouched."""
    return steps.disks_call("disks_assemble", guest, node, owner_epoch=epoch or guest.instance.owner_epoch)


def open_(guest: Guest, node: str, *, epoch: int = 0) -> Call:
    """Assemble and promote; the node refuses when it has not the newest data."""
    return steps.disks_call("disks_open", guest, node, owner_epoch=epoch or guest.instance.owner_epoch)


def force(guest: Guest, node: str, *, epoch: int = 0) -> Call:
    """Promote whatever the data is: of a pair that was just made, or because the operator says so."""
    return steps.disks_call("disks_force", guest, node, owner_epoch=epoch or guest.instance.owner_epoch)


def demote(guest: Guest, node: str) -> Call:
    return steps.disks_call("disks_demote", guest, node)


def connect(guest: Guest, node: str, *, dual: bool) -> Call:
    return steps.disks_call("drbd_connect", guest, node, dual_primary=dual)


# --- steps on both ends --------------------------------------------------------------------------------------


def ends(guest: Guest) -> tuple[str, ...]:
    """UUIDs of the primary node and of the peers that can be asked."""
    return (guest.node.uuid, *(node.uuid for node in guest.peers))


def names(guest: Guest) -> str:
    return " and ".join((guest.place, *(node.name for node in guest.peers)))


def assemble_pair(guest: Guest) -> Step:
    """Both ends of disks that were just made.  Undone, both are closed."""
    return Step(title=f"* connecting the disks of instance {guest.name} on {names(guest)}", weight=1.0,
                action=Several(actions=[assemble(guest, node) for node in ends(guest)]),
                undo=Several(actions=[steps.close(guest, node) for node in ends(guest)]))


def promote_new(guest: Guest) -> Step:
    """The first promotion of a pair, which begins its first synchronisation; its result is the list of paths."""
    return Step(title=f"* making {guest.place} the primary of the new disks of instance {guest.name}", key="disks",
                action=force(guest, guest.node.uuid), undo=demote(guest, guest.node.uuid), weight=steps.CALL_SECONDS)


def begin(guest: Guest, *, wait: bool, active: bool) -> tuple[Step, ...]:
    """From disks that were just made at both ends to a pair at work; none for disks that are not mirrored.

    `wait`: until the first synchronisation is done, else only until the ends talk.  Not `active`: closed in the end.
    """
    if not guest.mirrored:
        return ()
    ready = wait_synced(guest) if wait else wait_connected(guest)
    plan = (assemble_pair(guest), promote_new(guest), ready)
    return plan if active else (*plan, *steps.close_disks(guest))


def wait_synced(guest: Guest, *, node: str = "", may_fail: bool = False) -> Step:
    """Until all disks have the newest data at both ends, as the primary node sees it."""
    size = sum(disk.size for disk in guest.disks)
    return Step(title=f" - INFO: Waiting for instance {guest.name} to sync disks", weight=1.0 + size / SYNC_RATE,
                may_fail=may_fail, action=Task(node=node or guest.node.uuid, call="drbd_wait_synced",
                                               args={"disks": steps.encoded(guest.disks)}))


def wait_connected(guest: Guest, *, node: str = "", may_fail: bool = False) -> Step:
    """Until both ends of all disks talk; they may still be copying."""
    return Step(title=f"Waiting for the disks of instance {guest.name} to connect", weight=1.0, may_fail=may_fail,
                action=Task(node=node or guest.node.uuid, call="drbd_wait_connected",
                            args={"disks": steps.encoded(guest.disks)}))


def seen_whole(guest: Guest) -> tuple[Step, ...]:
    """After `wait_synced`: remember that what was missing at one end is there."""
    return _since(guest, None, f" - INFO: Instance {guest.name}'s disks are in sync")


def seen_degraded(guest: Guest, now: float) -> tuple[Step, ...]:
    """Remember that the disks are whole at one end only, since `now` where that was not known."""
    return _since(guest, now, f"remembering that the disks of instance {guest.name} are whole at one end only")


def _since(guest: Guest, since: float | None, title: str) -> tuple[Step, ...]:
    changed = [disk for disk in guest.disks if disk.drbd and (disk.degraded_since is None) != (since is None)]
    changes: list[Action] = [Update(table="disks", uuid=disk.uuid, fields={"degraded_since": since})
                             for disk in changed]
    return (Step(title=title, action=Several(actions=changes)),) if changes else ()


def connect_pair(guest: Guest, *, dual: bool, may_fail: bool = False) -> Step:
    """Both ends talk, with one primary or with two."""
    mode = "dual-primary" if dual else "single-primary"
    return Step(title=f"* changing disks of instance {guest.name} into {mode} mode", weight=steps.CALL_SECONDS,
                action=Several(actions=[connect(guest, node, dual=dual) for node in ends(guest)]), may_fail=may_fail)
