# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_QUERYVOLS: the logical volumes of nodes."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.disk_look import owners
from gantry.cmdlib.node_query_storage import chosen_nodes, refuse_unknown
from gantry.cmdlib.view import View
from gantry.errors import Error
from gantry.objects.plan import Plan
from gantry.opcodes.node import NodeQueryvols
from gantry.rpc import calls

FIELDS = ("phys", "vg", "name", "size", "instance", "node")
Rows = list[list[Any]]


class NodeQueryvolsUnit(LogicalUnit[NodeQueryvols, Rows], op=NodeQueryvols):
    """Result: a row a volume; `instance` is `-` for one that belongs to none.  Nodes that are offline or do not answer
    have no row.
    """

    def locks(self, view: View) -> Locks:
        return Locks(shared={"node": frozenset(node.uuid for node in chosen_nodes(view.config, self.op.nodes))})

    async def check(self, view: View) -> Rows:
        refuse_unknown(self.op.output_fields, FIELDS)
        nodes = [node for node in chosen_nodes(view.config, self.op.nodes) if not node.offline and node.vm_capable]
        answers = await view.nodes.call_many([node.uuid for node in nodes], calls.volumes_list)
        rows = []
        for node in nodes:
            answer = answers[node.uuid]
            if isinstance(answer, Error):
                view.warn(f"Can't compute volume data on node {node.name}: {answer}")
                continue
            known = owners(view.config, node.uuid)
            for volume in sorted(answer, key=lambda item: (item["vg"], item["name"])):
                row = {"node": node.name, "phys": ",".join(volume["devices"]), "vg": volume["vg"],
                       "name": volume["name"], "size": volume["size"],
                       "instance": known.get(f"{volume['vg']}/{volume['name']}") or "-"}
                rows.append([row[field] for field in self.op.output_fields])
        return rows

    def plan(self, seen: Rows) -> Plan:
        return Plan(result=seen)
