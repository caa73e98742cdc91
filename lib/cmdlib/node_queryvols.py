# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_QUERYVOLS: the logical volumes of nodes."""

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.node_query_storage import refuse_unknown
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan
from gantry.opcodes.node import NodeQueryvols

FIELDS = ("phys", "vg", "name", "size", "instance", "node")


class NodeQueryvolsUnit(LogicalUnit[NodeQueryvols, None], op=NodeQueryvols):
    """Result: a row a volume.  No disk template that makes volumes can be used, so there is none to be listed."""

    def locks(self, view: View) -> Locks:
        return Locks(shared={"node": frozenset(view.config.node(name).uuid for name in self.op.nodes)})

    async def check(self, view: View) -> None:
        refuse_unknown(self.op.output_fields, FIELDS)

    def plan(self, seen: None) -> Plan:
        return Plan(result=[])
