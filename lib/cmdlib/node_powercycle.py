# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_POWERCYCLE: reset a node, as its power switch would."""

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput, WrongState
from gantry.objects.cluster import Node
from gantry.objects.plan import Call, Plan, Step, ref
from gantry.opcodes.node import NodePowercycle


class NodePowercycleUnit(LogicalUnit[NodePowercycle, Node], op=NodePowercycle):
    """Takes no locks: the node that is to be reset may be what others wait for.  Result: what the node said."""

    def locks(self, view: View) -> Locks:
        view.config.node(self.op.node_name)
        return Locks()

    async def check(self, view: View) -> Node:
        node = view.config.node(self.op.node_name)
        if node.uuid == view.config.cluster.master_node and not self.op.force:
            raise WrongInput(detail=f"Node {node.name} is the master, it is powercycled only with --force")
        if node.offline:
            raise WrongState(detail=f"Node {node.name} is marked offline, its daemon is not asked; use gnt-node power "
                                    "cycle where it has an out-of-band program")
        return node

    def plan(self, seen: Node) -> Plan:
        return Plan(steps=(Step(title=f"resetting node {seen.name}", key="said", weight=1.0,
                                action=Call(node=seen.uuid, call="node_powercycle")),),
                    result=ref("said"), undoable=False)
