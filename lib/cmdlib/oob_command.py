# SPDX-License-Identifier: BSD-2-Clause
"""OP_OOB_COMMAND: power and health of nodes through the administrator's out-of-band program, run on the master."""

from dataclasses import dataclass
from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.errors import WrongInput, WrongState
from gantry.objects.cluster import Node
from gantry.objects.plan import Plan, Say, Sleep, Step, Task, Update, ref
from gantry.opcodes.cluster import OobCommand

NORMAL, UNAVAIL = 0, 3
NOT_ON_THE_MASTER = ("power-off", "power-cycle")


@dataclass(frozen=True)
class Target:
    """`program` is empty where none is configured."""

    node: Node
    program: str


@dataclass(frozen=True)
class Seen:
    master: str
    targets: tuple[Target, ...]


class OobCommandUnit(LogicalUnit[OobCommand, Seen], op=OobCommand):
    """Result: a row a node: [0, name], [state, what the program said]."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"node": frozenset(node.uuid for node in self._nodes(view))})

    async def check(self, view: View) -> Seen:
        op, config = self.op, view.config
        nodes, master = self._nodes(view), config.nodes[config.cluster.master_node]
        if op.timeout <= 0 or op.power_delay < 0:
            raise WrongInput(detail="The timeout must be positive and the delay not negative")
        if op.command in NOT_ON_THE_MASTER and master.uuid in {node.uuid for node in nodes}:
            program = effective.ndparams(config, master)["oob_program"]
            by_hand = f"; to do it all the same, run: {program} {op.command} {master.name}" if program else ""
            raise WrongInput(detail=f"The master node {master.name} cannot be told to {op.command}: use another master "
                                    f"first (gnt-cluster master-failover there){by_hand}")
        if op.command == "power-off" and not op.ignore_status:
            online = [node.name for node in nodes if not node.offline]
            if online:
                raise WrongState(detail=f"Cannot power off {', '.join(online)}: not marked offline (gnt-node modify "
                                        "-O yes), and --ignore-status was not given")
        return Seen(master.uuid, tuple(Target(node, str(effective.ndparams(config, node)["oob_program"] or ""))
                                       for node in nodes))

    def plan(self, seen: Seen) -> Plan:
        steps: list[Step] = []
        rows: list[Any] = []
        for target in seen.targets:
            node = target.node
            if not target.program:
                rows.append([[NORMAL, node.name], [UNAVAIL, None]])
                continue
            if steps and self.op.command == "power-on" and self.op.power_delay:
                steps.append(Step(title="", action=Sleep(seconds=self.op.power_delay), weight=self.op.power_delay))
            steps += self._steps(seen.master, target)
            rows.append([[NORMAL, node.name], ref(f"oob-{node.uuid}", "row")])
        return Plan(steps=tuple(steps), result=rows, undoable=False)

    def _steps(self, master: str, target: Target) -> list[Step]:
        node, key = target.node, f"oob-{target.node.uuid}"
        args = {"program": target.program, "command": self.op.command, "node": node.name,
                "timeout": float(self.op.timeout), "powered": node.powered}
        steps = [Step(title=f"running {target.program} {self.op.command} {node.name}", key=key, weight=2.0,
                      action=Task(node=master, call="oob_run", args=args)),
                 Step(title="", action=Say(lines=[[ref(key, "warning", default="")]]))]
        if self.op.command in ("power-on", "power-off"):
            steps.append(Step(title="", action=Update(table="nodes", uuid=node.uuid, fields={
                "powered": ref(key, "powered", default=node.powered)})))
        return steps

    def _nodes(self, view: View) -> tuple[Node, ...]:
        if not self.op.node_names:
            return tuple(sorted(view.config.nodes.values(), key=lambda node: node.name))
        return tuple({node.uuid: node for node in map(view.config.node, self.op.node_names)}.values())
