# SPDX-License-Identifier: BSD-2-Clause
"""Steps that the plans of several instance units share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gantry.cmdlib import disks as disk_records
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
    """What plans need of an instance: the record, its disks as nodes are told of them, and where it is.

    `peers`: nodes with the other ends of mirrored disks, as far as they can be asked.
    """

    instance: Instance
    disks: tuple[Disk, ...]
    node: Node
    peers: tuple[Node, ...] = ()

    @property
    def name(self) -> str:
        return self.instance.name

    @property
    def place(self) -> str:
        """The primary node's name."""
        return self.node.name

    @property
    def mirrored(self) -> bool:
        return any(disk.drbd is not None for disk in self.disks)

    def at(self, disk: Disk) -> tuple[Node, ...]:
        """The nodes that can be asked about `disk`; for one that every node can open it is the primary."""
        known = (self.node, *self.peers)
        return tuple(node for node in known if node.uuid in disk.nodes) if disk.nodes else (self.node,)


def guest_of(config: Config, instance: Instance) -> Guest:
    """With all peers that are not marked offline; `mirror.answering` asks them."""
    found = disk_records.annotated(config, instance, config.disks_of(instance))
    peers = tuple(config.nodes[uuid] for uuid in config.secondaries_of(instance) if not config.nodes[uuid].offline)
    return Guest(instance=instance, disks=found, node=config.nodes[instance.primary_node], peers=peers)


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


def for_good(plan: Sequence[Step]) -> list[Step]:
    """The steps, after which the plan is only continued: what comes next removes what the way back would lead to.

    That is known before the first of it is gone: a removal that is canceled, fails or is cut off changes nothing.
    """
    return [*plan[:-1], replace(plan[-1], no_return=True)]


# --- disks -------------------------------------------------------------------------------------------------


def encoded(disks: Sequence[Disk]) -> Any:
    return codec.encode(tuple(disks))


def disks_call(call: str, guest: Guest, node: str, **more: Any) -> Call:
    """A call about all disks of the guest that the node has, or that every node can open."""
    disks = [disk for disk in guest.disks if not disk.nodes or node in disk.nodes]
    return Call(node=node, call=call, args={"disks": encoded(disks), "instance": guest.instance.uuid, **more})


def create_disk(guest: Guest, index: int, disk: Disk, *, wipe: bool) -> Step:
    """A new disk, on all of its nodes at once.  Undone, it is removed from them."""
    nodes = guest.at(disk)
    tasks: list[Action] = [Task(node=node.uuid, call="disk_create", args={
        "disk": codec.encode(disk), "owner_epoch": guest.instance.owner_epoch, "wipe": wipe}) for node in nodes]
    rate = disk_records.WIPE_RATE if wipe else disk_records.CREATE_RATE
    return Step(title=f"* creating instance disks... {disk_records.shown(index, disk)} on "
                f"{' and '.join(node.name for node in nodes)}", action=_together(tasks),
                undo=_together([remove_disk(disk, node.uuid) for node in nodes]), weight=0.5 + disk.size / rate)


def _together(actions: list[Action]) -> Action:
    return actions[0] if len(actions) == 1 else Several(actions=actions)


def remove_disk(disk: Disk, node: str) -> Task:
    return Task(node=node, call="disk_remove", args={"disk": codec.encode(disk)})


def remove_disk_on(guest: Guest, index: int, disk: Disk, nodes: Sequence[Node], **more: Any) -> Step:
    """Take a disk away from these nodes.  `more`: fields of the step."""
    return Step(title=f"* removing {disk_records.shown(index, disk)} of instance {guest.name} on "
                f"{' and '.join(node.name for node in nodes)}", weight=1.0,
                action=_together([remove_disk(disk, node.uuid) for node in nodes]), **more)


def close(guest: Guest, node: str) -> Call:
    return disks_call("disks_close", guest, node)


def open_disks(guest: Guest, *, node: Node | None = None, epoch: int = 0, strict: bool = False) -> tuple[Step, ...]:
    """Open the disks on the primary node; its result (key `disks`) is the list of paths.

    Mirrors on peers are brought up first; one that cannot be is a warning (unless `strict`), the primary decides
    whether its own data will do.  Undone, all are closed, but mirrors that were to be up before stay so.
    """
    where, epoch = node or guest.node, epoch or guest.instance.owner_epoch
    if not guest.disks:
        return ()
    kept = guest.mirrored and guest.instance.disks_active
    plan = [Step(title=f"* assembling the disks of instance {guest.name} on secondary node {peer.name}",
                 action=disks_call("disks_assemble", guest, peer.uuid, owner_epoch=epoch), may_fail=not strict,
                 undo=None if kept else close(guest, peer.uuid), weight=CALL_SECONDS)
            for peer in guest.peers if peer.uuid != where.uuid]
    plan.append(Step(title=f"* activating the disks of instance {guest.name} on {where.name}", key="disks",
                     action=disks_call("disks_open", guest, where.uuid, owner_epoch=epoch),
                     undo=None if kept else close(guest, where.uuid), weight=CALL_SECONDS))
    return tuple(plan)


def close_disks(guest: Guest, *, may_fail: bool = False) -> tuple[Step, ...]:
    """Close them on the primary node, then the mirrors on peers; of these a failure is a warning.

    Undone, mirrored disks that were in use are up again.
    """
    if not guest.disks:
        return ()
    epoch, again = guest.instance.owner_epoch, guest.mirrored and guest.instance.disks_active
    plan = [Step(title=f"* deactivating the disks of instance {guest.name} on {guest.place}",
                 action=close(guest, guest.node.uuid), weight=CALL_SECONDS, may_fail=may_fail,
                 undo=disks_call("disks_open", guest, guest.node.uuid, owner_epoch=epoch) if again else None)]
    plan += [Step(title=f"* deactivating the disks of instance {guest.name} on secondary node {peer.name}",
                  action=close(guest, peer.uuid), weight=CALL_SECONDS, may_fail=True,
                  undo=disks_call("disks_assemble", guest, peer.uuid, owner_epoch=epoch) if again else None)
             for peer in guest.peers if peer.uuid != guest.node.uuid]
    return tuple(plan)


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
