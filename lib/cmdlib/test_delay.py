# SPDX-License-Identifier: BSD-2-Clause
"""OP_TEST_DELAY: sleep on the master, on nodes, or both."""

from dataclasses import dataclass

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput
from gantry.objects.plan import Action, Call, Plan, Several, Sleep, Step
from gantry.opcodes.test import TestDelay


@dataclass(frozen=True)
class Ready:
    nodes: tuple[str, ...]


class TestDelayUnit(LogicalUnit[TestDelay, Ready], op=TestDelay):
    """`repeat` N means N rounds, 0 means one."""

    __test__ = False

    def locks(self, view: View) -> Locks:
        if self.op.no_locks:
            return Locks()
        return Locks(exclusive={"node": frozenset(view.config.node(name).uuid for name in self.op.on_nodes)})

    async def check(self, view: View) -> Ready:
        if self.op.duration <= 0:
            raise WrongInput(detail=f"Duration must be positive, not {self.op.duration:g}")
        nodes = [view.config.node(name) for name in self.op.on_nodes]
        for node in nodes:
            if node.offline:
                raise WrongInput(detail=f"Node '{node.name}' is marked offline, it cannot be asked to wait")
        return Ready(tuple(node.uuid for node in nodes))

    def plan(self, seen: Ready) -> Plan:
        duration = self.op.duration
        actions: list[Action] = [Sleep(seconds=duration)] if self.op.on_master else []
        actions += [Call(node=node, call="test_delay", args={"duration": duration}) for node in seen.nodes]
        if not actions:
            return Plan()
        action = actions[0] if len(actions) == 1 else Several(actions=actions)
        return Plan(steps=tuple(Step(title="", action=action, weight=duration)
                                for _ in range(max(1, self.op.repeat))))
