# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_ASSIGN_NODES: move nodes into a group."""

from dataclasses import dataclass

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import WrongState
from gantry.objects.cluster import Node, NodeGroup
from gantry.objects.plan import Plan, Several, Step, Update
from gantry.opcodes.group import GroupAssignNodes


@dataclass(frozen=True)
class Move:
    group: NodeGroup
    nodes: tuple[Node, ...]


class GroupAssignNodesUnit(LogicalUnit[GroupAssignNodes, Move], op=GroupAssignNodes):
    """Refused, without force, when an instance that is mirrored would have its nodes in two groups."""

    def locks(self, view: View) -> Locks:
        nodes = [view.config.node(name) for name in self.op.nodes]
        groups = {view.config.group(self.op.group_name).uuid, *(node.group for node in nodes)}
        return Locks(exclusive={"nodegroup": frozenset(groups), "node": frozenset(node.uuid for node in nodes)})

    async def check(self, view: View) -> Move:
        group = view.config.group(self.op.group_name)
        nodes = tuple(node for node in map(view.config.node, self.op.nodes) if node.group != group.uuid)
        split = newly_split(view.config, {node.uuid: group.uuid for node in nodes})
        if split:
            text = f"the instances {', '.join(split)} would have their nodes in two groups"
            if not self.op.force:
                raise WrongState(detail=f"{text[0].upper()}{text[1:]}; use --force to move the nodes all the same")
            view.warn(text)
        return Move(group, nodes)

    def plan(self, seen: Move) -> Plan:
        if not seen.nodes:
            return Plan()
        return Plan(steps=(Step(
            title="",
            action=Several(actions=[Update(table="nodes", uuid=node.uuid, fields={"group": seen.group.uuid})
                                    for node in seen.nodes]),
            undo=Several(actions=[Update(table="nodes", uuid=node.uuid, fields={"group": node.group})
                                  for node in seen.nodes])),))


def newly_split(config: Config, moves: dict[str, str]) -> list[str]:
    """Names of instances whose nodes are in one group now and would not be after `moves` (node: group)."""
    found = []
    for instance in config.instances.values():
        nodes = (instance.primary_node, *config.secondaries_of(instance))
        before = {config.nodes[uuid].group for uuid in nodes}
        after = {moves.get(uuid, config.nodes[uuid].group) for uuid in nodes}
        if len(before) == 1 and len(after) > 1:
            found.append(instance.name)
    return sorted(found)
