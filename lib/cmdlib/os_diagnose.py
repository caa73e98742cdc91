# SPDX-License-Identifier: BSD-2-Clause
"""OP_OS_DIAGNOSE: which OS definitions there are, node by node."""

from dataclasses import dataclass
from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import NodeError, WrongInput
from gantry.objects.cluster import Cluster
from gantry.objects.node import OsDefinition
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import OsDiagnose
from gantry.rpc import calls
from gantry.utils.names import nice_key

FIELDS = ("name", "valid", "node_status", "variants", "parameters", "api_versions", "hidden", "blacklisted",
          "os_hvp", "osparams", "trusted")


@dataclass(frozen=True)
class OsRow:
    """One OS over all nodes that answered; `found` by node name."""

    name: str
    found: dict[str, list[OsDefinition]]
    nodes: int

    @property
    def valid(self) -> bool:
        """Whether every node has it, valid and the same."""
        first = [definitions[0] for definitions in self.found.values()]
        return len(first) == self.nodes and all(not item.problem for item in first)

    def common(self, attribute: str) -> list[Any]:
        """What the first definitions of all nodes have in common, in the order of the first node."""
        lists = [getattr(definitions[0], attribute) for definitions in self.found.values()]
        return [item for item in lists[0] if all(item in other for other in lists[1:])]


class OsDiagnoseUnit(LogicalUnit[OsDiagnose, tuple[tuple[Any, ...], ...]], op=OsDiagnose):
    """Result: a row an OS, columns as asked.  Invalid, hidden and blacklisted ones are left out unless the
    field that shows it is asked for.
    """

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> tuple[tuple[Any, ...], ...]:
        unknown = [name for name in self.op.output_fields if name not in FIELDS]
        if unknown:
            raise WrongInput(detail=f"Unknown output fields selected: {', '.join(unknown)}")
        nodes = [node for node in view.config.nodes.values() if node.vm_capable and not node.offline]
        answers = await view.nodes.call_many([node.uuid for node in nodes], calls.os_list)
        good = {view.config.nodes[uuid].name: answer for uuid, answer in answers.items()
                if not isinstance(answer, NodeError)}
        for uuid, answer in answers.items():
            if isinstance(answer, NodeError):
                view.warn(f"node {view.config.nodes[uuid].name} did not list its OS definitions: {answer}")
        names = sorted({item.name for answer in good.values() for item in answer}, key=nice_key)
        rows = []
        for name in names:
            found = {node: [item for item in answer if item.name == name] for node, answer in good.items()}
            row = OsRow(name, {node: items for node, items in found.items() if items}, len(good))
            if self._shown(row, view.config.cluster):
                rows.append(tuple(self._value(field, row, view.config.cluster) for field in self.op.output_fields))
        return tuple(rows)

    def _shown(self, row: OsRow, cluster: Cluster) -> bool:
        fields, names = self.op.output_fields, self.op.names
        if names and row.name not in names:
            return False
        return ((row.valid or "valid" in fields) and (row.name not in cluster.hidden_os or "hidden" in fields)
                and (row.name not in cluster.blacklisted_os or "blacklisted" in fields))

    def _value(self, field: str, row: OsRow, cluster: Cluster) -> Any:
        levels = [row.name, *(f"{row.name}+{variant}" for variant in row.common("variants"))]
        values: dict[str, Any] = {
            "name": row.name, "valid": row.valid, "hidden": row.name in cluster.hidden_os,
            "blacklisted": row.name in cluster.blacklisted_os,
            "trusted": all(items[0].trusted for items in row.found.values()),
            "os_hvp": {level: cluster.os_hvp[level] for level in levels if level in cluster.os_hvp},
            "osparams": {level: cluster.osparams[level] for level in levels if level in cluster.osparams}}
        if field in values:
            return values[field]
        if field == "node_status":
            return {node: [[item.path, not item.problem, item.problem, list(item.variants),
                            [list(pair) for pair in item.parameters], list(item.api_versions), item.trusted]
                           for item in items] for node, items in row.found.items()}
        return [list(item) if isinstance(item, tuple) else item for item in row.common(field)]

    def plan(self, seen: tuple[tuple[Any, ...], ...]) -> Plan:
        return Plan(result=[list(row) for row in seen])
