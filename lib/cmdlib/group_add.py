# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_ADD: create a node group."""

from dataclasses import dataclass

from gantry.cmdlib import group_params
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import AlreadyExists
from gantry.objects.cluster import NodeGroup
from gantry.objects.plan import Delete, Plan, Step, put
from gantry.opcodes.group import GroupAdd


@dataclass(frozen=True)
class New:
    group: NodeGroup
    master: str


class GroupAddUnit(LogicalUnit[GroupAdd, New], op=GroupAdd):
    """Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> New:
        if view.config.name_taken("nodegroups", self.op.group_name):
            raise AlreadyExists(kind="Node group", name=self.op.group_name)
        view.reservations.reserve("nodegroup", self.op.group_name)
        empty = NodeGroup(uuid=view.new_uuid(), name=self.op.group_name)
        return New(group_params.changed(empty, self.op), view.config.cluster.master_node)

    def plan(self, seen: New) -> Plan:
        group = seen.group
        return Plan(steps=(Step(title="", action=put("nodegroups", group),
                                undo=Delete(table="nodegroups", uuid=group.uuid)),),
                    reserves=(("nodegroup", group.name),))

    def hooks(self, seen: New) -> Hooks:
        return group_params.hooks("group-add", seen.group.name, (seen.master,), {"GROUP_NAME": seen.group.name})
