# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_REMOVE: stop the guest, remove its disks, forget it."""

from dataclasses import dataclass

from gantry.cmdlib import checks, hookenv, mirror, removal, steps, vmspec
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import NodeUnreachable, WrongState
from gantry.objects.plan import Plan, Step
from gantry.objects.vm import VmSpec
from gantry.opcodes.instance import InstanceRemove


@dataclass(frozen=True, kw_only=True)
class Old:
    """`back`: of the guest that runs, to let it run on when the removal is canceled while it is asked to stop."""

    guest: steps.Guest
    removers: tuple[removal.Remover, ...]
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
        removers = removal.removers(view, guest, there)
        secondaries = config.secondaries_of(guest.instance)
        env = hookenv.instance_env(config, guest.instance, guest.disks)
        env["SHUTDOWN_TIMEOUT"] = str(self.op.shutdown_timeout)
        hooks = hookenv.hooks(config, "instance-remove", env, of=guest.instance, pre=(),
                              post=(guest.node.uuid, *secondaries))
        return Old(guest=guest, removers=removers, reachable=reachable, hooks=hooks,
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
        plan += removal.steps_for(guest, seen.removers, ignore=ignore, reachable=seen.reachable)
        return Plan(steps=tuple(plan), undoable=False)

    def hooks(self, seen: Old) -> Hooks:
        return seen.hooks
