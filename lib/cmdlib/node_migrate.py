# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_MIGRATE: one migration job for each instance whose primary node this is."""

from dataclasses import dataclass
from typing import Any

from gantry.cmdlib import checks, hookenv
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.cluster import Node
from gantry.objects.plan import Plan, Step, Submit, ref
from gantry.opcodes.instance import InstanceMigrate
from gantry.opcodes.node import NodeMigrate
from gantry.utils.names import nice_key


@dataclass(frozen=True, kw_only=True)
class Leaving:
    node: Node
    instances: tuple[str, ...]
    master: str


class NodeMigrateUnit(LogicalUnit[NodeMigrate, Leaving], op=NodeMigrate):
    """Whether an instance can be migrated is for its own job to find out."""

    def locks(self, view: View) -> Locks:
        return Locks(shared={"node": frozenset({view.config.node(self.op.node_name).uuid})})

    async def check(self, view: View) -> Leaving:
        config = view.config
        node = config.node(self.op.node_name)
        if self.op.target_node is not None:
            checks.target(config, self.op.target_node)
        names = sorted((instance.name for instance in config.primaries_of(node.uuid)), key=nice_key)
        return Leaving(node=node, instances=tuple(names), master=config.cluster.master_node)

    def plan(self, seen: Leaving) -> Plan:
        jobs: list[list[dict[str, Any]]] = [[self._job(name)] for name in seen.instances]
        if not jobs:
            return Plan(result={"jobs": []})
        step = Step(title=f"submitting {len(jobs)} migrations of instances on {seen.node.name}", key="jobs",
                    action=Submit(jobs=jobs))
        return Plan(steps=(step,), result={"jobs": ref("jobs")})

    def _job(self, name: str) -> dict[str, Any]:
        op = self.op
        return InstanceMigrate(
            instance_name=name, mode=op.mode, live=op.live, target_node=op.target_node, iallocator=op.iallocator,
            allow_runtime_changes=op.allow_runtime_changes, ignore_ipolicy=op.ignore_ipolicy).encode()

    def hooks(self, seen: Leaving) -> Hooks:
        env = {"NODE_NAME": seen.node.name, "ALLOW_RUNTIME_CHANGES": hookenv.text(self.op.allow_runtime_changes)}
        return Hooks(path="node-migrate", object_type="NODE", target=seen.node.name, env=env,
                     pre_nodes=(seen.master,), post_nodes=(seen.master,))
