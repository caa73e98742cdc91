# SPDX-License-Identifier: BSD-2-Clause
"""Failover and migration of an instance with mirrored disks, between its two nodes.

Each end remembers the owner epoch it was last brought up for.  So an end that has not taken part since the instance
started without it, or was moved away from it, is known to be old, whatever its own state says.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gantry.cmdlib import checks, mirror, move, steps, vmspec
from gantry.cmdlib.base import Hooks
from gantry.cmdlib.move import Cleanup, Failover
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.constants import DiskTemplate
from gantry.errors import WrongInput, WrongState
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, Instance
from gantry.objects.plan import Plan, Several, Step
from gantry.rpc import calls
from gantry.utils import clock


def is_mirrored(instance: Instance) -> bool:
    return instance.disk_template is DiskTemplate.DRBD


def target(config: Config, instance: Instance, named: str | None, iallocator: str | None, *, what: str) -> Node:
    """The other node of the instance; `what`: migrated, or failed over."""
    if iallocator is not None:
        raise WrongInput(detail=f"Instances with disk template {instance.disk_template} cannot be {what} to arbitrary "
                                "nodes: an allocator has nothing to choose, leave it out")
    secondaries = config.secondaries_of(instance)
    if not secondaries:
        raise WrongState(detail=f"No secondary node but using {instance.disk_template} disk template: instance "
                                f"{instance.name} cannot be {what}")
    found = config.nodes[secondaries[0]]
    if named is not None and config.node(named).uuid != found.uuid:
        raise WrongInput(detail=f"Instances with disk template {instance.disk_template} cannot be {what} to arbitrary "
                                f"nodes, only to the secondary node, which is {found.name}; gnt-instance replace-disks "
                                "-n makes another node the secondary one")
    return checks.target(config, found.name)


def turned(guest: steps.Guest, node: Node, *, epoch: int, peer: bool = True) -> steps.Guest:
    """The guest as it will be with `node` as its primary; `peer`: the node it leaves can be asked."""
    instance = replace(guest.instance, primary_node=node.uuid, owner_epoch=epoch)
    return replace(guest, instance=instance, node=node, peers=(guest.node,) if peer else ())


# --- failover ------------------------------------------------------------------------------------------------


async def check_consistent(view: View, guest: steps.Guest, to: Node, *, alive: bool, ignore: bool) -> None:
    """Refuse to let the guest go on with data at `to` that is not the newest; a warning when that is to be ignored.

    `alive`: the present primary can be asked, so what it writes must arrive at `to`.  Else, or if nobody writes, `to`
    must have been whole when it last heard of it: the present primary may be gone when the guest starts.
    """
    view.say("* checking disk consistency between source and target")
    states = await view.nodes.call(to.uuid, calls.disks_status, disks=list(guest.disks))
    for index, (disk, state) in enumerate(zip(guest.disks, states, strict=True)):
        why = _old(guest, disk, state, alive=alive)
        if not why:
            continue
        lost = f"what instance {guest.name} has written since then is lost"
        if not ignore:
            raise WrongState(detail=f"disk/{index} of instance {guest.name} is degraded on target node {to.name}, "
                                    f"aborting failover: {why}. Repair it first (gnt-instance activate-disks "
                                    f"{guest.name}); with --ignore-consistency {lost}")
        view.warn(f"disk/{index} of instance {guest.name} is degraded on target node {to.name}: {why}; {lost}")


def _old(guest: steps.Guest, disk: Disk, state: Mapping[str, Any], *, alive: bool) -> str:
    """Why the data is not the newest, empty when it is as far as this end can know."""
    seen = state.get("mirror") or {}
    status, data = seen.get("status", "down"), seen.get("disk", "Unknown")
    known = int(state.get("owner_epoch") or 0)
    active = guest.instance.disks_active  # else nobody writes, and opening it tells
    reasons = (
        (not state.get("exists"), f"its volumes are not there ({state.get('path')})"),
        (known < guest.instance.owner_epoch and not (alive and status == "ok"),
         f"it was last brought up for owner {known} of the instance, which has had owner {guest.instance.owner_epoch} "
         "since, on another node"),
        (disk.degraded_since is not None and not (alive and active),
         "when it was looked at last, it had not all data of the primary node (gnt-instance info tells since when)"),
        (active and alive and status != "ok", seen.get("problem") or f"its mirror is {status} ({data})"),
        (active and not alive and status != "down" and data != "UpToDate", f"its data is {data}"))
    return next((str(text) for holds, text in reasons if holds), "")


async def check_failover(view: View, guest: steps.Guest, to: Node, hooks: Hooks, *, ignore_ipolicy: bool,
                         ignore_consistency: bool) -> Failover:
    there = await move.ready(view, guest, to, ignore_ipolicy=ignore_ipolicy)
    reachable, runs = await move.source(view, guest, to, ignore=ignore_consistency)
    await check_consistent(view, guest, to, alive=reachable, ignore=ignore_consistency)
    back = vmspec.build(view.config, guest.instance, guest.disks) if runs else None
    return Failover(guest=guest, target=to, there=there, back=back, reachable=reachable, hooks=hooks,
                    now=clock.epoch())


def plan_of_failover(seen: Failover, *, timeout: float, ignore: bool) -> Plan:
    """Of any instance."""
    if seen.guest.mirrored:
        return failover_plan(seen, timeout=timeout, ignore=ignore)
    return move.failover_plan(seen, timeout=timeout, may_fail=ignore)


def failover_plan(seen: Failover, *, timeout: float, ignore: bool) -> Plan:
    """The target is promoted before it is recorded as the primary node: when it refuses, nothing has changed.  It hears
    of the new owner first of all: should the plan be undone, it is still known to be as new as the other end.
    """
    guest, epoch = seen.guest, seen.there.owner_epoch
    active = guest.instance.disks_active or steps.is_up(guest.instance)
    after = turned(guest, seen.target, epoch=epoch, peer=seen.reachable)
    record = steps.update(guest.instance, owner_epoch=epoch)
    plan = [Step(title=f"Failover instance {guest.name} from {guest.place} to {seen.target.name}", action=record,
                 undo=record)]
    plan += [_claim(after)] if active else []
    if seen.reachable:
        again = steps.begin(seen.back, guest.node.uuid) if seen.back is not None else None
        plan.append(steps.stop(guest, timeout=timeout, may_fail=ignore, undo=again,
                               title=f"* shutting down instance {guest.name} on source node {guest.place}"))
        plan.append(Step(title=f"* deactivating the instance's disks on source node {guest.place}", may_fail=ignore,
                         action=mirror.demote(guest, guest.node.uuid), weight=steps.CALL_SECONDS,
                         undo=mirror.open_(guest, guest.node.uuid) if guest.instance.disks_active else None))
    plan.append(_take_over(after, ignore=ignore) if active else replace(_claim(after), undo=steps.close(
        after, seen.target.uuid)))
    plan.append(Step(title=f"recording {seen.target.name} as the primary node of instance {guest.name}", no_return=True,
                     action=steps.update(guest.instance, primary_node=seen.target.uuid, owner_epoch=epoch)))
    plan += [_follow(after)] if seen.reachable else mirror.seen_degraded(guest, seen.now)
    if steps.is_up(guest.instance):
        plan += steps.remember(guest, f"remembering that the disks of instance {guest.name} are in use",
                               disks_active=True)
        plan += steps.start(after, seen.there)
    elif not guest.instance.disks_active:
        plan += steps.close_disks(after, may_fail=True)
    return Plan(steps=tuple(plan))


def _claim(after: steps.Guest) -> Step:
    """The disks of the new primary learn of the new owner; their roles stay."""
    return Step(title=f"* telling the disks of instance {after.name} on {after.place} their new owner",
                action=mirror.assemble(after, after.node.uuid), weight=steps.CALL_SECONDS)


def _take_over(after: steps.Guest, *, ignore: bool) -> Step:
    """The new primary opens the disks."""
    node = after.node.uuid
    action = mirror.force(after, node) if ignore else mirror.open_(after, node)
    return Step(title=f"* activating the instance's disks on target node {after.place}", action=action, key="disks",
                undo=mirror.demote(after, node), weight=steps.CALL_SECONDS)


def _follow(after: steps.Guest) -> Step:
    """The node that was left becomes the mirror."""
    peer = after.peers[0]
    return Step(title=f"* assembling the disks of instance {after.name} on secondary node {peer.name}", may_fail=True,
                action=mirror.assemble(after, peer.uuid), weight=steps.CALL_SECONDS)


# --- migration -----------------------------------------------------------------------------------------------


def both_primary(guest: steps.Guest, to: Node, epoch: int) -> list[Step]:
    """From one primary to two, as long as the guest's memory is on its way.

    The connection changes its settings without a moment in which the guest writes on alone; both ends must be whole
    all the same before the target is promoted.  Undone, the target is the mirror again, also after its devices went
    down.
    """
    after = turned(guest, to, epoch=epoch)
    claim = _claim(after)
    single = Several(actions=[mirror.connect(guest, node, dual=False) for node in mirror.ends(guest)])
    return [
        replace(claim, undo=single),
        replace(mirror.connect_pair(guest, dual=True), undo=claim.action),
        mirror.wait_synced(guest),
        Step(title=f"* activating the instance's disks on target node {to.name}", action=mirror.open_(after, to.uuid),
             undo=mirror.demote(after, to.uuid), weight=steps.CALL_SECONDS)]


def one_primary(after: steps.Guest) -> list[Step]:
    """From two primaries to the one of `after`, whose guest runs by now: what fails is a warning, and is mended by the
    next gnt-cluster verify-disks.
    """
    peer = after.peers[0]
    return [Step(title=f"* switching node {peer.name} to secondary mode", action=mirror.demote(after, peer.uuid),
                 weight=steps.CALL_SECONDS, may_fail=True),
            _follow(after),
            mirror.connect_pair(after, dual=False, may_fail=True), mirror.wait_synced(after, may_fail=True)]


def cleanup_plan(seen: Cleanup) -> Plan:
    """After a migration that broke, of any instance; the node without the guest holds its mirrors again."""
    guest, plan = seen.guest, move.cleanup_plan(seen)
    peers = [node for node in (guest.node, *guest.peers) if node.uuid != seen.runs_on.uuid and not node.offline]
    if not guest.mirrored or not peers:
        return plan
    instance = replace(guest.instance, primary_node=seen.runs_on.uuid, owner_epoch=seen.epoch)
    after = replace(guest, instance=instance, node=seen.runs_on, peers=tuple(peers))
    return replace(plan, steps=(*plan.steps, *one_primary(after)))
