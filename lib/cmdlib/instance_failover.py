# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_FAILOVER: stop the guest (or take its node for dead), start it on another node."""

from gantry.cmdlib import move, move_mirrored, placement, steps
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan
from gantry.opcodes.instance import InstanceFailover


class InstanceFailoverUnit(LogicalUnit[InstanceFailover, move.Failover | move.Cleanup], op=InstanceFailover):
    """For instances whose disks every node can open, or that are mirrored: these go to their secondary node."""

    def locks(self, view: View) -> Locks:
        return move.locks(view, view.config.instance(self.op.instance_name),
                          None if self.op.cleanup else self.op.target_node)

    async def check(self, view: View) -> move.Failover | move.Cleanup:
        op, config = self.op, view.config
        guest = steps.guest_of(config, config.instance(op.instance_name))
        move.require_movable(guest.instance, "failovers")
        extra = {"IGNORE_CONSISTENCY": op.ignore_consistency, "SHUTDOWN_TIMEOUT": op.shutdown_timeout,
                 "FAILOVER_CLEANUP": op.cleanup}
        if op.cleanup:
            hooks = move.moved_hooks(config, "instance-failover", guest, guest.node, extra, source_before=False)
            return await move.check_cleanup(view, guest, hooks)
        if move_mirrored.is_mirrored(guest.instance):
            target = move_mirrored.target(config, guest.instance, op.target_node, op.iallocator, what="failed over")
        else:
            target = await placement.move_target(view, guest.instance, op.target_node, op.iallocator)
        hooks = move.moved_hooks(config, "instance-failover", guest, target, extra, source_before=False)
        check = move_mirrored.check_failover if guest.mirrored else move.check_failover
        return await check(view, guest, target, hooks, ignore_ipolicy=op.ignore_ipolicy,
                           ignore_consistency=op.ignore_consistency)

    def plan(self, seen: move.Failover | move.Cleanup) -> Plan:
        if isinstance(seen, move.Cleanup):
            return move_mirrored.cleanup_plan(seen)
        return move_mirrored.plan_of_failover(seen, timeout=self.op.shutdown_timeout,
                                              ignore=self.op.ignore_consistency)

    def hooks(self, seen: move.Failover | move.Cleanup) -> Hooks:
        return seen.hooks
