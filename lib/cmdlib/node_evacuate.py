# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_EVACUATE: jobs that take instances off a node."""

from typing import Any

from gantry.cmdlib import checks, relocation
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.relocation import Jobs, Proposal
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.constants import AdminState, DiskTemplate
from gantry.errors import WrongInput
from gantry.iallocator import request
from gantry.objects.cluster import Node
from gantry.objects.instance import Instance
from gantry.objects.plan import Plan
from gantry.opcodes.instance import InstanceFailover, InstanceMigrate, InstanceReplaceDisks
from gantry.opcodes.node import NodeEvacuate
from gantry.utils.names import nice_key

SECONDARIES = "secondary-only"


class NodeEvacuateUnit(LogicalUnit[NodeEvacuate, Proposal], op=NodeEvacuate):
    """Primaries are migrated when they are to run, failed over otherwise; each job finds its target itself.  Mirrors
    are made anew on the node named, or where an allocator wants them.  Result: {"jobs": [[true, id], ...]}.
    """

    def locks(self, view: View) -> Locks:
        config = view.config
        node = config.node(self.op.node_name)
        nodes = {node.uuid} | ({config.node(self.op.remote_node).uuid} if self.op.remote_node is not None else set())
        names = frozenset(instance.name for instance in self._instances(config, node))
        return Locks(shared={"instance": names, "node": frozenset(nodes), "nodegroup": frozenset({node.group})})

    async def check(self, view: View) -> Proposal:
        op, config = self.op, view.config
        node = config.node(op.node_name)
        if op.mode == "all":
            raise WrongInput(detail="Primaries and secondaries cannot be evacuated in one go: give --primary-only or "
                                    "--secondary-only")
        if op.remote_node is not None and op.mode != SECONDARIES:
            raise WrongInput(detail="A new secondary node makes sense only with --secondary-only")
        instances = self._instances(config, node)
        jobs = await self._secondaries(view, node, instances) if op.mode == SECONDARIES else \
            [[self._move(instance)] for instance in instances]
        return Proposal(what=f"take instances off {node.name}", jobs=jobs)

    def plan(self, seen: Proposal) -> Plan:
        return relocation.plan(seen)

    def _instances(self, config: Config, node: Node) -> list[Instance]:
        found = config.secondaries_at(node.uuid) if self.op.mode == SECONDARIES else config.primaries_of(node.uuid)
        return sorted(found, key=lambda instance: nice_key(instance.name))

    async def _secondaries(self, view: View, node: Node, instances: list[Instance]) -> Jobs:
        op, config = self.op, view.config
        if op.remote_node is not None and op.iallocator is not None:
            raise WrongInput(detail="Do not specify both, iallocator and node")
        if op.remote_node is None:
            options = {"ignore-soft-errors": None} if op.ignore_soft_errors else {}
            wanted = request.node_evacuate(instances, op.mode)
            return await relocation.propose(view, op.iallocator, wanted, early_release=op.early_release,
                                            options=options) if instances else []
        target = checks.target(config, op.remote_node)
        if target.uuid == node.uuid:
            raise WrongInput(detail="Can not use evacuated node as a new secondary node")
        bad = next((instance.name for instance in instances if instance.primary_node == target.uuid), None)
        if bad is not None:
            raise WrongInput(detail=f"Node {target.name} is the primary node of instance {bad}, it cannot be its "
                                    "secondary as well")
        return [[self._replace(instance, target)] for instance in instances]

    def _replace(self, instance: Instance, target: Node) -> dict[str, Any]:
        found: dict[str, Any] = InstanceReplaceDisks(
            instance_name=instance.name, mode="replace_new_secondary", remote_node=target.name,
            early_release=self.op.early_release).encode()
        return found

    def _move(self, instance: Instance) -> dict[str, Any]:
        """A mirrored instance goes to its secondary node, whatever an allocator says."""
        iallocator = None if instance.disk_template is DiskTemplate.DRBD else self.op.iallocator
        found: dict[str, Any]
        if instance.admin_state is AdminState.UP:
            found = InstanceMigrate(instance_name=instance.name, iallocator=iallocator, allow_failover=True).encode()
        else:
            found = InstanceFailover(instance_name=instance.name, iallocator=iallocator).encode()
        return found
