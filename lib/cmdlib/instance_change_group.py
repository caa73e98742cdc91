# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_CHANGE_GROUP: move an instance to another node group, as an allocator proposes."""

from dataclasses import replace

from gantry.cmdlib import hookenv, relocation
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.relocation import Proposal
from gantry.cmdlib.view import View
from gantry.iallocator import request
from gantry.objects.plan import Plan
from gantry.opcodes.instance import InstanceChangeGroup


class InstanceChangeGroupUnit(LogicalUnit[InstanceChangeGroup, Proposal], op=InstanceChangeGroup):
    """Result: {"jobs": [[true, id], ...]}: mirrors are moved, the guest goes over, and they are moved again."""

    def locks(self, view: View) -> Locks:
        config = view.config
        instance = config.instance(self.op.instance_name)
        nodes = frozenset({instance.primary_node, *config.secondaries_of(instance)})
        return Locks(shared={"instance": frozenset({instance.name}), "node": nodes,
                             "nodegroup": frozenset(config.groups)})

    async def check(self, view: View) -> Proposal:
        op, config = self.op, view.config
        instance = config.instance(op.instance_name)
        present = {config.nodes[node].group for node in (instance.primary_node, *config.secondaries_of(instance))}
        groups = relocation.target_groups(config, op.target_groups, present)
        wanted = request.change_group([instance], [group.uuid for group in groups])
        jobs = await relocation.propose(view, op.iallocator, wanted, early_release=op.early_release)
        hooks = hookenv.on_instance(config, "instance-change-group", instance, {
            "TARGET_GROUPS": [group.uuid for group in groups]})
        master = (config.cluster.master_node,)
        return Proposal(what=f"move instance {instance.name}", jobs=jobs,
                        hooks=replace(hooks, pre_nodes=master, post_nodes=master))

    def plan(self, seen: Proposal) -> Plan:
        return relocation.plan(seen)

    def hooks(self, seen: Proposal) -> Hooks | None:
        return seen.hooks
