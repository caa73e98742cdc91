# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_RENAME: rename a node group."""

from dataclasses import dataclass

from gantry.cmdlib import group_params
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import AlreadyExists
from gantry.objects.cluster import NodeGroup
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.group import GroupRename


@dataclass(frozen=True)
class Old:
    """`nodes` (UUIDs) run the hooks."""

    group: NodeGroup
    nodes: tuple[str, ...]


class GroupRenameUnit(LogicalUnit[GroupRename, Old], op=GroupRename):
    """Result: the new name."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"nodegroup": frozenset({view.config.group(self.op.group_name).uuid})})

    async def check(self, view: View) -> Old:
        group = view.config.group(self.op.group_name)
        if view.config.name_taken("nodegroups", self.op.new_name):
            raise AlreadyExists(kind="Node group", name=self.op.new_name)
        members = (node.uuid for node in view.config.members_of(group.uuid))
        return Old(group, tuple(dict.fromkeys((view.config.cluster.master_node, *members))))

    def plan(self, seen: Old) -> Plan:
        uuid = seen.group.uuid
        step = Step(title="", action=Update(table="nodegroups", uuid=uuid, fields={"name": self.op.new_name}),
                    undo=Update(table="nodegroups", uuid=uuid, fields={"name": seen.group.name}))
        return Plan(steps=(step,), result=self.op.new_name, reserves=(("nodegroup", self.op.new_name),))

    def hooks(self, seen: Old) -> Hooks:
        return group_params.hooks("group-rename", seen.group.name, seen.nodes,
                                  {"OLD_NAME": seen.group.name, "NEW_NAME": self.op.new_name})
