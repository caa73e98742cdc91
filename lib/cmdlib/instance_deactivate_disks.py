# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_DEACTIVATE_DISKS: close the disks, on the primary node and then their mirrors."""

from gantry.cmdlib import checks, mirror, steps
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.constants import AdminState
from gantry.objects.plan import Plan
from gantry.opcodes.instance import InstanceDeactivateDisks


class InstanceDeactivateDisksUnit(LogicalUnit[InstanceDeactivateDisks, steps.Guest], op=InstanceDeactivateDisks):
    """Refused while the guest runs, unless forced."""

    def locks(self, view: View) -> Locks:
        instance = view.config.instance(self.op.instance_name)
        nodes = frozenset({instance.primary_node, *view.config.secondaries_of(instance)})
        return Locks(exclusive={"instance": frozenset({instance.name}), "node": nodes})

    async def check(self, view: View) -> steps.Guest:
        guest = steps.guest_of(view.config, view.config.instance(self.op.instance_name))
        if self.op.force:
            checks.online(view.config, guest.node.uuid)
            return await mirror.answering(view, guest)
        checks.admin_state(guest.instance, (AdminState.DOWN,), "cannot shutdown disks")
        await checks.not_running(view, guest.instance, "cannot shutdown disks")
        return await mirror.answering(view, guest)

    def plan(self, seen: steps.Guest) -> Plan:
        return Plan(steps=(*steps.close_disks(seen),
                           *steps.remember(seen, f"remembering that the disks of instance {seen.name} are not in use",
                                           disks_active=False)))
