# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_REMOVE: stop the guest, remove its disks, forget it.

The record goes last: whatever interrupts the removal, a second one finds what is left.
"""

from dataclasses import dataclass

from gantry.cmdlib import checks, disks, hookenv, mirror, steps, vmspec
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.constants import AdminState
from gantry.errors import NodeUnreachable, WrongState
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk
from gantry.objects.plan import Plan, Step
from gantry.objects.vm import VmSpec
from gantry.opcodes.instance import InstanceRemove


@dataclass(frozen=True, kw_only=True)
class Old:
    """`removers`: each disk by index with the nodes that can remove it.  `back`: of the guest that runs, to let it run
    on when the removal is canceled while it is asked to stop.
    """

    guest: steps.Guest
    removers: tuple[tuple[int, Disk, tuple[Node, ...]], ...]
    reachable: bool
    back: VmSpec | None
    hooks: Hooks


class InstanceRemoveUnit(LogicalUnit[InstanceRemove, Old], op=InstanceRemove):
    """Once the guest is down there is no way back."""

    def locks(self, view: View) -> Locks:
        instance = view.config.instance(self.op.instance_name)
        nodes = frozenset({instance.primary_node, *view.config.secondaries_of(instance)})
        return Locks(exclusive={"instance": frozenset({instance.name}), "node": nodes, "node-res": nodes})

    async def check(self, view: View) -> Old:
        config = view.config
        guest = steps.guest_of(config, config.instance(self.op.instance_name))
        reachable, runs = await self._reachable(view, guest)
        guest = await mirror.answering(view, guest)
        there = {node.uuid for node in guest.peers} | ({guest.node.uuid} if reachable else set())
        removers = []
        for index, disk in enumerate(guest.disks):
            nodes = disks.removers(config, guest.instance, disk)
            for uuid in dict.fromkeys((*disk.nodes, *nodes)):
                if disk.nodes and uuid not in there:
                    view.warn(f"{disks.shown(index, disk)} of instance {guest.name} is left on node "
                              f"{config.nodes[uuid].name}, which cannot be asked to remove it")
            found = tuple(config.nodes[uuid] for uuid in nodes if not disk.nodes or uuid in there)
            removers.append((index, disk, found))
        secondaries = config.secondaries_of(guest.instance)
        env = hookenv.instance_env(config, guest.instance, guest.disks)
        env["SHUTDOWN_TIMEOUT"] = str(self.op.shutdown_timeout)
        hooks = hookenv.hooks(config, "instance-remove", env, pre=(), post=(guest.node.uuid, *secondaries))
        return Old(guest=guest, removers=tuple(removers), reachable=reachable, hooks=hooks,
                   back=vmspec.build(config, guest.instance, guest.disks) if runs else None)

    async def _reachable(self, view: View, guest: steps.Guest) -> tuple[bool, bool]:
        """Whether the primary node can stop the guest, and whether it runs; refuses when it cannot, unless
        failures are to be ignored.
        """
        try:
            checks.online(view.config, guest.node.uuid)
            return True, await checks.status(view, guest.instance) is not None
        except (WrongState, NodeUnreachable) as err:
            if not self.op.ignore_failures:
                raise WrongState(detail=f"Could not shutdown instance {guest.name} on node {guest.place}: {err}; use "
                                        "--ignore-failures if the node is gone for good") from err
            view.warn(f"Could not shutdown instance {guest.name} on node {guest.place}: {err}")
            return False, False

    def plan(self, seen: Old) -> Plan:
        guest, ignore = seen.guest, self.op.ignore_failures
        plan: list[Step] = []
        if seen.reachable:
            again = steps.begin(seen.back, guest.node.uuid) if seen.back is not None else None
            plan.append(steps.stop(guest, timeout=self.op.shutdown_timeout, may_fail=ignore, undo=again))
        plan += steps.remember(guest, f"remembering that instance {guest.name} is not to run",
                               admin_state=AdminState.DOWN, disks_active=False)
        if seen.reachable:
            plan += steps.close_disks(guest, may_fail=ignore)
        plan += [steps.remove_disk_on(guest, index, disk, nodes, may_fail=ignore)
                 for index, disk, nodes in seen.removers if nodes]
        plan.append(Step(title=f"* removing instance {guest.name} out of cluster config",
                         action=steps.delete_all(guest.instance, guest.disks)))
        return Plan(steps=tuple(plan), undoable=False)

    def hooks(self, seen: Old) -> Hooks:
        return seen.hooks
