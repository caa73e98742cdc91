# SPDX-License-Identifier: BSD-2-Clause
"""Steps that the plans of several instance units share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gantry.config.config import Config
from gantry.constants import AdminState
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, Instance
from gantry.objects.plan import Action, Call, Delete, Several, Step, Task, Update, put, ref
from gantry.objects.vm import VmSpec

START_SECONDS, OS_SECONDS, STOP_SECONDS, CALL_SECONDS = 3.0, 60.0, 15.0, 0.3
"""What these are expected to take, for the progress shown."""
SECRETS = "$secrets"
"""Key of the results under which the executor keeps the opcode's `osparams_secret`: they are in no plan."""


@dataclass(frozen=True, kw_only=True)
class Guest:
    """What plans need of an instance: the record, its disks, and where it is."""

    instance: Instance
    disks: tuple[Disk, ...]
    node: Node

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def place(self) -> str:
        """The primary node's name."""
        return self.node.name


def guest_of(config: Config, instance: Instance) -> Guest:
    return Guest(instance=instance, disks=config.disks_of(instance), node=config.nodes[instance.primary_node])


# --- the configuration -------------------------------------------------------------------------------------


def update(instance: Instance, **fields: Any) -> Update:
    return Update(table="instances", uuid=instance.uuid, fields=codec.encode(fields))


def back(instance: Instance, *names: str) -> Update:
    """The change that gives the named fields their present values again."""
    return update(instance, **{name: getattr(instance, name) for name in names})


def remember(guest: Guest, title: str, **fields: Any) -> tuple[Step, ...]:
    """A step that records these fields, none when they are so already."""
    changed = {name: value for name, value in fields.items() if getattr(guest.instance, name) != value}
    if not changed:
        return ()
    return (Step(title=title, action=update(guest.instance, **changed), undo=back(guest.instance, *changed)),)


def put_all(instance: Instance, disks: Sequence[Disk]) -> Several:
    """Instance and disks in one record."""
    return Several(actions=[put("instances", instance), *(put("disks", disk) for disk in disks)])


def delete_all(instance: Instance, disks: Sequence[Disk]) -> Several:
    return Several(actions=[Delete(table="instances", uuid=instance.uuid),
                            *(Delete(table="disks", uuid=disk.uuid) for disk in disks)])


# --- disks -------------------------------------------------------------------------------------------------


def create_disk(guest: Guest, index: int, disk: Disk, what: str, *, wipe: bool, rate: float) -> Step:
    """A new disk; `rate` is MiB a second.  Undone, it is removed."""
    action = Task(node=guest.node.uuid, call="disk_create", args={
        "disk": codec.encode(disk), "owner_epoch": guest.instance.owner_epoch, "wipe": wipe})
    return Step(title=f"* creating instance disks... {what} on {guest.place}", action=action,
                undo=remove_disk(disk, guest.node.uuid), weight=0.5 + disk.size / rate)


def remove_disk(disk: Disk, node: str) -> Task:
    return Task(node=node, call="disk_remove", args={"disk": codec.encode(disk)})


def _open(guest: Guest, node: str, epoch: int) -> Call:
    return Call(node=node, call="disks_open", args={
        "disks": codec.encode(guest.disks), "instance": guest.instance.uuid, "owner_epoch": epoch})


def close(guest: Guest, node: str) -> Call:
    return Call(node=node, call="disks_close", args={
        "disks": codec.encode(guest.disks), "instance": guest.instance.uuid})


def open_disks(guest: Guest, *, node: Node | None = None, epoch: int = 0) -> tuple[Step, ...]:
    """Its result (key `disks`) is the list of paths.  Undone, they are closed."""
    where = node or guest.node
    if not guest.disks:
        return ()
    return (Step(title=f"* activating the disks of instance {guest.name} on {where.name}", key="disks",
                 action=_open(guest, where.uuid, epoch or guest.instance.owner_epoch),
                 undo=close(guest, where.uuid), weight=CALL_SECONDS),)


def close_disks(guest: Guest, *, may_fail: bool = False) -> tuple[Step, ...]:
    if not guest.disks:
        return ()
    return (Step(title=f"* deactivating the disks of instance {guest.name} on {guest.place}",
                 action=close(guest, guest.node.uuid), weight=CALL_SECONDS, may_fail=may_fail),)


# --- the guest ---------------------------------------------------------------------------------------------


def end(instance: Instance, node: str, *, timeout: float = 0.0, force: bool = True) -> Task:
    """Stop the guest: by its power button first, unless `force` is set or `timeout` is 0."""
    return Task(node=node, call="instance_stop", args={
        "instance": instance.uuid, "hypervisor": str(instance.hypervisor), "timeout": float(timeout),
        "force": force})


def begin(spec: VmSpec, node: str, *, paused: bool = False) -> Call:
    return Call(node=node, call="instance_start", args={"spec": codec.encode(spec), "paused": paused})


def start(guest: Guest, spec: VmSpec, *, node: Node | None = None, paused: bool = False) -> tuple[Step, ...]:
    """Start the guest (undone: it is ended) and, at its first start, remember its machine type for good."""
    where = node or guest.node
    steps = [Step(title=f"* starting instance {guest.name} on {where.name}", key="guest", weight=START_SECONDS,
                  action=begin(spec, where.uuid, paused=paused), undo=end(guest.instance, where.uuid))]
    if not guest.instance.machine:
        steps.append(Step(title=f"remembering the machine type of instance {guest.name}",
                          action=Update(table="instances", uuid=guest.instance.uuid,
                                        fields={"machine": ref("guest", "machine", default="")})))
    return tuple(steps)


def stop(guest: Guest, *, timeout: float, force: bool = False, may_fail: bool = False,
         undo: Action | None = None, title: str = "") -> Step:
    """Stop the guest on its primary node; after `timeout` seconds it is ended."""
    gentle = timeout > 0 and not force
    how = f", it is given {timeout:g}s" if gentle else " at once"
    return Step(title=title or f"* shutting down instance {guest.name} on {guest.place}{how}",
                action=end(guest.instance, guest.node.uuid, timeout=timeout, force=force), undo=undo,
                weight=min(timeout, STOP_SECONDS) if gentle else 1.0, may_fail=may_fail)


def is_up(instance: Instance) -> bool:
    return instance.admin_state == AdminState.UP


# --- operating systems -------------------------------------------------------------------------------------


def os_script(guest: Guest, call: str, env: dict[str, Any], title: str, *, may_fail: bool = False) -> Step:
    """Run a script of the OS definition on opened disks."""
    return Step(title=title, weight=OS_SECONDS, may_fail=may_fail,
                action=Task(node=guest.node.uuid, call=call, args={
                    "os": guest.instance.os, "disks": codec.encode(guest.disks), "env": env}))
