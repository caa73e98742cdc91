# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_RENAME: a new name for a stopped instance, for the folder of its disks, and inside the guest."""

from dataclasses import dataclass, replace

from gantry.cmdlib import checks, disks, hookenv, mirror, osenv, steps
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.constants import AdminState
from gantry.objects import codec
from gantry.objects.instance import Disk
from gantry.objects.plan import Action, Call, Plan, Several, Step, Update
from gantry.opcodes.instance import InstanceRename


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """`new` is the instance and its disks as they will be; `env` is for the rename script, None when none runs."""

    guest: steps.Guest
    new: steps.Guest
    env: dict[str, str] | None
    hooks: Hooks


class InstanceRenameUnit(LogicalUnit[InstanceRename, Renaming], op=InstanceRename):
    """That the script of the OS fails is a warning: the new name stays."""

    def locks(self, view: View) -> Locks:
        instance = view.config.instance(self.op.instance_name)
        return Locks(exclusive={"instance": frozenset({instance.name, self.op.new_name.lower()})})

    async def check(self, view: View) -> Renaming:
        op, config = self.op, view.config
        guest = await mirror.answering(view, steps.guest_of(config, config.instance(op.instance_name)))
        checks.admin_state(guest.instance, (AdminState.DOWN, AdminState.OFFLINE), "cannot rename")
        await checks.not_running(view, guest.instance, "cannot rename")
        name, _ = await checks.name(view, op.new_name, name_check=op.name_check, ip_check=op.ip_check)
        renamed = tuple(disks.renamed(disk, name) for disk in guest.disks)
        new = replace(guest, instance=replace(guest.instance, name=name), disks=renamed)
        env = None
        if guest.instance.os and guest.disks:
            env = osenv.script_env(config, new.instance, renamed, debug_level=op.debug_level)
            env["OLD_INSTANCE_NAME"] = guest.name
        hooks = hookenv.on_instance(config, "instance-rename", guest.instance, {"INSTANCE_NEW_NAME": name})
        return Renaming(guest=guest, new=new, env=env, hooks=hooks)

    def plan(self, seen: Renaming) -> Plan:
        guest, new = seen.guest, seen.new
        plan: list[Step] = []
        if new.disks != guest.disks:
            plan.append(Step(title=f"* renaming the disks of instance {guest.name} on {guest.place}",
                             action=_rename(guest, guest.disks, new.disks),
                             undo=_rename(guest, new.disks, guest.disks), weight=steps.CALL_SECONDS))
        plan.append(Step(title=f"renaming instance {guest.name} to {new.name} in cluster config",
                         action=_record(new), undo=_record(guest)))
        if seen.env is not None:
            plan += [replace(step, may_fail=True) for step in steps.open_disks(new)]
            plan.append(steps.os_script(new, "os_rename", seen.env, "* running the instance OS rename script... "
                                        f"{guest.instance.os} for {new.name} on {guest.place}", may_fail=True))
            if not guest.instance.disks_active:
                plan += steps.close_disks(new, may_fail=True)
        return Plan(steps=tuple(plan), result=new.name, reserves=(("name", new.name),))

    def hooks(self, seen: Renaming) -> Hooks:
        return seen.hooks


def _rename(guest: steps.Guest, old: tuple[Disk, ...], new: tuple[Disk, ...]) -> Several:
    """On all nodes that answer: volumes are tagged with the instance's name."""
    args = {"disks": codec.encode(old), "new": codec.encode(new)}
    return Several(actions=[Call(node=node.uuid, call="disks_rename", args=args)
                            for node in (guest.node, *guest.peers)])


def _record(guest: steps.Guest) -> Several:
    """Name and places as `guest` has them."""
    changes: list[Action] = [steps.update(guest.instance, name=guest.name)]
    changes += [Update(table="disks", uuid=disk.uuid, fields={"file": codec.encode(disk.file)})
                for disk in guest.disks]
    return Several(actions=changes)
