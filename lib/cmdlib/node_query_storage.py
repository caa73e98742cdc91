# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_QUERY_STORAGE: the storage units of nodes, and the space in them."""

from collections.abc import Sequence
from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.disks import LVM_TEMPLATES
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
_LVM = ("lvm-vg", "lvm-pv")


class NodeQueryStorageUnit(LogicalUnit[NodeQueryStorage, Rows], op=NodeQueryStorage):
    """Result: a row a unit, columns as asked; sizes in MiB.  Without a type: those that the cluster's enabled disk
    templates use.  Nodes that are offline or do not answer have no row.
    """

    def locks(self, view: View) -> Locks:
        return Locks(shared={"node": frozenset(node.uuid for node in chosen_nodes(view.config, self.op.nodes))})

    async def check(self, view: View) -> Rows:
        refuse_unknown(self.op.output_fields, FIELDS)
        nodes = [node for node in chosen_nodes(view.config, self.op.nodes) if not node.offline and node.vm_capable]
        rows: Rows = []
        for kind, place in _units(view.config, self.op.storage_type):
            answers = await view.nodes.call_many([node.uuid for node in nodes], calls.storage_list, kind=kind,
                                                 name=place)
            for node in nodes:
                answer = answers[node.uuid]
                if isinstance(answer, Error):
                    view.warn(f"node {node.name} did not measure its storage: {answer}")
                    continue
                for unit in answer:
                    row = {"node": node.name, "type": kind, **unit}
                    if self.op.name in (None, unit["name"]):
                        rows.append([row[field] for field in self.op.output_fields])
        return rows

    def plan(self, seen: Rows) -> Plan:
        return Plan(result=seen)


def refuse_unknown(wanted: tuple[str, ...], known: tuple[str, ...]) -> None:
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise WrongInput(detail=f"Unknown output fields selected: {', '.join(unknown)}")


def chosen_nodes(config: Config, names: Sequence[str]) -> list[Node]:
    """The nodes named, or all."""
    nodes = [config.node(name) for name in names] or list(config.nodes.values())
    return sorted(nodes, key=lambda node: nice_key(node.name))


def _units(config: Config, wanted: str | None) -> list[tuple[str, str]]:
    """Kind and folder of what the enabled disk templates use, or of the kind that is wanted.  Of LVM, where the cluster
    uses it, it is everything: disks may be in other volume groups than the cluster's.
    """
    cluster = config.cluster
    folders = {"file": cluster.file_storage_dir, "sharedfile": cluster.shared_file_storage_dir,
               "gluster": cluster.gluster_storage_dir}
    if wanted is not None:
        if wanted not in (*folders, *_LVM):
            raise WrongInput(detail=f"Storage of type {wanted} cannot be listed")
        found = [wanted]
    else:
        found = ["lvm-vg" if template in LVM_TEMPLATES else template for template in cluster.enabled_disk_templates]
    return [(kind, folders.get(kind, "")) for kind in dict.fromkeys(found)
            if (cluster.volume_group_name if kind in _LVM else folders.get(kind))]
