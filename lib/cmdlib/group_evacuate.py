# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_EVACUATE: move all instances of a node group to other groups, as an allocator proposes."""

from typing import Any

from gantry.cmdlib import relocation
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.relocation import Jobs, Proposal
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.iallocator import request
from gantry.objects.cluster import NodeGroup
from gantry.objects.instance import Instance
from gantry.objects.plan import Plan
from gantry.opcodes.group import GroupEvacuate
from gantry.opcodes.instance import InstanceFailover, InstanceMigrate
from gantry.utils.names import nice_key


class GroupEvacuateUnit(LogicalUnit[GroupEvacuate, Proposal], op=GroupEvacuate):
    """Result: {"jobs": [[true, id], ...]}."""

    def locks(self, view: View) -> Locks:
        config = view.config
        group = config.group(self.op.group_name)
        nodes = frozenset(node.uuid for node in config.members_of(group.uuid))
        return Locks(shared={"instance": frozenset(instance.name for instance in _instances(config, group)),
                             "node": nodes, "nodegroup": frozenset(config.groups)})

    async def check(self, view: View) -> Proposal:
        op, config = self.op, view.config
        group = config.group(op.group_name)
        groups = relocation.target_groups(config, op.target_groups, [group.uuid])
        instances = _instances(config, group)
        jobs: Jobs = []
        if instances:
            wanted = request.change_group(instances, [target.uuid for target in groups])
            jobs = await relocation.propose(view, op.iallocator, wanted, early_release=op.early_release)
        else:
            view.say(f" - INFO: node group {group.name} has no instances, there is nothing to move")
        if op.force_failover:
            jobs = [[_as_failover(one) for one in job] for job in jobs]
        if op.sequential:
            jobs = [_after_the_last(job) if place else job for place, job in enumerate(jobs)]
        return Proposal(what=f"take instances off node group {group.name}", jobs=jobs,
                        hooks=_hooks(config, group, groups))

    def plan(self, seen: Proposal) -> Plan:
        return relocation.plan(seen)

    def hooks(self, seen: Proposal) -> Hooks | None:
        return seen.hooks


def _instances(config: Config, group: NodeGroup) -> list[Instance]:
    """Those that have a node in the group, by name."""
    found: dict[str, Instance] = {}
    for node in config.members_of(group.uuid):
        for instance in (*config.primaries_of(node.uuid), *config.secondaries_at(node.uuid)):
            found[instance.name] = instance
    return [found[name] for name in sorted(found, key=nice_key)]


def _as_failover(op: dict[str, Any]) -> dict[str, Any]:
    if op["OP_ID"] != InstanceMigrate.OP_ID:
        return op
    found: dict[str, Any] = InstanceFailover(instance_name=op["instance_name"],
                                             target_node=op.get("target_node")).encode()
    return found


def _after_the_last(job: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Begins when the job submitted before it has ended, however it has."""
    return [{**op, "depends": [[-1, ["canceled", "error", "success"]]]} if place == 0 else op
            for place, op in enumerate(job)]


def _hooks(config: Config, group: NodeGroup, groups: list[NodeGroup]) -> Hooks:
    nodes = tuple(dict.fromkeys((config.cluster.master_node, *(node.uuid for node in config.members_of(group.uuid)
                                                               if not node.offline))))
    env = {"GROUP_NAME": group.name, "TARGET_GROUPS": " ".join(target.uuid for target in groups)}
    return Hooks(path="group-evacuate", object_type="GROUP", target=group.name, env=env, pre_nodes=nodes,
                 post_nodes=nodes)
