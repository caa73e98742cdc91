# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_RENAME: rename a node group."""

from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import AlreadyExists
from gantry.objects.cluster import NodeGroup
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.group import GroupRename


class GroupRenameUnit(LogicalUnit[GroupRename, NodeGroup], op=GroupRename):
    """Result: the new name."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"nodegroup": frozenset({view.config.group(self.op.group_name).uuid})})

    async def check(self, view: View) -> NodeGroup:
        group = view.config.group(self.op.group_name)
        if view.config.name_taken("nodegroups", self.op.new_name):
            raise AlreadyExists(kind="Node group", name=self.op.new_name)
        return group

    def plan(self, seen: NodeGroup) -> Plan:
        step = Step(title="", action=Update(table="nodegroups", uuid=seen.uuid, fields={"name": self.op.new_name}),
                    undo=Update(table="nodegroups", uuid=seen.uuid, fields={"name": seen.name}))
        return Plan(steps=(step,), result=self.op.new_name, reserves=(("nodegroup", self.op.new_name),))

    def hooks(self, seen: NodeGroup) -> Hooks:
        return Hooks(path="group-rename", object_type="GROUP", target=seen.name,
                     env={"OLD_NAME": seen.name, "NEW_NAME": self.op.new_name})
