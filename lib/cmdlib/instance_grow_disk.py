# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_GROW_DISK: make a disk larger, also under a guest that runs.

The volumes grow first, on every node that has one; what is new of them is wiped where the cluster wants that; only
then the mirror, the records and the guest are told.  Volumes never shrink: when a node fails on the way, the disk
keeps its old size and growing it again completes what was begun.
"""

from dataclasses import dataclass, replace

from gantry.cmdlib import checks, disks, hookenv, hotplug, mirror, mirror_state, steps, volumes
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk
from gantry.objects.plan import Action, Call, Plan, Several, Step, Task, Update
from gantry.objects.vm import VmDisk
from gantry.opcodes.instance import InstanceGrowDisk
from gantry.rpc import calls
from gantry.utils.units import format_size


@dataclass(frozen=True, kw_only=True)
class Growth:
    """`size` is the size wanted, in MiB; `guest` has the one disk only.  `opens`: the disk is not in use and must be
    opened for a while.  `wipe`: (start, size) of what is to be wiped, in MiB, None for nothing.
    """

    guest: steps.Guest
    index: int
    disk: Disk
    size: int
    running: bool
    opens: bool
    wipe: tuple[int, int] | None
    hooks: Hooks


class InstanceGrowDiskUnit(LogicalUnit[InstanceGrowDisk, Growth], op=InstanceGrowDisk):
    """A guest that runs sees the new size at once.  A disk that has grown cannot shrink."""

    def locks(self, view: View) -> Locks:
        instance = view.config.instance(self.op.instance_name)
        node = frozenset({instance.primary_node, *view.config.secondaries_of(instance)})
        return Locks(exclusive={"instance": frozenset({instance.name}), "node": node, "node-res": node})

    async def check(self, view: View) -> Growth:
        op, config = self.op, view.config
        guest = steps.guest_of(config, config.instance(op.instance_name))
        if guest.instance.disk_template not in disks.GROWABLE:
            raise WrongState(detail=f"Instance's disk layout '{guest.instance.disk_template}' does not support growing")
        index = disks.find(guest.disks, op.disk)
        disk = guest.disks[index]
        size = self._size(guest, index)
        for node in (guest.node.uuid, *disk.nodes):
            checks.online(config, node)
        larger = tuple(replace(item, size=size) if item.uuid == disk.uuid else item for item in guest.disks)
        checks.policy(view, guest.instance, larger, ignore=op.ignore_ipolicy)
        alone = replace(guest, disks=(disk,))
        states = await mirror_state.look(view, alone)
        opens = mirror_state.is_down(states)
        if not opens:
            mirror_state.require_synced(alone, states, "grow it", first=index)
        await disks.require_room(view, await _room(view, guest, disk, size))
        extra = {"DISK": op.disk, "AMOUNT": op.amount, "ABSOLUTE": op.absolute}
        wipe, running = await _wiped(view, alone, states, size), await checks.status(view, guest.instance) is not None
        unused = not guest.mirrored and not running and not guest.instance.disks_active
        return Growth(guest=alone, index=index, disk=disk, size=size, opens=opens or (wipe is not None and unused),
                      running=running, wipe=wipe, hooks=hookenv.on_instance(config, "disk-grow", guest.instance, extra))

    def _size(self, guest: steps.Guest, index: int) -> int:
        op, disk = self.op, guest.disks[index]
        size = op.amount if op.absolute else disk.size + op.amount
        if size < disk.size:
            raise WrongState(detail=f"Disk size ({format_size(size)}) is smaller than current disk size "
                                    f"({format_size(disk.size)}): a disk cannot shrink")
        if size == disk.size:
            raise WrongInput(detail=f"disk/{index} of instance {guest.name} has the size {format_size(size)} already")
        return size

    def plan(self, seen: Growth) -> Plan:
        plan: list[Step] = []
        if seen.opens:
            plan += steps.open_disks(seen.guest)
            plan += [mirror.wait_connected(seen.guest), mirror.wait_synced(seen.guest)] if seen.guest.mirrored else []
        plan += [*_volumes(seen), *_tell(seen)]
        if seen.guest.mirrored and (self.op.wait_for_sync or seen.opens):
            plan.append(mirror.wait_synced(replace(seen.guest, disks=(_grown(seen),)), may_fail=True))
        if seen.opens and not seen.guest.instance.disks_active:
            plan += steps.close_disks(seen.guest, may_fail=True)
        return Plan(steps=tuple(plan))

    def hooks(self, seen: Growth) -> Hooks:
        return seen.hooks


async def _room(view: View, guest: steps.Guest, disk: Disk, size: int) -> disks.Room:
    """What growing takes, by node: a volume that a job before has made larger takes less, or nothing."""
    places = [(end.node, end.data) for end in disk.drbd.ends] if disk.drbd is not None else []
    places += [(node, disk.lvm) for node in disk.nodes if disk.lvm is not None]
    if not places:
        layout = disks.layout_of(view.config, guest.instance)
        return disks.wanted_room(view.config, layout, [replace(disk, size=size - disk.size)])
    found: disks.Room = {}
    for node, where in places:
        sizes = {(row["vg"], row["name"]): int(row["size"]) for row in await view.nodes.call(node, calls.volumes_list)}
        lack = size - sizes.get((where.vg, where.lv), disk.size)
        if lack > 0:
            found[node] = {("lvm-vg", where.vg): lack}
    return found


async def _wiped(view: View, guest: steps.Guest, states: mirror_state.States, size: int) -> tuple[int, int] | None:
    """(start, size) in MiB of what will be new of the disk and is to be wiped.  The disk may be larger than recorded,
    rounded up to whole extents or grown by a job that did not come to its end; the guest may use all of it.
    """
    [disk] = guest.disks
    if disk.file is not None or not view.config.cluster.prealloc_wipe_disks:
        return None
    seen = states or {guest.node.uuid: await view.nodes.call(guest.node.uuid, calls.disks_status, disks=[disk])}
    start = max(disk.size, *(state["size"] for found in seen.values() for state in found))
    return (start, size - start) if start < size else None


def _grown(seen: Growth) -> Disk:
    return replace(seen.disk, size=seen.size)


def _volumes(seen: Growth) -> list[Step]:
    """What the nodes have of the disk, on all of them at once."""
    added = seen.size - seen.disk.size
    title = (f"Growing disk {seen.index} of instance '{seen.guest.name}' by {format_size(added)} to "
             f"{format_size(seen.size)}")
    nodes = seen.guest.at(seen.disk)
    grow: list[Action] = [Task(node=node.uuid, call="disk_grow", args={
        "disk": codec.encode(seen.disk), "size": seen.size}) for node in nodes]
    plan = [Step(title=title, action=Several(actions=grow), weight=0.5 + added / disks.CREATE_RATE, no_return=True)]
    if seen.wipe is not None:
        wipe: list[Action] = [_wipe(seen, node, *seen.wipe) for node in nodes]
        plan.append(Step(title=f"* wiping what is new of disk {seen.index} of instance {seen.guest.name}",
                         action=Several(actions=wipe), weight=1.0 + seen.wipe[1] / disks.WIPE_RATE))
    return plan


def _wipe(seen: Growth, node: Node, start: int, size: int) -> Task:
    """Of a mirrored disk the volume below it: the mirror has not grown yet, so nobody else can write there."""
    end = seen.disk.drbd.end(node.uuid) if seen.disk.drbd is not None else None
    volume = seen.disk if end is None else volumes.data(_grown(seen), end)
    return Task(node=node.uuid, call="disk_wipe", args={
        "disk": codec.encode(volume), "start": start, "size": size})


def _tell(seen: Growth) -> list[Step]:
    """The mirror, the records, the guest."""
    guest, node, plan = seen.guest, seen.guest.node.uuid, []
    if guest.mirrored:
        plan.append(Step(title=f"* growing the mirror of disk {seen.index} of instance {guest.name}", weight=1.0,
                         action=Call(node=node, call="drbd_resize", args={
                             "disk": codec.encode(seen.disk), "size": seen.size})))
    plan.append(Step(title=f"recording the new size of disk {seen.index} of instance {guest.name}",
                     action=Update(table="disks", uuid=seen.disk.uuid, fields={"size": seen.size})))
    if seen.running:
        device = VmDisk(disk=_grown(seen), pci=seen.disk.pci or 0)
        plan.append(hotplug.disk_resized(guest, seen.index, device, seen.size))
    return plan
