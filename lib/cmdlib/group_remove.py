# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_REMOVE: remove an empty node group."""

from dataclasses import dataclass

from gantry.cmdlib import group_params
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongState
from gantry.objects.cluster import NodeGroup
from gantry.objects.plan import Delete, Plan, Step, put
from gantry.opcodes.group import GroupRemove


@dataclass(frozen=True)
class Old:
    group: NodeGroup
    master: str


class GroupRemoveUnit(LogicalUnit[GroupRemove, Old], op=GroupRemove):
    """Not the last one, and not one that has nodes."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"nodegroup": frozenset({view.config.group(self.op.group_name).uuid})})

    async def check(self, view: View) -> Old:
        group = view.config.group(self.op.group_name)
        members = sorted(node.name for node in view.config.members_of(group.uuid))
        if members:
            raise WrongState(detail=f"Group '{group.name}' not empty: it has the nodes {', '.join(members)}; "
                                    "move them with gnt-group assign-nodes")
        if len(view.config.groups) == 1:
            raise WrongState(detail=f"Group '{group.name}' is the only group, it cannot be removed")
        return Old(group, view.config.cluster.master_node)

    def plan(self, seen: Old) -> Plan:
        return Plan(steps=(Step(title="", action=Delete(table="nodegroups", uuid=seen.group.uuid),
                                undo=put("nodegroups", seen.group)),))

    def hooks(self, seen: Old) -> Hooks:
        return group_params.hooks("group-remove", seen.group.name, (seen.master,), {"GROUP_NAME": seen.group.name})
