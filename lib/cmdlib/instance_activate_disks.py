# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_ACTIVATE_DISKS: open the disks on the primary node and keep them so."""

from dataclasses import dataclass, replace

from gantry.cmdlib import checks, mirror, steps
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan, Step, ref
from gantry.opcodes.instance import InstanceActivateDisks


@dataclass(frozen=True, kw_only=True)
class Ready:
    """`guest` has the peers that answer; `claim` records the owner of disks that are opened without one of their
    ends.
    """

    guest: steps.Guest
    claim: tuple[Step, ...]


class InstanceActivateDisksUnit(LogicalUnit[InstanceActivateDisks, Ready], op=InstanceActivateDisks):
    """The result is [node, disk/N, path] for each disk.  Mirrors that lost each other are connected again."""

    def locks(self, view: View) -> Locks:
        instance = view.config.instance(self.op.instance_name)
        nodes = frozenset({instance.primary_node, *view.config.secondaries_of(instance)})
        return Locks(exclusive={"instance": frozenset({instance.name}), "node": nodes})

    async def check(self, view: View) -> Ready:
        guest = steps.guest_of(view.config, view.config.instance(self.op.instance_name))
        checks.online(view.config, guest.node.uuid)
        guest = await mirror.answering(view, guest)
        if mirror.alone(view.config, guest) and await checks.status(view, guest.instance) is not None:
            return Ready(guest=guest, claim=())  # the guest at work keeps its epoch
        guest, claim = mirror.claimed(view.config, guest)
        return Ready(guest=guest, claim=claim)

    def plan(self, seen: Ready) -> Plan:
        guest = seen.guest
        if self.op.ignore_size:  # a device of no recorded size is as large as what it lies on
            guest = replace(guest, disks=tuple(replace(disk, size=0) for disk in guest.disks))
        plan = [*seen.claim, *steps.open_disks(guest)]
        if guest.mirrored and guest.peers:
            plan.append(mirror.connect_pair(guest, dual=False, may_fail=True))
        plan += steps.remember(guest, f"remembering that the disks of instance {guest.name} are in use",
                               disks_active=True)
        if guest.mirrored and self.op.wait_for_sync:
            plan += [mirror.wait_synced(guest), *mirror.seen_whole(guest)]
        result = [[guest.place, f"disk/{index}", ref("disks", index)] for index in range(len(guest.disks))]
        return Plan(steps=tuple(plan), result=result)
