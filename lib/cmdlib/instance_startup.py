# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_STARTUP: remember that the instance is to run, open its disks, start the guest."""

from dataclasses import dataclass
from typing import Any

from gantry.cmdlib import checks, hookenv, mirror, mirror_state, steps, vmspec
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.instance_params import once
from gantry.cmdlib.view import View
from gantry.constants import AdminState
from gantry.objects.plan import Plan, Step
from gantry.objects.vm import VmSpec
from gantry.opcodes.instance import InstanceStartup

FORCE = "use --force to start the guest on the data of the primary node alone"
SILENT = f"bring it back, mark it offline when it is gone (gnt-node modify -O yes), or {FORCE}"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """`spec` is None when nothing is to be started: the guest runs, or its node is offline.  `claim` records the owner
    of disks that are opened without one of their ends.
    """

    guest: steps.Guest
    spec: VmSpec | None
    claim: tuple[Step, ...] = ()
    hooks: Hooks


class InstanceStartupUnit(LogicalUnit[InstanceStartup, Ready], op=InstanceStartup):
    """A guest that runs already is left alone."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"instance": frozenset({view.config.instance(self.op.instance_name).name})})

    async def check(self, view: View) -> Ready:
        config = view.config
        guest = steps.guest_of(config, config.instance(self.op.instance_name))
        checks.admin_state(guest.instance, (AdminState.UP, AdminState.DOWN), "cannot start")
        hooks = hookenv.on_instance(config, "instance-start", guest.instance, {"FORCE": self.op.force})
        if guest.node.offline and self.op.ignore_offline_nodes:
            view.warn("Ignoring offline primary node")
            return Ready(guest=guest, spec=None, hooks=hooks)
        checks.online(config, guest.node.uuid)
        if await checks.status(view, guest.instance):
            return Ready(guest=guest, spec=None, hooks=hooks)
        guest = await mirror.answering(view, guest, must="" if self.op.force else SILENT)
        if not self.op.force:
            mirror_state.require_usable(guest, await mirror_state.look(view, guest), FORCE)
        guest, claim = mirror.claimed(config, guest)
        hv, be = once(config, guest.instance, self.op.hvparams, self.op.beparams)
        spec = vmspec.build(config, guest.instance, guest.disks, hvparams=hv, beparams=be)
        await checks.hypervisor_on(view, [guest.node.uuid], guest.instance.hypervisor, spec.hvparams)
        await checks.memory(view, guest.node.uuid, spec.memory, f"starting instance {guest.name}")
        return Ready(guest=guest, spec=spec, claim=claim, hooks=hooks)

    def plan(self, seen: Ready) -> Plan:
        guest = seen.guest
        fields: dict[str, Any] = {}
        if not self.op.no_remember:
            fields = {"admin_state": AdminState.UP, "admin_state_source": "admin"}
        if seen.spec is not None:
            fields["disks_active"] = True
        plan: list[Step] = [*steps.remember(guest, f"remembering that instance {guest.name} is to run", **fields)]
        if seen.spec is not None:
            plan += seen.claim
            plan += steps.open_disks(guest, strict=not self.op.force)
            plan += steps.start(guest, seen.spec, paused=self.op.startup_paused)
        return Plan(steps=tuple(plan))

    def hooks(self, seen: Ready) -> Hooks:
        return seen.hooks
