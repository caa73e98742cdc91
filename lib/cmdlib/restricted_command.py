# SPDX-License-Identifier: BSD-2-Clause
"""OP_RESTRICTED_COMMAND: run one of the administrator's own commands on nodes."""

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput, WrongState
from gantry.objects.cluster import Node
from gantry.objects.plan import Call, Plan, Step, ref
from gantry.opcodes.cluster import RestrictedCommand

Found = tuple[Node, ...]
NO_ANSWER = "The command was not run, see the warning above"


class RestrictedCommandUnit(LogicalUnit[RestrictedCommand, Found], op=RestrictedCommand):
    """Result: [success, output] for each node, in the order they were named."""

    def locks(self, view: View) -> Locks:
        nodes = frozenset(view.config.node(name).uuid for name in self.op.nodes)
        return Locks(exclusive={"node": nodes}) if self.op.use_locking else Locks(shared={"node": nodes})

    async def check(self, view: View) -> Found:
        nodes = tuple({node.uuid: node for node in map(view.config.node, self.op.nodes)}.values())
        if not nodes:
            raise WrongInput(detail="No nodes given on which the command is to run")
        offline = [node.name for node in nodes if node.offline]
        if offline:
            raise WrongState(detail=f"Nodes that are marked offline run no commands: {', '.join(offline)}")
        return nodes

    def plan(self, seen: Found) -> Plan:
        steps = [Step(title=f"running '{self.op.command}' on {node.name}", key=f"on-{node.uuid}", may_fail=True,
                      action=Call(node=node.uuid, call="restricted_command", args={"command": self.op.command}),
                      weight=1.0) for node in seen]
        return Plan(steps=tuple(steps), result=[[ref(step.key, 0, default=False), ref(step.key, 1, default=NO_ANSWER)]
                                                 for step in steps])
