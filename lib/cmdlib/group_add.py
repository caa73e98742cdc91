# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_ADD: create a node group."""

from gantry.cmdlib import group_params
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import AlreadyExists
from gantry.objects.cluster import NodeGroup
from gantry.objects.plan import Delete, Plan, Step, put
from gantry.opcodes.group import GroupAdd


class GroupAddUnit(LogicalUnit[GroupAdd, NodeGroup], op=GroupAdd):
    """Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> NodeGroup:
        if view.config.name_taken("nodegroups", self.op.group_name):
            raise AlreadyExists(kind="Node group", name=self.op.group_name)
        view.reservations.reserve("nodegroup", self.op.group_name)
        empty = NodeGroup(uuid=view.new_uuid(), name=self.op.group_name)
        return group_params.changed(view.config, empty, self.op)

    def plan(self, seen: NodeGroup) -> Plan:
        return Plan(steps=(Step(title="", action=put("nodegroups", seen),
                                undo=Delete(table="nodegroups", uuid=seen.uuid)),),
                    reserves=(("nodegroup", seen.name),))

    def hooks(self, seen: NodeGroup) -> Hooks:
        return Hooks(path="group-add", object_type="GROUP", target=seen.name, env={"GROUP_NAME": seen.name})
