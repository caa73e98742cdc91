# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_SHUTDOWN: remember that the instance is not to run, stop the guest, close its disks."""

from dataclasses import dataclass

from gantry.cmdlib import checks, hookenv, mirror, steps, vmspec
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.constants import AdminState
from gantry.objects.plan import Plan, Step
from gantry.objects.vm import VmSpec
from gantry.opcodes.instance import InstanceShutdown


@dataclass(frozen=True, kw_only=True)
class Ready:
    """`spec`: of the guest that runs; a shutdown that is undone lets it run on, or starts it again."""

    guest: steps.Guest
    spec: VmSpec | None
    hooks: Hooks


class InstanceShutdownUnit(LogicalUnit[InstanceShutdown, Ready], op=InstanceShutdown):
    """The record comes first, so that nobody starts the guest again while it stops."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"instance": frozenset({view.config.instance(self.op.instance_name).name})})

    async def check(self, view: View) -> Ready:
        config = view.config
        guest = steps.guest_of(config, config.instance(self.op.instance_name))
        if not self.op.force:
            checks.admin_state(guest.instance, (AdminState.UP, AdminState.DOWN),
                               "can't use instance from outside down, up states")
        spec = None
        if guest.node.offline and self.op.ignore_offline_nodes:
            view.warn("Ignoring offline primary node")
        else:
            checks.online(config, guest.node.uuid)
            guest = await mirror.answering(view, guest)
            if await checks.status(view, guest.instance):
                spec = vmspec.build(config, guest.instance, guest.disks)
        return Ready(guest=guest, spec=spec, hooks=hookenv.on_instance(config, "instance-stop", guest.instance,
                                                            {"TIMEOUT": self.op.timeout}))

    def plan(self, seen: Ready) -> Plan:
        guest, op = seen.guest, self.op
        plan: list[Step] = []
        if not op.no_remember and guest.instance.admin_state != AdminState.OFFLINE:
            plan += steps.remember(guest, f"remembering that instance {guest.name} is not to run",
                                   admin_state=AdminState.DOWN, admin_state_source=op.admin_state_source or "admin")
        if guest.node.offline:
            return Plan(steps=tuple(plan))
        again = steps.begin(seen.spec, guest.node.uuid) if seen.spec is not None else None
        plan.append(steps.stop(guest, timeout=op.timeout, force=op.force, undo=again))
        plan += steps.close_disks(guest)
        plan += steps.remember(guest, f"remembering that the disks of instance {guest.name} are not in use",
                               disks_active=False)
        return Plan(steps=tuple(plan))

    def hooks(self, seen: Ready) -> Hooks:
        return seen.hooks
