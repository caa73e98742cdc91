# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_RECREATE_DISKS: make the disks of an instance anew where they are lost.

What was on them is gone; they come back empty, under the same UUIDs, in the same places or on nodes that are named.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gantry.cmdlib import checks, disks, hookenv, mirror, placement, steps
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import AdminState, DiskTemplate
from gantry.errors import WrongInput, WrongState
from gantry.iallocator.request import Wanted
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk
from gantry.objects.plan import Action, Plan, Several, Step, Update
from gantry.opcodes.instance import InstanceRecreateDisks
from gantry.rpc import calls
from gantry.utils import clock

CHANGEABLE = ("size", "mode", "spindles")
RECORDED = (*CHANGEABLE, "nodes", "drbd", "degraded_since")


@dataclass(frozen=True, kw_only=True)
class Lost:
    """`disks`: index and disk as it will be.  `guest` is on the nodes where it will be; `left` are nodes that lost its
    disks, but answer.
    """

    guest: steps.Guest
    disks: tuple[tuple[int, Disk], ...]
    before: steps.Guest
    left: tuple[Node, ...]
    wipe: bool
    hooks: Hooks


class InstanceRecreateDisksUnit(LogicalUnit[InstanceRecreateDisks, Lost], op=InstanceRecreateDisks):
    """Without named disks: all that are missing.  A disk that is there is never touched.  Result: null."""

    def locks(self, view: View) -> Locks:
        config = view.config
        instance = config.instance(self.op.instance_name)
        nodes = frozenset({instance.primary_node, *config.secondaries_of(instance),
                           *(config.node(name).uuid for name in self.op.nodes)})
        return Locks(exclusive={"instance": frozenset({instance.name}), "node": nodes, "node-res": nodes})

    async def check(self, view: View) -> Lost:
        config = view.config
        before = steps.guest_of(config, config.instance(self.op.instance_name))
        self._check_request(before)
        nodes = self._nodes(config, before, await self._chosen(view, before))
        checks.admin_state(before.instance, (AdminState.DOWN, AdminState.OFFLINE), "cannot recreate disks")
        if not before.node.offline:
            await checks.not_running(view, before.instance, "cannot recreate disks")
        wanted = self._wanted(view, before, nodes)
        old = before.instance
        moves = [node.uuid for node in nodes] != [before.node.uuid, *config.secondaries_of(old)]
        lost = await self._lost(view, nodes, wanted, before.name, moves=moves)
        left = await _left(view, before, nodes)
        where = replace(disks.layout_of(config, before.instance), node=nodes[0].uuid)
        await disks.require_space(view, where, [disk for _, disk in lost])
        epoch = old.owner_epoch + (nodes[0].uuid != before.node.uuid)
        moved = replace(before, node=nodes[0], peers=tuple(nodes[1:]),
                        instance=replace(old, primary_node=nodes[0].uuid, owner_epoch=epoch))
        return Lost(guest=moved, disks=lost, before=before, left=left, wipe=config.cluster.prealloc_wipe_disks,
                    hooks=hookenv.on_instance(config, "instance-recreate-disks", before.instance, {}))

    def _check_request(self, guest: steps.Guest) -> None:
        op, template = self.op, guest.instance.disk_template
        if not guest.disks:
            raise WrongInput(detail=f"Instance '{guest.name}' has no disks, there is nothing to recreate")
        if template not in disks.FILE_TEMPLATES | disks.LVM_TEMPLATES:
            raise WrongInput(detail=f"Disks of template {template} cannot be recreated")
        if op.iallocator is not None and op.nodes:
            raise WrongInput(detail="Do not specify both, iallocator and nodes")
        count = 2 if template is DiskTemplate.DRBD else 1
        if len(op.nodes) not in (0, count):
            what = "one node" if count == 1 else "two nodes"
            raise WrongInput(detail=f"Instance {guest.name} has disk template {template}: {what} can be given, not "
                                    f"{len(op.nodes)}")

    async def _chosen(self, view: View, guest: steps.Guest) -> tuple[str, ...]:
        """Names of the nodes that are to have the disks, empty for those that have them."""
        op, config, instance = self.op, view.config, guest.instance
        if op.iallocator is None:
            return op.nodes
        found = await placement.for_new(view, None, op.iallocator, Wanted(
            name=instance.name, template=instance.disk_template, beparams=effective.beparams(config, instance),
            hypervisor=instance.hypervisor, os=instance.os, networks=tuple(nic.network for nic in instance.nics),
            tags=tuple(instance.tags), disks=tuple({"size": disk.size, "mode": disk.mode} for disk in guest.disks)))
        return tuple(node.name for node in found)

    def _nodes(self, config: Config, guest: steps.Guest, names: Sequence[str]) -> tuple[Node, ...]:
        """Where the disks will be, the primary node first."""
        old = (guest.node.uuid, *config.secondaries_of(guest.instance))
        if not names:
            return tuple(checks.online(config, node) for node in old)
        nodes = tuple(checks.target(config, name) for name in names)
        if len({node.uuid for node in nodes}) < len(nodes):
            raise WrongInput(detail="The secondary node cannot be the primary node")
        if [node.uuid for node in nodes] == list(old):
            return nodes
        if guest.instance.disk_template is DiskTemplate.SHAREDFILE:
            raise WrongInput(detail=f"The disks of instance {guest.name} are seen by all nodes; move it with "
                                    "gnt-instance failover, not by recreating its disks")
        if self.op.disks:
            raise WrongInput(detail="On another node all disks have to be recreated, not only some")
        return nodes

    def _wanted(self, view: View, guest: steps.Guest, nodes: Sequence[Node]) -> list[tuple[int, Disk]]:
        changes: dict[int, dict[str, Any]] = dict(self.op.disks) or {index: {} for index in range(len(guest.disks))}
        found = []
        for index, given in sorted(changes.items()):
            if index >= len(guest.disks):
                raise WrongInput(detail=f"Instance {guest.name} has no disk/{index}")
            unknown = given.keys() - set(CHANGEABLE)
            if unknown:
                raise WrongInput(detail=f"disk/{index}: {', '.join(sorted(unknown))} cannot be changed, only size, "
                                        "mode and spindles can")
            found.append((index, _placed(view, index, replace(guest.disks[index], **given), nodes)))
        return found

    async def _lost(self, view: View, nodes: Sequence[Node], wanted: Sequence[tuple[int, Disk]], name: str, *,
                    moves: bool) -> tuple[tuple[int, Disk], ...]:
        there: dict[int, str] = {}
        damaged: dict[int, str] = {}
        for node in nodes:
            states = await view.nodes.call(node.uuid, calls.disks_status, disks=[disk for _, disk in wanted])
            there |= {index: node.name for (index, _), state in zip(wanted, states, strict=True) if state["exists"]}
            damaged |= {index: f"on node {node.name} in {_data_place(disk, node)}"
                        for (index, disk), state in zip(wanted, states, strict=True) if state["remains"]}
        if there and (self.op.disks or moves):
            index, node_name = next(iter(there.items()))
            raise WrongState(detail=f"disk/{index} of instance {name} exists on node {node_name}, only disks that "
                                    "are lost can be recreated"
                                    + (", and on other nodes only all of them together" if moves else ""))
        for index, where in damaged.items():
            if index not in there:
                raise WrongState(detail=f"disk/{index} of instance {name} is damaged, but some of its data may be left "
                                        f"{where}. Bring back what is missing (a physical volume, the mirror's "
                                        "metadata); if the rest is worth nothing, remove it with lvremove first")
        lost = tuple((index, disk) for index, disk in wanted if index not in there)
        if not lost:
            where = " or ".join(node.name for node in nodes)
            raise WrongState(detail=f"All disks of instance {name} exist on node {where}, there is nothing to recreate"
                                    + ("; a mirror that is broken on one node is repaired with replace-disks"
                                       if len(nodes) > 1 else ""))
        return lost

    def plan(self, seen: Lost) -> Plan:
        plan = [steps.create_disk(seen.guest, index, disk, wipe=seen.wipe) for index, disk in seen.disks]
        plan += mirror.begin(replace(seen.guest, disks=tuple(disk for _, disk in seen.disks)), wait=False, active=False)
        changes, undos = self._changes(seen)
        if changes:
            plan.append(Step(title=f"recording the new disks of instance {seen.guest.name}",
                             action=Several(actions=changes), undo=Several(actions=undos)))
        if seen.left:
            plan = steps.for_good(plan)
            plan += [steps.remove_disk_on(seen.before, index, disk, seen.left, may_fail=True)
                     for index, disk in enumerate(seen.before.disks)]
        return Plan(steps=tuple(plan), reserves=mirror.reserves(disk for _, disk in seen.disks))

    def _changes(self, seen: Lost) -> tuple[list[Action], list[Action]]:
        changes: list[Action] = []
        undos: list[Action] = []
        for index, disk in seen.disks:
            old = seen.before.disks[index]
            names = [name for name in RECORDED if getattr(disk, name) != getattr(old, name)]
            if names:
                changes.append(_fields("disks", disk, names))
                undos.append(_fields("disks", old, names))
        if seen.guest.node.uuid != seen.before.node.uuid:
            changes.append(_fields("instances", seen.guest.instance, ["primary_node", "owner_epoch"]))
            undos.append(_fields("instances", seen.before.instance, ["primary_node", "owner_epoch"]))
        return changes, undos

    def hooks(self, seen: Lost) -> Hooks:
        return seen.hooks


def _placed(view: View, index: int, disk: Disk, nodes: Sequence[Node]) -> Disk:
    """The disk on these nodes; ends that were elsewhere get new volumes.  A mirror is not filled at once."""
    where = tuple(node.uuid for node in nodes)
    if disk.drbd is None:
        return replace(disk, nodes=where) if disk.nodes else disk
    now = clock.epoch()
    if set(where) == set(disk.nodes):
        return replace(disk, degraded_since=now)
    old = disk.drbd.ends[0]
    ends = tuple(disk.drbd.end(node.uuid) or mirror.new_end(view, node, index, vg=old.data.vg, metavg=old.meta.vg)
                 for node in nodes)
    return replace(disk, nodes=where, degraded_since=now,
                   drbd=replace(disk.drbd, ends=ends, secret=mirror.new_secret()))


async def _left(view: View, guest: steps.Guest, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Nodes that no longer have the disks afterwards and are not marked offline; refuses while one has any of them."""
    gone = {uuid for disk in guest.disks for uuid in disk.nodes} - {node.uuid for node in nodes}
    left = tuple(node for node in map(view.config.nodes.__getitem__, sorted(gone)) if not node.offline)
    for node in left:
        states = await view.nodes.call(node.uuid, calls.disks_status, disks=list(guest.disks))
        for index, state in enumerate(states):
            if state["exists"] or state["remains"]:
                raise WrongState(detail=f"disk/{index} of instance {guest.name} exists on node {node.name} and would "
                                        "be lost; gnt-instance move and replace-disks take disks to another node")
    return left


def _data_place(disk: Disk, node: Node) -> str:
    end = disk.drbd.end(node.uuid) if disk.drbd is not None else None
    where = disk.lvm if end is None else end.data
    return f"{where.vg}/{where.lv}" if where is not None else disk.uuid


def _fields(table: str, value: Any, names: Sequence[str]) -> Update:
    return Update(table=table, uuid=value.uuid, fields={name: codec.encode(getattr(value, name)) for name in names})
