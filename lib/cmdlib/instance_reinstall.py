# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_REINSTALL: run the create script of the operating system again, on the disks that are there."""

from dataclasses import dataclass, replace

from gantry.cmdlib import checks, hookenv, mirror, osenv, steps
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.constants import AdminState
from gantry.errors import WrongInput
from gantry.objects.params import merge_own
from gantry.objects.plan import Plan, Step, ref
from gantry.opcodes.instance import InstanceReinstall


@dataclass(frozen=True, kw_only=True)
class Again:
    """`new` has the OS and its parameters as they will be."""

    guest: steps.Guest
    new: steps.Guest
    env: dict[str, str]
    hooks: Hooks


class InstanceReinstallUnit(LogicalUnit[InstanceReinstall, Again], op=InstanceReinstall):
    """What the script did to the disks cannot be undone."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"instance": frozenset({view.config.instance(self.op.instance_name).name})})

    async def check(self, view: View) -> Again:
        op, config = self.op, view.config
        guest = steps.guest_of(config, config.instance(op.instance_name))
        checks.admin_state(guest.instance, (AdminState.DOWN,), "cannot reinstall")
        await checks.not_running(view, guest.instance, "cannot reinstall")
        if not guest.disks:
            raise WrongInput(detail=f"Instance '{guest.name}' has no disks, there is nothing to reinstall")
        guest = await mirror.answering(view, guest)
        old = guest.instance
        instance = replace(old, os=op.os_type or old.os, osparams=merge_own(old.osparams, op.osparams or {}),
                           osparams_private=merge_own(old.osparams_private, op.osparams_private or {}))
        if not instance.os:
            raise WrongInput(detail=f"Instance '{guest.name}' has no operating system: name one with --os-type")
        params = osenv.parameters(config, instance) | (op.osparams_secret or {})
        await checks.os_on(view, [guest.node.uuid], instance.os, params, force_variant=op.force_variant)
        secret = {key: ref(steps.SECRETS, key) for key in op.osparams_secret or {}}
        env = osenv.script_env(config, instance, guest.disks, secret=secret, debug_level=op.debug_level)
        env["INSTANCE_REINSTALL"] = "1"
        hooks = hookenv.on_instance(config, "instance-reinstall", old, {})
        return Again(guest=guest, new=replace(guest, instance=instance), env=env, hooks=hooks)

    def plan(self, seen: Again) -> Plan:
        guest, new = seen.guest, seen.new.instance
        plan: list[Step] = [*steps.remember(guest, f"recording the operating system of instance {guest.name}, {new.os}",
                                            os=new.os, osparams=new.osparams, osparams_private=new.osparams_private)]
        plan += steps.open_disks(guest)
        plan.append(steps.os_script(seen.new, "os_create", seen.env, "Running the instance OS create scripts... "
                                    f"{new.os} for {guest.name} on {guest.place}"))
        if not guest.instance.disks_active:
            plan += steps.close_disks(guest)
        return Plan(steps=tuple(plan))

    def hooks(self, seen: Again) -> Hooks:
        return seen.hooks
