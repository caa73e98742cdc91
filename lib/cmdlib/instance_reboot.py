# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_REBOOT: reset the guest, or stop and start it; a stopped one is just started."""

from dataclasses import dataclass

from gantry.cmdlib import checks, hookenv, mirror, steps, vmspec
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.constants import AdminState
from gantry.objects.plan import Call, Plan, Step
from gantry.objects.vm import VmSpec
from gantry.opcodes.instance import InstanceReboot

IGNORE = "bring it back, mark it offline when it is gone (gnt-node modify -O yes), or use --ignore-secondaries"


@dataclass(frozen=True, kw_only=True)
class Ready:
    guest: steps.Guest
    spec: VmSpec
    running: bool
    claim: tuple[Step, ...]
    hooks: Hooks


class InstanceRebootUnit(LogicalUnit[InstanceReboot, Ready], op=InstanceReboot):
    """soft: the guest is reset inside its process.  hard: a new process with the present parameters.  full:
    its disks are closed and opened as well.
    """

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"instance": frozenset({view.config.instance(self.op.instance_name).name})})

    async def check(self, view: View) -> Ready:
        config, op = view.config, self.op
        guest = steps.guest_of(config, config.instance(op.instance_name))
        checks.admin_state(guest.instance, (AdminState.UP, AdminState.DOWN), "cannot reboot")
        checks.online(config, guest.node.uuid)
        running = await checks.status(view, guest.instance)
        if running is None or op.reboot_type == "full":
            guest = await mirror.answering(view, guest, must="" if op.ignore_secondaries else IGNORE)
        guest, claim = mirror.claimed(config, guest) if running is None else (guest, ())
        spec = vmspec.build(config, guest.instance, guest.disks)
        if op.reboot_type != "soft" or running is None:
            hv = effective.hvparams(config, guest.instance)
            await checks.hypervisor_on(view, [guest.node.uuid], guest.instance.hypervisor, hv)
            wanted = spec.memory - (running.memory if running else 0)
            if wanted > 0:
                await checks.memory(view, guest.node.uuid, wanted, f"rebooting instance {guest.name}")
        extra = {"IGNORE_SECONDARIES": op.ignore_secondaries, "REBOOT_TYPE": op.reboot_type,
                 "SHUTDOWN_TIMEOUT": op.shutdown_timeout}
        return Ready(guest=guest, spec=spec, running=running is not None, claim=claim,
                     hooks=hookenv.on_instance(config, "instance-reboot", guest.instance, extra))

    def plan(self, seen: Ready) -> Plan:
        guest, op = seen.guest, self.op
        remember = steps.remember(guest, f"remembering that instance {guest.name} is to run",
                                  admin_state=AdminState.UP, admin_state_source="admin", disks_active=True)
        if not seen.running:
            opened = steps.open_disks(guest, strict=not op.ignore_secondaries)
            return Plan(steps=(*remember, *seen.claim, *opened, *steps.start(guest, seen.spec)))
        if op.reboot_type == "soft":
            reset = Call(node=guest.node.uuid, call="instance_reset", args={
                "instance": guest.instance.uuid, "hypervisor": str(guest.instance.hypervisor)})
            return Plan(steps=(Step(title=f"* resetting instance {guest.name} on {guest.place}", action=reset,
                                    weight=1.0), *remember))
        again = steps.begin(seen.spec, guest.node.uuid)
        plan = [steps.stop(guest, timeout=op.shutdown_timeout, undo=again)]
        if op.reboot_type == "full":
            plan += steps.close_disks(guest, may_fail=op.ignore_secondaries)
        plan += steps.open_disks(guest)
        plan += steps.start(guest, seen.spec)
        return Plan(steps=(*plan, *remember), undoable=False)

    def hooks(self, seen: Ready) -> Hooks:
        return seen.hooks
