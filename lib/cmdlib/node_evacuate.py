# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_EVACUATE: one job for each instance that is to leave a node."""

from dataclasses import dataclass
from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.constants import AdminState
from gantry.errors import WrongInput, WrongState
from gantry.objects.cluster import Node
from gantry.objects.instance import Instance
from gantry.objects.plan import Plan, Step, Submit, ref
from gantry.opcodes.instance import InstanceFailover, InstanceMigrate
from gantry.opcodes.node import NodeEvacuate
from gantry.utils.names import nice_key


@dataclass(frozen=True)
class Leaving:
    node: Node
    instances: tuple[Instance, ...]


class NodeEvacuateUnit(LogicalUnit[NodeEvacuate, Leaving], op=NodeEvacuate):
    """Primaries are migrated when they are to run, failed over otherwise; each job finds its target itself.
    Result: {"jobs": [[true, id], ...]}.
    """

    def locks(self, view: View) -> Locks:
        node = view.config.node(self.op.node_name)
        return Locks(shared={"node": frozenset({node.uuid}), "nodegroup": frozenset({node.group})})

    async def check(self, view: View) -> Leaving:
        op, config = self.op, view.config
        node = config.node(op.node_name)
        if op.mode == "all":
            raise WrongInput(detail="Primaries and secondaries cannot be evacuated in one go: give --primary-only or "
                                    "--secondary-only")
        if op.mode == "secondary-only":
            names = sorted((instance.name for instance in config.secondaries_at(node.uuid)), key=nice_key)
            raise WrongState(detail=f"The mirrors of {', '.join(names)} on node {node.name} cannot be moved: this "
                                    "release does not replace mirrored disks" if names else
                             f"Node {node.name} holds no mirrored disks, there are no secondaries to evacuate; move "
                             "its guests with --primary-only")
        if op.remote_node is not None:
            raise WrongInput(detail="A new secondary node makes sense only with --secondary-only")
        instances = sorted(config.primaries_of(node.uuid), key=lambda instance: nice_key(instance.name))
        return Leaving(node, tuple(instances))

    def plan(self, seen: Leaving) -> Plan:
        jobs = [[self._job(instance)] for instance in seen.instances]
        if not jobs:
            return Plan(result={"jobs": []})
        step = Step(title=f"submitting {len(jobs)} jobs that take instances off {seen.node.name}", key="jobs",
                    action=Submit(jobs=jobs))
        return Plan(steps=(step,), result={"jobs": ref("jobs")})

    def _job(self, instance: Instance) -> dict[str, Any]:
        if instance.admin_state is AdminState.UP:
            return InstanceMigrate(instance_name=instance.name, iallocator=self.op.iallocator,
                                   allow_failover=True).encode()
        return InstanceFailover(instance_name=instance.name, iallocator=self.op.iallocator).encode()
