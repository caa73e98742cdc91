# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_REMOVE: take an empty node out of the cluster."""

from dataclasses import dataclass

from gantry.cmdlib import pool
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongState
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk
from gantry.objects.plan import Action, Call, Delete, Plan, Several, Step, Update, put
from gantry.opcodes.node import NodeRemove


@dataclass(frozen=True)
class Leaving:
    """`lost`: detached disks that go with a node that is offline."""

    node: Node
    lost: tuple[Disk, ...]
    promoted: tuple[Node, ...]
    cluster: str
    certs: dict[str, str]
    certs_before: dict[str, str]
    others: tuple[str, ...]


class NodeRemoveUnit(LogicalUnit[NodeRemove, Leaving], op=NodeRemove):
    """Another node is made master candidate when one is missing then."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive_cluster=True)

    async def check(self, view: View) -> Leaving:
        config = view.config
        node = config.node(self.op.node_name)
        if node.uuid == config.cluster.master_node:
            raise WrongState(detail=f"Node '{node.name}' is the master; make another node master first "
                                    "(gnt-cluster master-failover there)")
        for instance in config.instances.values():
            if node.uuid == instance.primary_node or node.uuid in config.secondaries_of(instance):
                raise WrongState(detail=f"Instance {instance.name} is still running on the node {node.name} or has "
                                        "disks there; move or remove it first")
        lost = _detached(view, node)
        rest = {uuid: other for uuid, other in config.nodes.items() if uuid != node.uuid}
        promoted = pool.to_promote(rest.values(), config.cluster.candidate_pool_size)
        certs = pool.certificates(rest) | {other.uuid: other.certificate for other in promoted}
        return Leaving(node, lost, promoted, config.cluster.uuid, certs, config.cluster.candidate_certs,
                       tuple(uuid for uuid, other in rest.items() if not other.offline))

    def plan(self, seen: Leaving) -> Plan:
        node = seen.node
        changes: list[Action] = [Update(table="nodes", uuid=other.uuid, fields={"master_candidate": True})
                                 for other in seen.promoted]
        undos: list[Action] = [Update(table="nodes", uuid=other.uuid, fields={"master_candidate": False})
                               for other in seen.promoted]
        changes.append(Update(table="cluster", uuid=seen.cluster, fields={"candidate_certs": seen.certs}))
        undos.append(Update(table="cluster", uuid=seen.cluster, fields={"candidate_certs": seen.certs_before}))
        leave = Step(title=f"telling {node.name} to leave the cluster", may_fail=True, weight=1.0,
                     action=Call(node=node.uuid, call="node_leave"))
        return Plan(steps=(
            Step(title="", action=Several(actions=changes), undo=Several(actions=undos)),
            *(() if node.offline else (leave,)),
            Step(title=f"forgetting node {node.name}", action=Several(actions=[
                Delete(table="nodes", uuid=node.uuid), *(Delete(table="disks", uuid=disk.uuid) for disk in seen.lost)]),
                undo=Several(actions=[put("nodes", node), *(put("disks", disk) for disk in seen.lost)]))))

    def hooks(self, seen: Leaving) -> Hooks:
        return Hooks(path="node-remove", object_type="NODE", target=seen.node.name, pre_nodes=seen.others,
                     post_nodes=seen.others, env={"NODE_NAME": seen.node.name})


def _detached(view: View, node: Node) -> tuple[Disk, ...]:
    """Disks of no instance that the node takes with it: it is lost.  Refuses where there is another way."""
    found = [disk for disk in view.config.disks_on(node.uuid) if view.config.owner_of(disk.uuid) is None]
    for disk in found:
        if not node.offline or len(disk.nodes) > 1:
            raise WrongState(detail=f"Node {node.name} has the detached disk {disk.uuid}; attach it to an instance, "
                                    "then move it with that or remove it (gnt-instance modify --disk)")
        view.warn(f"The detached disk {disk.uuid} is lost with node {node.name}, which is offline")
    return tuple(found)
