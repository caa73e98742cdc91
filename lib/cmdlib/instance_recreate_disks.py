# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_RECREATE_DISKS: make the disks of an instance anew where they are lost.

What was on them is gone; they come back empty, in the same places and under the same UUIDs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gantry.cmdlib import checks, disks, hookenv, steps
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.constants import AdminState, DiskTemplate
from gantry.errors import WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk
from gantry.objects.plan import Action, Plan, Several, Step, Update
from gantry.opcodes.instance import InstanceRecreateDisks
from gantry.rpc import calls

CHANGEABLE = ("size", "mode", "spindles")


@dataclass(frozen=True, kw_only=True)
class Lost:
    """`disks`: index and disk as it will be.  `guest` is on the node where it will be."""

    guest: steps.Guest
    disks: tuple[tuple[int, Disk], ...]
    before: steps.Guest
    wipe: bool
    hooks: Hooks


class InstanceRecreateDisksUnit(LogicalUnit[InstanceRecreateDisks, Lost], op=InstanceRecreateDisks):
    """Without named disks: all that are missing.  A disk that is there is never touched.  Result: null."""

    def locks(self, view: View) -> Locks:
        instance = view.config.instance(self.op.instance_name)
        nodes = frozenset({instance.primary_node, *(view.config.node(name).uuid for name in self.op.nodes)})
        return Locks(exclusive={"instance": frozenset({instance.name}), "node": nodes, "node-res": nodes})

    async def check(self, view: View) -> Lost:
        config = view.config
        before = steps.guest_of(config, config.instance(self.op.instance_name))
        self._check_request(before)
        node = self._node(config, before)
        checks.admin_state(before.instance, (AdminState.DOWN, AdminState.OFFLINE), "cannot recreate disks")
        if not before.node.offline:
            await checks.not_running(view, before.instance, "cannot recreate disks")
        wanted = self._wanted(before, node)
        lost = await self._lost(view, node, wanted, before.name)
        where = replace(disks.layout_of(config, before.instance), node=node.uuid)
        await disks.require_space(view, where, [disk for _, disk in lost])
        old = before.instance
        epoch = old.owner_epoch + (node.uuid != before.node.uuid)
        moved = replace(before, node=node, instance=replace(old, primary_node=node.uuid, owner_epoch=epoch))
        return Lost(guest=moved, disks=lost, before=before, wipe=config.cluster.prealloc_wipe_disks,
                    hooks=hookenv.on_instance(config, "instance-recreate-disks", before.instance, {}))

    def _check_request(self, guest: steps.Guest) -> None:
        op, template = self.op, guest.instance.disk_template
        if not guest.disks:
            raise WrongInput(detail=f"Instance '{guest.name}' has no disks, there is nothing to recreate")
        if template not in disks.FILE_TEMPLATES:
            raise WrongInput(detail=f"Disks of template {template} cannot be recreated, only file disks can")
        if op.iallocator is not None:
            raise WrongInput(detail="An allocator cannot choose the node of lost file disks; name one with --node")
        if len(op.nodes) > 1:
            raise WrongInput(detail=f"Instance {guest.name} has disk template {template}: one node can be given, not "
                                    f"{len(op.nodes)}")

    def _node(self, config: Config, guest: steps.Guest) -> Node:
        """Where the disks will be."""
        if not self.op.nodes:
            return checks.online(config, guest.node.uuid)
        node = checks.target(config, self.op.nodes[0])
        if node.uuid == guest.node.uuid:
            return node
        if guest.instance.disk_template is not DiskTemplate.FILE:
            raise WrongInput(detail=f"The disks of instance {guest.name} are seen by all nodes; move it with "
                                    "gnt-instance failover, not by recreating its disks")
        if not guest.node.offline:
            raise WrongState(detail=f"Node {guest.place}, which has the disks of instance {guest.name}, is not marked "
                                    "offline; disks are recreated on another node only when their node is lost")
        if self.op.disks:
            raise WrongInput(detail="On another node all disks have to be recreated, not only some")
        return node

    def _wanted(self, guest: steps.Guest, node: Node) -> list[tuple[int, Disk]]:
        changes: dict[int, dict[str, Any]] = dict(self.op.disks) or {index: {} for index in range(len(guest.disks))}
        found = []
        for index, given in sorted(changes.items()):
            if index >= len(guest.disks):
                raise WrongInput(detail=f"Instance {guest.name} has no disk/{index}")
            unknown = given.keys() - set(CHANGEABLE)
            if unknown:
                raise WrongInput(detail=f"disk/{index}: {', '.join(sorted(unknown))} cannot be changed, only size, "
                                        "mode and spindles can")
            disk = replace(guest.disks[index], **given)
            found.append((index, replace(disk, nodes=(node.uuid,)) if disk.nodes else disk))
        return found

    async def _lost(self, view: View, node: Node, wanted: Sequence[tuple[int, Disk]],
                    name: str) -> tuple[tuple[int, Disk], ...]:
        states = await view.nodes.call(node.uuid, calls.disks_status, disks=[disk for _, disk in wanted])
        there = [index for (index, _), state in zip(wanted, states, strict=True) if state["exists"]]
        if there and self.op.disks:
            raise WrongState(detail=f"disk/{there[0]} of instance {name} exists on node {node.name}, only disks that "
                                    "are lost can be recreated")
        lost = tuple((index, disk) for index, disk in wanted if index not in there)
        if not lost:
            raise WrongState(detail=f"All disks of instance {name} exist on node {node.name}, there is nothing to "
                                    "recreate")
        return lost

    def plan(self, seen: Lost) -> Plan:
        plan = [steps.create_disk(seen.guest, index, disk, wipe=seen.wipe) for index, disk in seen.disks]
        changes, undos = self._changes(seen)
        if changes:
            plan.append(Step(title=f"recording the new disks of instance {seen.guest.name}",
                             action=Several(actions=changes), undo=Several(actions=undos)))
        return Plan(steps=tuple(plan))

    def _changes(self, seen: Lost) -> tuple[list[Action], list[Action]]:
        changes: list[Action] = []
        undos: list[Action] = []
        for index, disk in seen.disks:
            old = seen.before.disks[index]
            names = [name for name in (*CHANGEABLE, "nodes") if getattr(disk, name) != getattr(old, name)]
            if names:
                changes.append(_fields("disks", disk, names))
                undos.append(_fields("disks", old, names))
        if seen.guest.node.uuid != seen.before.node.uuid:
            changes.append(_fields("instances", seen.guest.instance, ["primary_node", "owner_epoch"]))
            undos.append(_fields("instances", seen.before.instance, ["primary_node", "owner_epoch"]))
        return changes, undos

    def hooks(self, seen: Lost) -> Hooks:
        return seen.hooks


def _fields(table: str, value: Any, names: Sequence[str]) -> Update:
    return Update(table=table, uuid=value.uuid, fields={name: codec.encode(getattr(value, name)) for name in names})
