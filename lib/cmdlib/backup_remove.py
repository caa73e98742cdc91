# SPDX-License-Identifier: BSD-2-Clause
"""OP_BACKUP_REMOVE: remove the exports of an instance from all nodes.  The instance itself need not exist any more."""

from dataclasses import dataclass

from gantry.cmdlib import exports
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import NotFound
from gantry.objects.cluster import Node
from gantry.objects.plan import Plan, Several, Step, Task
from gantry.opcodes.backup import BackupRemove


@dataclass(frozen=True, kw_only=True)
class Found:
    """An export and the nodes that have it."""

    name: str
    nodes: tuple[Node, ...]


class BackupRemoveUnit(LogicalUnit[BackupRemove, Found], op=BackupRemove):
    """Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"instance": frozenset({self._name(view)})})

    async def check(self, view: View) -> Found:
        name = self._name(view)
        exports.reserve_write(view, name)
        nodes = await exports.holders(view, name)
        if not nodes:
            raise NotFound(kind="Export of instance", name=name)
        return Found(name=name, nodes=nodes)

    def plan(self, seen: Found) -> Plan:
        where = " and ".join(node.name for node in seen.nodes)
        return Plan(steps=(Step(
            title=f"* removing the export of {seen.name} on {where}", weight=1.0,
            action=Several(actions=[Task(node=node.uuid, call="export_remove", args={"name": seen.name})
                                    for node in seen.nodes])),), reserves=(exports.writes(seen.name),))

    def _name(self, view: View) -> str:
        try:
            return view.config.instance(self.op.instance_name).name
        except NotFound:
            return self.op.instance_name.lower()
