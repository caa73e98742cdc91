# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_REPLACE_DISKS: new volumes below mirrored disks, at one end, or on another node."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gantry.cmdlib import checks, disks, hookenv, mirror, mirror_state, placement, replace_disks, steps
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.mirror_state import States
from gantry.cmdlib.replace_disks import Replacement, Swap
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.constants import DRBD_META_SIZE, DiskTemplate
from gantry.errors import WrongInput, WrongState
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, LvmLocation
from gantry.objects.plan import Plan
from gantry.opcodes.instance import InstanceReplaceDisks
from gantry.utils import clock

NEW_SECONDARY, AUTO = "replace_new_secondary", "replace_auto"
ON_PRIMARY, ON_SECONDARY = "replace_on_primary", "replace_on_secondary"


@dataclass(frozen=True, kw_only=True)
class NothingBroken:
    hooks: Hooks | None = None


Seen = Replacement | NothingBroken


class InstanceReplaceDisksUnit(LogicalUnit[InstanceReplaceDisks, Seen], op=InstanceReplaceDisks):
    """The guest may run meanwhile.  Result: null."""

    def locks(self, view: View) -> Locks:
        config = view.config
        instance = config.instance(self.op.instance_name)
        group = config.nodes[instance.primary_node].group
        nodes = {instance.primary_node, *config.secondaries_of(instance)}
        if self.op.remote_node is not None:
            nodes.add(config.node(self.op.remote_node).uuid)
        elif self.op.mode == NEW_SECONDARY:
            nodes |= {node.uuid for node in config.members_of(group)}
        found = frozenset(nodes)
        return Locks(exclusive={"instance": frozenset({instance.name}), "node": found, "node-res": found},
                     shared={"nodegroup": frozenset({group})})

    async def check(self, view: View) -> Seen:
        op, config = self.op, view.config
        guest = steps.guest_of(config, config.instance(op.instance_name))
        self._check_request(guest)
        checks.online(config, guest.node.uuid)
        old = config.nodes[config.secondaries_of(guest.instance)[0]]
        if op.mode == NEW_SECONDARY:
            guest = await mirror.answering(view, guest)
            if old not in guest.peers:
                view.warn(f"The old volumes of instance {guest.name} stay on node {old.name}; when it is back, "
                          "gnt-cluster verify names them and they can be removed")
        else:
            checks.online(config, old.uuid)
        view.say("STEP 1/6 Check device existence")
        states = await mirror_state.look(view, guest)
        if op.mode == NEW_SECONDARY:
            return await self._new_secondary(view, guest, states, old)
        return await self._same_nodes(view, guest, states, old)

    def plan(self, seen: Seen) -> Plan:
        return replace_disks.plan(seen) if isinstance(seen, Replacement) else Plan()

    def hooks(self, seen: Seen) -> Hooks | None:
        return seen.hooks

    # --- the request ---------------------------------------------------------------------------------------

    def _check_request(self, guest: steps.Guest) -> None:
        op = self.op
        if guest.instance.disk_template is not DiskTemplate.DRBD:
            raise WrongInput(detail=f"Instance {guest.name} has disk template {guest.instance.disk_template}; storage "
                                    "can be replaced only below mirrored disks (template drbd)")
        if not guest.mirrored:
            raise WrongInput(detail=f"Instance {guest.name} has no disks")
        given = (op.remote_node is not None) + (op.iallocator is not None)
        if op.mode == NEW_SECONDARY and given != 1:
            raise WrongInput(detail="A new secondary node is wanted: give either the node or an iallocator, not both" if
                             given else "A new secondary node is wanted: give the node or an iallocator")
        if op.mode != NEW_SECONDARY and given:
            raise WrongInput(detail="A new node or an iallocator can be given only to change the secondary node")
        if op.mode == AUTO and op.disks:
            raise WrongInput(detail="Broken disks are found automatically; no disks can be named with it")
        if op.mode == NEW_SECONDARY and op.disks and set(op.disks) != set(range(len(guest.disks))):
            raise WrongInput(detail="The secondary node can be changed only for all disks of an instance together")

    def _indices(self, guest: steps.Guest) -> tuple[int, ...]:
        return tuple(sorted({disks.find(guest.disks, index) for index in self.op.disks})) or \
            tuple(range(len(guest.disks)))

    # --- new volumes on one of the nodes ---------------------------------------------------------------------

    async def _same_nodes(self, view: View, guest: steps.Guest, states: States, old: Node) -> Seen:
        if old.uuid not in states or guest.node.uuid not in states:
            raise WrongState(detail=f"Both nodes of instance {guest.name} must answer to replace storage on one of "
                                    "them; a secondary node that is lost is changed with --new-secondary")
        mode, indices = self.op.mode, self._indices(guest)
        if mode == AUTO:
            mode, indices = _broken(guest, states, old)
        if not indices:
            if mirror_state.is_down(states):
                raise WrongState(detail=f"The disks of instance {guest.name} are not active on both nodes, nobody can "
                                        f"tell which are broken: run gnt-instance activate-disks {guest.name} first")
            view.say(f" - INFO: no disk of instance {guest.name} is broken, there is nothing to replace")
            return NothingBroken()
        node, other = (guest.node, old) if mode == ON_PRIMARY else (old, guest.node)
        view.say("STEP 2/6 Check peer consistency")
        mirror_state.require_newest(view.config, guest, states, other, indices)
        swaps = [Swap(index=index, old=disk, new=_elsewhere(view, index, disk, node))
                 for index, disk in enumerate(guest.disks) if index in indices]
        return await self._replacement(view, guest, states, node, None, swaps)

    # --- another node ----------------------------------------------------------------------------------------

    async def _new_secondary(self, view: View, guest: steps.Guest, states: States, old: Node) -> Replacement:
        op, config = self.op, view.config
        node = await placement.new_secondary(view, guest.instance, op.remote_node, op.iallocator)
        if node.uuid == guest.node.uuid:
            raise WrongInput(detail=f"Node {node.name} is the primary node of instance {guest.name}, it cannot be its "
                                    "secondary as well")
        if node.uuid == old.uuid:
            raise WrongInput(detail=f"Node {node.name} is the secondary node of instance {guest.name} already")
        view.say("STEP 2/6 Check peer consistency")
        mirror_state.require_newest(config, guest, states, guest.node, self._indices(guest))
        if config.nodes[guest.node.uuid].group != node.group:
            checks.policy(view, guest.instance, guest.disks, ignore=op.ignore_ipolicy, node=node.uuid)
        await checks.hypervisor_on(view, [node.uuid], guest.instance.hypervisor,
                                   effective.hvparams(config, guest.instance))
        swaps = [Swap(index=index, old=disk, new=_mirrored_on(view, index, disk, guest.node, node))
                 for index, disk in enumerate(guest.disks)]
        return await self._replacement(view, guest, states, node, old, swaps)

    async def _replacement(self, view: View, guest: steps.Guest, states: States, node: Node, leaves: Node | None,
                           swaps: Sequence[Swap]) -> Replacement:
        op, config = self.op, view.config
        room: disks.Room = {node.uuid: {}}
        for swap in swaps:
            end = swap.new_end(node.uuid)
            for unit, size in ((end.data.vg, swap.new.size), (end.meta.vg, DRBD_META_SIZE)):
                key = ("lvm-vg", unit)
                room[node.uuid][key] = room[node.uuid].get(key, 0) + size
        await disks.require_room(view, room)
        old = config.secondaries_of(guest.instance)
        env = hookenv.instance_env(config, guest.instance, guest.disks) | hookenv.texts({
            "MODE": op.mode, "NEW_SECONDARY": node.name if leaves is not None else "",
            "OLD_SECONDARY": config.nodes[old[0]].name})
        new = [node.uuid] if leaves is not None else []
        return Replacement(
            guest=guest, node=node, leaves=leaves, swaps=tuple(swaps), early=op.early_release, now=clock.epoch(),
            opens=mirror_state.is_down(states), apart=mirror_state.is_apart(states),
            wipe=config.cluster.prealloc_wipe_disks,
            hooks=hookenv.hooks(config, "mirrors-replace", env, of=guest.instance, pre=(guest.node.uuid, *new)))


def _broken(guest: steps.Guest, states: States, secondary: Node) -> tuple[str, tuple[int, ...]]:
    """(mode, disks) that repair what is broken; raises WrongState when both nodes have broken disks."""
    here = mirror_state.side(states[guest.node.uuid]).broken
    there = mirror_state.side(states[secondary.uuid]).broken
    if here and there:
        raise WrongState(detail=f"Instance {guest.name} has broken disks on both nodes ({guest.place} and "
                                f"{secondary.name}), which cannot be repaired automatically; replace them one by one "
                                "with --disks")
    return (ON_PRIMARY, tuple(sorted(here))) if here else (ON_SECONDARY, tuple(sorted(there)))


def _elsewhere(view: View, index: int, disk: Disk, node: Node) -> Disk:
    """The disk with other volumes on `node`."""
    assert disk.drbd is not None  # noqa: S101 - the request was checked
    old = disk.drbd.end(node.uuid)
    assert old is not None  # noqa: S101
    stem = view.new_uuid()
    fresh = replace(old, data=LvmLocation(vg=old.data.vg, lv=f"{stem}.disk{index}_data"),
                    meta=LvmLocation(vg=old.meta.vg, lv=f"{stem}.disk{index}_meta"))
    ends = tuple(fresh if end.node == node.uuid else end for end in disk.drbd.ends)
    return replace(disk, drbd=replace(disk.drbd, ends=ends))


def _mirrored_on(view: View, index: int, disk: Disk, primary: Node, node: Node) -> Disk:
    """The disk with its other end on `node`.

    With a new port, nobody knocks at the wrong door: neither the new secondary while the primary still waits for the
    old one, nor the old one when it comes back.  A wrong secret would make both ends stand alone.
    """
    assert disk.drbd is not None  # noqa: S101
    kept, given_up = disk.drbd.end(primary.uuid), disk.drbd.peer(primary.uuid)
    assert kept is not None and given_up is not None  # noqa: S101, PT018
    fresh = mirror.new_end(view, node, index, vg=given_up.data.vg, metavg=given_up.meta.vg)
    return replace(disk, nodes=(primary.uuid, node.uuid),
                   drbd=mirror.new_location(view, (kept, fresh)))
