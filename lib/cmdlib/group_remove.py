# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_REMOVE: remove an empty node group."""

from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongState
from gantry.objects.cluster import NodeGroup
from gantry.objects.plan import Delete, Plan, Step, put
from gantry.opcodes.group import GroupRemove


class GroupRemoveUnit(LogicalUnit[GroupRemove, NodeGroup], op=GroupRemove):
    """Not the last one, and not one that has nodes."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"nodegroup": frozenset({view.config.group(self.op.group_name).uuid})})

    async def check(self, view: View) -> NodeGroup:
        group = view.config.group(self.op.group_name)
        members = sorted(node.name for node in view.config.members_of(group.uuid))
        if members:
            raise WrongState(detail=f"Group '{group.name}' not empty: it has the nodes {', '.join(members)}; "
                                    "move them with gnt-group assign-nodes")
        if len(view.config.groups) == 1:
            raise WrongState(detail=f"Group '{group.name}' is the only group, it cannot be removed")
        return group

    def plan(self, seen: NodeGroup) -> Plan:
        return Plan(steps=(Step(title="", action=Delete(table="nodegroups", uuid=seen.uuid),
                                undo=put("nodegroups", seen)),))

    def hooks(self, seen: NodeGroup) -> Hooks:
        return Hooks(path="group-remove", object_type="GROUP", target=seen.name, env={"GROUP_NAME": seen.name})
