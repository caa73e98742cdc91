# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_ACTIVATE_DISKS: open the disks on the primary node and keep them so."""

from gantry.cmdlib import checks, steps
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan, ref
from gantry.opcodes.instance import InstanceActivateDisks


class InstanceActivateDisksUnit(LogicalUnit[InstanceActivateDisks, steps.Guest], op=InstanceActivateDisks):
    """The result is [node, disk/N, path] for each disk."""

    def locks(self, view: View) -> Locks:
        instance = view.config.instance(self.op.instance_name)
        return Locks(exclusive={"instance": frozenset({instance.name}), "node": frozenset({instance.primary_node})})

    async def check(self, view: View) -> steps.Guest:
        guest = steps.guest_of(view.config, view.config.instance(self.op.instance_name))
        checks.online(view.config, guest.node.uuid)
        return guest

    def plan(self, seen: steps.Guest) -> Plan:
        plan = (*steps.open_disks(seen),
                *steps.remember(seen, f"remembering that the disks of instance {seen.name} are in use",
                                disks_active=True))
        result = [[seen.place, f"disk/{index}", ref("disks", index)] for index in range(len(seen.disks))]
        return Plan(steps=plan, result=result)
