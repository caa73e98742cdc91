# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_MODIFY_STORAGE: change a storage unit of a node."""

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.checks import online
from gantry.cmdlib.view import View
from gantry.errors import WrongInput
from gantry.objects.cluster import Node
from gantry.objects.plan import Call, Plan, Step
from gantry.opcodes.node import NodeModifyStorage

MODIFIABLE = {"lvm-pv": frozenset({"allocatable"})}
"""What can be changed, by type."""


class NodeModifyStorageUnit(LogicalUnit[NodeModifyStorage, Node], op=NodeModifyStorage):
    """There is one thing to change: whether new volumes may be put on a physical volume."""

    def locks(self, view: View) -> Locks:
        node = frozenset({view.config.node(self.op.node_name).uuid})
        return Locks(exclusive={"node": node, "node-res": node})

    async def check(self, view: View) -> Node:
        op = self.op
        known = MODIFIABLE.get(op.storage_type)
        if known is None:
            raise WrongInput(detail=f"Storage units of type '{op.storage_type}' can not be modified")
        unknown = sorted(op.changes.keys() - known)
        if unknown or not op.changes:
            raise WrongInput(detail=f"The following fields can not be modified for storage units of type "
                                    f"'{op.storage_type}': {', '.join(unknown)}" if unknown else "No changes are given")
        if not op.name:
            raise WrongInput(detail="The name of the storage unit is missing")
        return online(view.config, view.config.node(op.node_name).uuid)

    def plan(self, seen: Node) -> Plan:
        op = self.op
        return Plan(steps=(Step(title=f"changing {op.storage_type} {op.name} on {seen.name}", action=Call(
            node=seen.uuid, call="storage_modify",
            args={"kind": op.storage_type, "name": op.name, "changes": dict(op.changes)})),))
