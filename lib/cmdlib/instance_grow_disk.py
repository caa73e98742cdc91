# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_GROW_DISK: make a disk larger."""

from dataclasses import dataclass, replace

from gantry.cmdlib import checks, disks, hookenv, steps
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.instance import Disk
from gantry.objects.plan import Plan, Step, Task, Update
from gantry.opcodes.instance import InstanceGrowDisk
from gantry.utils.units import format_size


@dataclass(frozen=True, kw_only=True)
class Growth:
    """`size` is the size wanted, in MiB."""

    guest: steps.Guest
    index: int
    disk: Disk
    size: int
    hooks: Hooks


class InstanceGrowDiskUnit(LogicalUnit[InstanceGrowDisk, Growth], op=InstanceGrowDisk):
    """A guest that runs sees the new size after its next start.  A disk that has grown cannot shrink."""

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
        size = op.amount if op.absolute else disk.size + op.amount
        if size < disk.size:
            raise WrongState(detail=f"Disk size ({format_size(size)}) is smaller than current disk size "
                                    f"({format_size(disk.size)}): a disk cannot shrink")
        if size == disk.size:
            raise WrongInput(detail=f"disk/{index} of instance {guest.name} has the size {format_size(size)} already")
        checks.online(config, guest.node.uuid)
        larger = tuple(replace(item, size=size) if item.uuid == disk.uuid else item for item in guest.disks)
        checks.policy(view, guest.instance, larger, ignore=op.ignore_ipolicy)
        layout = disks.layout_of(config, guest.instance)
        await disks.require_space(view, layout, [replace(disk, size=size - disk.size)])
        extra = {"DISK": op.disk, "AMOUNT": op.amount, "ABSOLUTE": op.absolute}
        return Growth(guest=guest, index=index, disk=disk, size=size,
                      hooks=hookenv.on_instance(config, "disk-grow", guest.instance, extra))

    def plan(self, seen: Growth) -> Plan:
        guest, disk, added = seen.guest, seen.disk, seen.size - seen.disk.size
        title = (f"Growing disk {seen.index} of instance '{guest.name}' by {format_size(added)} to "
                 f"{format_size(seen.size)}")
        grow = Task(node=guest.node.uuid, call="disk_grow", args={"disk": codec.encode(disk), "size": seen.size})
        return Plan(steps=(
            Step(title=title, action=grow, weight=0.5 + added / disks.CREATE_RATE, no_return=True),
            Step(title=f"recording the new size of disk {seen.index} of instance {guest.name}",
                 action=Update(table="disks", uuid=disk.uuid, fields={"size": seen.size}))))

    def hooks(self, seen: Growth) -> Hooks:
        return seen.hooks
