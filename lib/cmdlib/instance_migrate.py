# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_MIGRATE: move a running guest to another node.

Until the guest's memory has been sent, undoing ends what waits on the target and the guest runs on where it is.
From then on the plan is only continued: the guest runs on the target, and nowhere else.
"""

from dataclasses import dataclass, replace
from typing import Any

from gantry.cmdlib import checks, mirror_state, move, move_mirrored, placement, steps, storage_migration, vmspec
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.errors import NoResources, WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk
from gantry.objects.plan import Call, Plan, Say, Step, Task, ref
from gantry.objects.vm import VmSpec, VmStatus
from gantry.opcodes.instance import InstanceMigrate
from gantry.rpc import calls

FAILOVER_TIMEOUT = 120.0
"""Seconds for the shutdown when a migration is carried out as a failover."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """`spec` is what the guest was started with, with the new owner epoch.  `memory`: what the guest uses now,
    and what it must be shrunk to first (None: it fits).  MiB, MiB/s, ms.  `moved`: its disks on the target, where they
    must be copied there.
    """

    guest: steps.Guest
    target: Node
    spec: VmSpec
    memory: int
    shrink: int | None
    live: bool
    bandwidth: int
    downtime: int
    hooks: Hooks
    moved: tuple[Disk, ...] = ()


Seen = Migration | move.Failover | move.Cleanup


class InstanceMigrateUnit(LogicalUnit[InstanceMigrate, Seen], op=InstanceMigrate):
    """For running instances whose disks every node can open, or that are mirrored: these go to their secondary node.
    Disks that are on one node only are copied to the node that is named.
    """

    def locks(self, view: View) -> Locks:
        return move.locks(view, view.config.instance(self.op.instance_name),
                          None if self.op.cleanup else self.op.target_node)

    async def check(self, view: View) -> Seen:
        op, config = self.op, view.config
        guest = steps.guest_of(config, config.instance(op.instance_name))
        local = storage_migration.is_local(guest.instance)
        if not local:
            move.require_movable(guest.instance, "migrations")
        extra = {"MIGRATE_LIVE": self._live(guest, view), "MIGRATE_CLEANUP": op.cleanup,
                 "ALLOW_RUNTIME_CHANGES": op.allow_runtime_changes}
        if op.cleanup:
            hooks = move.moved_hooks(config, "instance-migrate", guest, guest.node, extra, source_before=True)
            found = await move.check_cleanup(view, guest, hooks)
            if local and found.runs_on.uuid != guest.node.uuid:
                raise WrongState(detail=f"Instance {guest.name} runs on node {found.runs_on.name}, but its disks are "
                                        f"recorded on {guest.place} only; end it there by hand")
            return found
        if move_mirrored.is_mirrored(guest.instance):
            target = move_mirrored.target(config, guest.instance, op.target_node, op.iallocator, what="migrated")
        elif local:
            target = storage_migration.target(config, guest.instance, op.target_node, op.iallocator)
        else:
            target = await placement.move_target(view, guest.instance, op.target_node, op.iallocator)
        hooks = move.moved_hooks(config, "instance-migrate", guest, target, extra, source_before=True)
        why = await self._impossible(view, guest)
        if why is not None or move.runs_as_failover(config, guest.instance):
            if local:
                raise WrongState(detail=f"{why or 'always_failover is set'}, can't migrate; and a failover is not "
                                        f"possible, the disks of instance {guest.name} are on {guest.place} only")
            if why is not None and not op.allow_failover:
                raise WrongState(detail=f"{why}, can't migrate: please use failover")
            view.say(f" - INFO: {why or 'always_failover is set'}, performing failover instead of migration")
            check = move_mirrored.check_failover if guest.mirrored else move.check_failover
            return await check(view, guest, target, hooks, ignore_ipolicy=op.ignore_ipolicy, ignore_consistency=False)
        return await self._migration(view, guest, target, hooks)

    def _live(self, guest: steps.Guest, view: View) -> bool:
        op = self.op
        if op.live is not None and op.mode is not None:
            raise WrongInput(detail="Only one of the 'live' and 'mode' parameters are accepted")
        if op.live is not None:
            return op.live
        mode = op.mode or effective.hvparams(view.config, guest.instance).get("migration_mode") or "live"
        return bool(mode == "live")

    async def _impossible(self, view: View, guest: steps.Guest) -> str | None:
        """Why the guest cannot be migrated, None when it can."""
        if guest.node.offline:
            return f"Primary node {guest.place} of instance {guest.name} is offline"
        if await checks.status(view, guest.instance) is None:
            return f"Instance {guest.name} is not running"
        return None

    async def _migration(self, view: View, guest: steps.Guest, target: Node, hooks: Hooks) -> Migration:
        config, instance = view.config, guest.instance
        checks.policy(view, instance, guest.disks, ignore=self.op.ignore_ipolicy, node=target.uuid)
        if await checks.status(view, instance, target.uuid):
            raise WrongState(detail=f"Node {target.name} has instance {guest.name} already, from an earlier migration "
                                    "that broke; see gnt-instance migrate --cleanup")
        running = await checks.status(view, instance)
        if running is None:
            raise WrongState(detail=f"Instance {guest.name} has just stopped on node {guest.place}")
        started = await view.nodes.call(guest.node.uuid, calls.instance_spec, instance=instance.uuid)
        spec: VmSpec = started or vmspec.build(config, instance, guest.disks)
        now = {disk.uuid: disk for disk in guest.disks}
        spec = replace(spec, owner_epoch=max(instance.owner_epoch, running.owner_epoch) + 1,
                       machine=running.machine or spec.machine,
                       disks=tuple(replace(item, disk=now.get(item.disk.uuid, item.disk)) for item in spec.disks))
        hv = effective.hvparams(config, instance)
        await checks.hypervisor_on(view, [target.uuid], instance.hypervisor, spec.hvparams)
        moved: tuple[Disk, ...] = ()
        if storage_migration.is_local(instance):
            storage_migration.require_whole(guest, spec)
            moved = await storage_migration.moved(view, guest, target)
            spec = storage_migration.there(spec, moved)
        elif guest.mirrored:
            view.say("* checking disk consistency between source and target")
            mirror_state.require_synced(guest, await mirror_state.look(view, guest), "migrate")
        else:
            await move.disks_seen(view, guest, target)
        shrink = await self._shrink(view, guest, target, running)
        return Migration(guest=guest, target=target, spec=spec, memory=shrink or running.memory, shrink=shrink,
                         live=self._live(guest, view), bandwidth=int(hv.get("migration_bandwidth") or 32),
                         downtime=int(hv.get("migration_downtime") or 30), hooks=hooks, moved=moved)

    async def _shrink(self, view: View, guest: steps.Guest, target: Node, running: VmStatus) -> int | None:
        """What the guest's memory must be brought down to so that it fits the target; raises NoResources."""
        free = (await checks.node_info(view, target.uuid)).memory_free
        if free >= running.memory:
            return None
        least = effective.beparams(view.config, guest.instance)["minmem"]
        if not self.op.allow_runtime_changes or free < least:
            raise NoResources(detail=f"Not enough memory on node {target.name} for migrating instance {guest.name}: "
                                     f"needed {running.memory} MiB, available {free} MiB")
        return free

    def plan(self, seen: Seen) -> Plan:
        if isinstance(seen, move.Cleanup):
            return move_mirrored.cleanup_plan(seen)
        if isinstance(seen, move.Failover):
            return move_mirrored.plan_of_failover(seen, timeout=FAILOVER_TIMEOUT, ignore=False)
        return Plan(steps=(*_prepare(seen), *_send(seen), *_finish(seen)))

    def hooks(self, seen: Seen) -> Hooks:
        return seen.hooks


def _guest_args(seen: Migration, **more: Any) -> dict[str, Any]:
    instance = seen.guest.instance
    return {"instance": instance.uuid, "hypervisor": str(instance.hypervisor), **more}


def _prepare(seen: Migration) -> list[Step]:
    """The new epoch stays when the migration is undone: the target's disks may have seen it."""
    guest, target = seen.guest, seen.target
    epoch = steps.update(guest.instance, owner_epoch=seen.spec.owner_epoch)
    plan = [Step(title=f"Migrating instance {guest.name} from {guest.place} to {target.name}", action=epoch,
                 undo=epoch)]
    if seen.shrink is not None:
        def balloon(memory: int) -> Call:
            return Call(node=guest.node.uuid, call="instance_balloon", args=_guest_args(seen, memory=memory))
        plan.append(Step(title=f"* shrinking the memory of instance {guest.name} to {seen.shrink}M",
                         action=balloon(seen.shrink), undo=balloon(seen.spec.memory), weight=2.0))
    if guest.mirrored:
        plan += move_mirrored.both_primary(guest, target, seen.spec.owner_epoch)
    if seen.moved:
        plan += [*storage_migration.create(guest, target, seen.moved, seen.spec.owner_epoch),
                 storage_migration.let_go(guest)]
    accept = Call(node=target.uuid, call="migration_accept",
                  args={"spec": codec.encode(seen.spec), "listen": target.secondary_ip})
    plan.append(Step(title=f"* preparing {target.name} to accept the instance", action=accept, key="accept",
                     undo=move.finish_target(seen.spec, target, success=False), weight=steps.START_SECONDS))
    return plan + (storage_migration.copy(guest, target, seen.spec, seen.bandwidth) if seen.moved else [])


def _send(seen: Migration) -> list[Step]:
    args = _guest_args(seen, target=ref("accept"), live=seen.live, bandwidth=seen.bandwidth,
                       downtime=seen.downtime)
    how = "" if seen.live else " (paused meanwhile)"
    return [Step(title=f"* migrating instance {seen.guest.name}, {seen.memory}M, to {seen.target.name}{how}",
                 action=Task(node=seen.guest.node.uuid, call="migration_send", args=args), key="sent", no_return=True,
                 weight=1.0 + seen.memory / max(1, seen.bandwidth),
                 confirm=move.finish_target(seen.spec, seen.target, success=True))]


def _finish(seen: Migration) -> list[Step]:
    guest, target = seen.guest, seen.target
    switch = steps.update(guest.instance, primary_node=target.uuid, owner_epoch=seen.spec.owner_epoch)
    source = Call(node=guest.node.uuid, call="migration_finish_source", args=_guest_args(seen, success=True))
    after = move_mirrored.turned(guest, target, epoch=seen.spec.owner_epoch)
    return [
        Step(title=f"* memory transfer complete, {target.name} is the primary node of instance {guest.name} now",
             action=storage_migration.switched(switch, seen.moved) if seen.moved else switch),
        Step(title="", action=Say(lines=[["   the guest stood still for ", ref("sent", "downtime_ms", default="?"),
                                          " ms of ", ref("sent", "total_ms", default="?"), " ms"]])),
        Step(title=f"* finishing the migration on {target.name}",
             action=move.finish_target(seen.spec, target, success=True), weight=1.0, may_fail=True),
        Step(title=f"* closing instance disks on node {guest.place}", action=source, weight=1.0, may_fail=True),
        *(move_mirrored.one_primary(after) if guest.mirrored else ()),
        *(storage_migration.remove_old(guest) if seen.moved else ())]
