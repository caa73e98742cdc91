# SPDX-License-Identifier: BSD-2-Clause
"""Moving an instance whose disks every node can open: what failover and migration share.

Whoever opens the disks must have the highest owner epoch, and the configuration must know an epoch before a
disk does.  So a migration records the new epoch first (and keeps it when it is undone), a failover records it
together with the new primary node, before that node opens anything.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gantry.cmdlib import checks, hookenv, steps, vmspec
from gantry.cmdlib.base import Hooks, Locks
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import SHARED_TEMPLATES, DiskTemplate
from gantry.errors import NodeUnreachable, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Instance
from gantry.objects.plan import Call, Plan, Say, Step
from gantry.objects.vm import VmSpec
from gantry.rpc import calls
from gantry.utils.clock import PATIENCE, SYSTEM
from gantry.utils.retry import growing

ASK_SECONDS = 8.0 * PATIENCE
"""How long a primary node is asked that does not answer, before it is taken for dead: its daemon may be starting."""
LINK_PAUSES = (2.0,) * 12
"""Seconds between looks at the mirrors of such a node: DRBD notices within 16 s that its peer is gone."""


@dataclass(frozen=True, kw_only=True)
class Failover:
    """`back` starts the guest on its old node again, None when it did not run there or nobody can say.  From `now` on
    mirrored disks are whole at one end only, if the old node cannot be asked.
    """

    guest: steps.Guest
    target: Node
    there: VmSpec
    back: VmSpec | None
    reachable: bool
    hooks: Hooks
    now: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Cleanup:
    """`runs_on`: where the guest really is; `strays`: nodes with a paused rest of a migration."""

    guest: steps.Guest
    runs_on: Node
    epoch: int
    spec: VmSpec
    strays: tuple[Node, ...]
    hooks: Hooks


def locks(view: View, instance: Instance, target: str | None) -> Locks:
    """The instance, its nodes and the target; without a named target all nodes of the group, unless only one can be."""
    config = view.config
    nodes = {instance.primary_node, *config.secondaries_of(instance)}
    if instance.disk_template is DiskTemplate.DRBD:
        pass
    elif target is not None:
        nodes.add(config.node(target).uuid)
    else:
        nodes |= {node.uuid for node in config.members_of(config.nodes[instance.primary_node].group)}
    found = frozenset(nodes)
    return Locks(exclusive={"instance": frozenset({instance.name}), "node": found, "node-res": found})


def require_movable(instance: Instance, what: str) -> None:
    if instance.disk_template not in SHARED_TEMPLATES and instance.disk_template is not DiskTemplate.DRBD:
        raise WrongState(detail=f"Instance's disk layout '{instance.disk_template}' does not allow {what}")


async def disks_seen(view: View, guest: steps.Guest, target: Node) -> None:
    """Refuse when the target does not see the disks."""
    if not guest.disks:
        return
    view.say("* checking disk consistency between source and target")
    found = await view.nodes.call(target.uuid, calls.disks_status, disks=list(guest.disks))
    for index, state in enumerate(found):
        if not state.get("exists"):
            raise WrongState(detail=f"disk/{index} of instance {guest.name} is not there on node {target.name} "
                                    f"({state.get('path')}), aborting")


def move_env(guest: steps.Guest, target: Node) -> dict[str, Any]:
    """The two nodes of mirrored disks change places."""
    return {"OLD_PRIMARY": guest.place, "NEW_PRIMARY": target.name,
            "OLD_SECONDARY": target.name if guest.mirrored else "",
            "NEW_SECONDARY": guest.place if guest.mirrored else ""}


def moved_hooks(config: Config, path: str, guest: steps.Guest, target: Node, extra: Mapping[str, Any], *,
                source_before: bool) -> Hooks:
    """Hooks on master and target, and on the source after it (before it as well if `source_before`)."""
    env = hookenv.instance_env(config, guest.instance, guest.disks)
    env |= hookenv.texts({**extra, **move_env(guest, target)})
    both = (target.uuid, guest.node.uuid)
    return hookenv.hooks(config, path, env, of=guest.instance,
                         pre=both if source_before else (target.uuid,), post=both)


# --- failover ------------------------------------------------------------------------------------------------


async def check_failover(view: View, guest: steps.Guest, target: Node, hooks: Hooks, *, ignore_ipolicy: bool,
                         ignore_consistency: bool) -> Failover:
    there = await ready(view, guest, target, ignore_ipolicy=ignore_ipolicy)
    await _tolerant_disks(view, guest, target, ignore=ignore_consistency)
    reachable, runs = await source(view, guest, target, ignore=ignore_consistency)
    back = vmspec.build(view.config, guest.instance, guest.disks) if runs else None
    return Failover(guest=guest, target=target, there=there, back=back, reachable=reachable, hooks=hooks)


async def ready(view: View, guest: steps.Guest, target: Node, *, ignore_ipolicy: bool) -> VmSpec:
    """The guest as it will be on the target, which can take it."""
    config, instance = view.config, guest.instance
    moved = replace(instance, primary_node=target.uuid, owner_epoch=instance.owner_epoch + 1)
    checks.policy(view, moved, guest.disks, ignore=ignore_ipolicy, node=target.uuid)
    there = vmspec.build(config, moved, guest.disks)
    if steps.is_up(instance):
        await checks.hypervisor_on(view, [target.uuid], instance.hypervisor, there.hvparams)
        await checks.memory(view, target.uuid, there.memory, f"failing over instance {guest.name}")
    else:
        view.say(" - INFO: Not checking memory on the target node as instance will not be started")
    return there


async def _tolerant_disks(view: View, guest: steps.Guest, target: Node, *, ignore: bool) -> None:
    try:
        await disks_seen(view, guest, target)
    except WrongState as err:
        if not ignore:
            raise
        view.warn(str(err))


async def source(view: View, guest: steps.Guest, target: Node, *, ignore: bool) -> tuple[bool, bool]:
    """(whether the old node can be asked to stop the guest, whether the guest runs there)."""
    if guest.node.offline:
        view.warn(f"Could not shutdown instance {guest.name} on node {guest.place}: it is marked offline, so it is "
                  "taken for dead")
        return False, False
    end, waits = SYSTEM.now() + ASK_SECONDS, growing(0.5, most=2.0)
    while True:
        try:
            return True, await checks.status(view, guest.instance) is not None
        except NodeUnreachable as err:
            if SYSTEM.now() >= end:
                used = not ignore and await _used(view, guest, target)
                checks.unreachable(view, guest.name, guest.node.uuid, err, used=used)
                return False, False
        await asyncio.sleep(next(waits))


async def _used(view: View, guest: steps.Guest, target: Node) -> bool:
    """Whether somebody runs the guest, as the target sees it on its disks; a mirror takes a while to notice that the
    other end is gone.
    """
    for pause in (*(LINK_PAUSES if guest.mirrored else ()), None):
        found = await view.nodes.call(target.uuid, calls.disks_status, disks=list(guest.disks)) if guest.disks else []
        if not any(_is_used(state) for state in found):
            return False
        if pause is not None:
            await asyncio.sleep(pause)
    return True


def _is_used(state: Mapping[str, Any]) -> bool:
    return bool(state.get("used")) or (state.get("mirror") or {}).get("peer_role") == "Primary"


def failover_plan(seen: Failover, *, timeout: float, may_fail: bool) -> Plan:
    """Once the new primary is recorded there is no way back: the old node can no longer open the disks."""
    guest, target = seen.guest, seen.target
    plan = [Step(title=f"Failover instance {guest.name} from {guest.place} to {target.name}",
                 action=Say(lines=[]))]
    if seen.reachable:
        again = steps.begin(seen.back, guest.node.uuid) if seen.back is not None else None
        plan.append(steps.stop(guest, timeout=timeout, may_fail=may_fail, undo=again,
                               title=f"* shutting down instance {guest.name} on source node {guest.place}"))
        plan += steps.close_disks(guest, may_fail=may_fail)
    switch = steps.update(guest.instance, primary_node=target.uuid, owner_epoch=seen.there.owner_epoch)
    plan.append(Step(title=f"recording {target.name} as the primary node of instance {guest.name}", action=switch,
                     no_return=True))
    if steps.is_up(guest.instance):
        plan += steps.open_disks(guest, node=target, epoch=seen.there.owner_epoch)
        plan += steps.start(guest, seen.there, node=target)
    return Plan(steps=tuple(plan))


# --- after a migration or failover that broke -----------------------------------------------------------------


async def check_cleanup(view: View, guest: steps.Guest, hooks: Hooks) -> Cleanup:
    """Find where the guest really is; raises WrongState when that cannot be told."""
    config, instance = view.config, guest.instance
    nodes = [node.uuid for node in config.members_of(guest.node.group) if node.vm_capable and not node.offline]
    if guest.mirrored:
        nodes = [node.uuid for node in (guest.node, *guest.peers) if not node.offline]
    found = await checks.elsewhere(view, instance, nodes)
    running = [node for node, status in found.items() if status.state == "running"]
    names = ", ".join(sorted(config.names_of(found)))
    if len(running) > 1:
        raise WrongState(detail=f"Instance {guest.name} is running on several nodes ({names}); stop all but one of "
                                "them by hand, then repeat this operation")
    if not running and len(found) != 1:
        raise WrongState(detail=f"Instance {guest.name} is not running anywhere; in this case, it's recommended to "
                                "start it" if not found else
                                f"Instance {guest.name} is paused on several nodes ({names}), none of them runs it; "
                                "end all but one by hand")
    here = running[0] if running else next(iter(found))
    view.say(f"* instance {guest.name} is on node {config.nodes[here].name}")
    epoch = max(instance.owner_epoch, *(status.owner_epoch for status in found.values()))
    moved = replace(instance, primary_node=here, owner_epoch=epoch)
    return Cleanup(guest=guest, runs_on=config.nodes[here], epoch=epoch, hooks=hooks,
                   spec=vmspec.build(config, moved, guest.disks),
                   strays=tuple(config.nodes[node] for node in found if node != here))


def cleanup_plan(seen: Cleanup) -> Plan:
    """Record where the guest is, end what is left of it elsewhere."""
    guest = seen.guest
    plan = list(steps.remember(guest, f"recording {seen.runs_on.name} as the primary node of instance {guest.name}",
                               primary_node=seen.runs_on.uuid, owner_epoch=seen.epoch))
    for node in seen.strays:
        if node.uuid == guest.node.uuid:
            rest = Call(node=node.uuid, call="migration_finish_source", args={
                "instance": guest.instance.uuid, "hypervisor": str(guest.instance.hypervisor), "success": True})
        else:
            rest = finish_target(seen.spec, node, success=False)
        plan.append(Step(title=f"* ending what is left of instance {guest.name} on {node.name}", action=rest,
                         weight=1.0))
    return Plan(steps=tuple(plan), undoable=False)


def finish_target(spec: VmSpec, node: Node, *, success: bool) -> Call:
    return Call(node=node.uuid, call="migration_finish_target",
                args={"spec": codec.encode(spec), "success": success})


def runs_as_failover(config: Config, instance: Instance) -> bool:
    """Whether a migration of this instance is always carried out as a failover."""
    return bool(effective.beparams(config, instance)["always_failover"])


