# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_QUERY_STORAGE: the storage units of nodes, and the space in them."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import Error, WrongInput
from gantry.objects.cluster import Node
from gantry.objects.plan import Plan
from gantry.opcodes.node import NodeQueryStorage
from gantry.rpc import calls
from gantry.utils.names import nice_key

FIELDS = ("node", "type", "name", "size", "used", "free", "allocatable")
Rows = list[list[Any]]


class NodeQueryStorageUnit(LogicalUnit[NodeQueryStorage, Rows], op=NodeQueryStorage):
    """Result: a row a unit, columns as asked; sizes in MiB.  Without a type: those that the cluster's enabled disk
    templates use.  Nodes that are offline or do not answer have no row.
    """

    def locks(self, view: View) -> Locks:
        return Locks(shared={"node": frozenset(node.uuid for node in self._nodes(view.config))})

    def _nodes(self, config: Config) -> list[Node]:
        nodes = [config.node(name) for name in self.op.nodes] or list(config.nodes.values())
        return sorted(nodes, key=lambda node: nice_key(node.name))

    async def check(self, view: View) -> Rows:
        refuse_unknown(self.op.output_fields, FIELDS)
        units = [unit for unit in _units(view.config) if self.op.storage_type in (None, unit[0])
                 and self.op.name in (None, unit[1])]
        nodes = [node for node in self._nodes(view.config) if not node.offline and node.vm_capable]
        if not units:
            return []
        answers = await view.nodes.call_many([node.uuid for node in nodes], calls.node_info, storage=units)
        rows = []
        for node in nodes:
            answer = answers[node.uuid]
            if isinstance(answer, Error):
                view.warn(f"node {node.name} did not measure its storage: {answer}")
                continue
            for unit in answer.storage:
                row = {"node": node.name, "type": unit.kind, "name": unit.name, "size": unit.total,
                       "used": unit.total - unit.free, "free": unit.free, "allocatable": True}
                rows.append([row[field] for field in self.op.output_fields])
        return rows

    def plan(self, seen: Rows) -> Plan:
        return Plan(result=seen)


def refuse_unknown(wanted: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise WrongInput(detail=f"Unknown output fields selected: {', '.join(unknown)}")


def _units(config: Config) -> list[list[str]]:
    """[kind, name] of every unit that the enabled disk templates use."""
    cluster = config.cluster
    places = {"file": ("file", cluster.file_storage_dir), "sharedfile": ("sharedfile", cluster.shared_file_storage_dir),
              "gluster": ("gluster", cluster.gluster_storage_dir), "plain": ("lvm-vg", cluster.volume_group_name or ""),
              "drbd": ("lvm-vg", cluster.volume_group_name or "")}
    found = [list(places[template]) for template in cluster.enabled_disk_templates
             if template in places and places[template][1]]
    return [unit for place, unit in enumerate(found) if unit not in found[:place]]
