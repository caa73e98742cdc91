# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_MOVE: stop the guest, copy its disks to another node, start it there.

The old disks stay as they are until the new ones are recorded; before that, undoing starts the guest on them again.
"""

from dataclasses import dataclass, replace

from gantry.cmdlib import checks, hookenv, measure, mirror, steps, storage_migration, vmspec
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.errors import WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk
from gantry.objects.plan import Plan, Several, Step, Task
from gantry.objects.vm import VmSpec
from gantry.opcodes.instance import InstanceMove

COPY_RATE = 60.0
"""MiB a second that copying to another node is expected to take, for progress."""
UNPACKED = "none"


@dataclass(frozen=True, kw_only=True)
class Copying:
    """`later`: the guest as it will be, on the target; `there`: its spec on the target, None when it is not to run;
    `here`: its spec on its present node, None when it does not run.  `port`: where the target takes the copies.
    """

    guest: steps.Guest
    later: steps.Guest
    there: VmSpec | None
    here: VmSpec | None
    port: int
    hooks: Hooks


class InstanceMoveUnit(LogicalUnit[InstanceMove, Copying], op=InstanceMove):
    """For disks that are on the primary node only.  Result: null."""

    def locks(self, view: View) -> Locks:
        instance = view.config.instance(self.op.instance_name)
        nodes = frozenset({instance.primary_node, view.config.node(self.op.target_node).uuid})
        return Locks(exclusive={"instance": frozenset({instance.name}), "node": nodes, "node-res": nodes})

    async def check(self, view: View) -> Copying:
        op, config = self.op, view.config
        guest = steps.guest_of(config, config.instance(op.instance_name))
        if not storage_migration.is_local(guest.instance):
            raise WrongState(detail=f"Instance's disk layout '{guest.instance.disk_template}' is not suitable for "
                                    "copying")
        target = checks.target(config, op.target_node)
        if target.uuid == guest.node.uuid:
            raise WrongState(detail=f"Instance {guest.name} is already on the node {target.name}")
        checks.online(config, guest.node.uuid)
        if op.compress not in (UNPACKED, *config.cluster.compression_tools):
            raise WrongInput(detail=f"Compression tool '{op.compress}' is not enabled in this cluster")
        instance = replace(guest.instance, primary_node=target.uuid, owner_epoch=guest.instance.owner_epoch + 1)
        checks.policy(view, instance, guest.disks, ignore=op.ignore_ipolicy)
        guest = await measure.measured(view, guest)
        later = replace(guest, instance=instance, node=target,
                        disks=await storage_migration.moved(view, guest, target))
        runs = await checks.status(view, guest.instance) is not None
        here = vmspec.build(config, guest.instance, guest.disks) if runs else None
        return Copying(guest=guest, later=later, here=here, there=await self._there(view, guest, later, runs=runs),
                       port=mirror.free_port(view), hooks=self._hooks(config, guest, target))

    async def _there(self, view: View, guest: steps.Guest, later: steps.Guest, *, runs: bool) -> VmSpec | None:
        if not runs and not steps.is_up(guest.instance):
            view.say(" - INFO: Not checking memory on the target node as instance will not be started")
            return None
        if not runs:
            view.warn(f"Instance {guest.name} is marked to be up and does not run; it is started on the target")
        config, node = view.config, later.node.uuid
        there = vmspec.build(config, later.instance, later.disks)
        await checks.hypervisor_on(view, [node], guest.instance.hypervisor, effective.hvparams(config, guest.instance))
        await checks.memory(view, node, there.memory, f"moving instance {guest.name}")
        return there

    def _hooks(self, config: Config, guest: steps.Guest, target: Node) -> Hooks:
        env = hookenv.instance_env(config, guest.instance, guest.disks) | hookenv.texts({
            "TARGET_NODE": target.name, "SHUTDOWN_TIMEOUT": self.op.shutdown_timeout})
        return hookenv.hooks(config, "instance-move", env, of=guest.instance, pre=(guest.node.uuid, target.uuid))

    def plan(self, seen: Copying) -> Plan:
        guest, later, plan = seen.guest, seen.later, []
        if seen.here is not None:
            plan.append(steps.stop(guest, timeout=self.op.shutdown_timeout, may_fail=self.op.ignore_consistency,
                                   undo=steps.begin(seen.here, guest.node.uuid)))
        plan += [*steps.open_disks(guest),
                 *storage_migration.create(guest, later.node, later.disks, later.instance.owner_epoch),
                 *steps.open_disks(later)]
        plan += [self._copy(seen, index, old, new)
                 for index, (old, new) in enumerate(zip(guest.disks, later.disks, strict=True))]
        plan += steps.close_disks(guest)
        switch = steps.update(guest.instance, primary_node=later.node.uuid, owner_epoch=later.instance.owner_epoch)
        plan.append(Step(title=f"recording {later.node.name} as the primary node of instance {guest.name}",
                         action=storage_migration.switched(switch, later.disks), no_return=True))
        plan += storage_migration.remove_old(guest)
        plan += steps.start(later, seen.there) if seen.there is not None else steps.close_disks(later, may_fail=True)
        return Plan(steps=tuple(plan), reserves=((mirror.PORT, str(seen.port)),))

    def _copy(self, seen: Copying, index: int, old: Disk, new: Disk) -> Step:
        source, target = seen.guest.node, seen.later.node
        receive = Task(node=target.uuid, call="disk_receive", args={
            "disk": codec.encode(new), "source": source.uuid, "listen": mirror.address(target), "port": seen.port,
            "compress": self.op.compress})
        send = Task(node=source.uuid, call="disk_send", args={
            "disk": codec.encode(old), "target": target.uuid, "host": mirror.address(target), "port": seen.port,
            "compress": self.op.compress})
        return Step(title=f"* copying disk/{index} of instance {seen.guest.name}, {old.size}M, to {target.name}",
                    action=Several(actions=[receive, send]), weight=1.0 + old.size / COPY_RATE)

    def hooks(self, seen: Copying) -> Hooks:
        return seen.hooks
