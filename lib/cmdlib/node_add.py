# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_ADD: take a node into the cluster, or back into it.

`gnt-node add` has already put the node's certificate there and started its daemon (`lib/bootstrap/node_add.py`);
it names the node's UUID and its certificate's digest in two parameters of the opcode.
"""

import dataclasses
from dataclasses import dataclass

from gantry.cmdlib import pool
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import AlreadyExists, NotFound, WrongInput
from gantry.objects import codec, params
from gantry.objects.cluster import Node, NodeGroup
from gantry.objects.plan import Call, Delete, Plan, Put, Step, Update, put
from gantry.opcodes.node import NodeAdd
from gantry.utils.resolver import resolve


@dataclass(frozen=True)
class Joining:
    node: Node
    before: Node | None
    cluster: str
    certs: dict[str, str]
    certs_before: dict[str, str]
    hook_nodes: tuple[str, ...]


class NodeAddUnit(LogicalUnit[NodeAdd, Joining], op=NodeAdd):
    """The node becomes a master candidate when the pool is not full.  Result: null."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive_cluster=True)

    async def check(self, view: View) -> Joining:
        config, op = view.config, self.op
        name, address = resolve(op.node_name)
        address = op.primary_ip or address
        before = self._before(config, name)
        if not op.node_uuid or not op.certificate:
            raise WrongInput(detail=f"Node '{name}' has no certificate of this cluster yet; add it with "
                                    f"gnt-node add {name}, which makes one")
        secondary = op.secondary_ip or (before.secondary_ip if before else address)
        self._check_addresses(config, name, {address, secondary})
        node = before or Node(uuid=op.node_uuid, name=name, primary_ip=address, secondary_ip=secondary,
                              group=self._group(config).uuid, master_candidate=False)
        own = params.merge_nd(node.ndparams, op.ndparams or {}, node=True)
        node = dataclasses.replace(
            node, primary_ip=address, secondary_ip=secondary, offline=False, drained=False, ndparams=own,
            certificate=op.certificate, hv_state_static={**node.hv_state_static, **(op.hv_state or {})},
            disk_state_static={**node.disk_state_static, **(op.disk_state or {})},
            master_capable=node.master_capable if op.master_capable is None else op.master_capable,
            vm_capable=node.vm_capable if op.vm_capable is None else op.vm_capable)
        return self._with_pool(config, node, before)

    def _before(self, config: Config, name: str) -> Node | None:
        try:
            found = config.node(name)
        except NotFound:
            if self.op.readd:
                raise NotFound(kind="Node", name=name) from None
            return None
        if not self.op.readd:
            raise AlreadyExists(kind="Node", name=found.name)
        if found.uuid == config.cluster.master_node:
            raise WrongInput(detail=f"Node '{name}' is the master, cannot readd")
        return found

    def _group(self, config: Config) -> NodeGroup:
        if self.op.group:
            return config.group(self.op.group)
        if len(config.groups) > 1:
            raise WrongInput(detail="The cluster has several node groups; name one with --node-group: "
                                    + ", ".join(sorted(group.name for group in config.groups.values())))
        return next(iter(config.groups.values()))

    def _check_addresses(self, config: Config, name: str, addresses: set[str]) -> None:
        if config.cluster.master_ip in addresses:
            raise AlreadyExists(kind="Address", name=f"{config.cluster.master_ip} (of the cluster)")
        for node in config.nodes.values():
            used = {node.primary_ip, node.secondary_ip} & addresses
            if used and node.name != name:
                raise AlreadyExists(kind="Address", name=f"{min(used)} (of node {node.name})")

    def _with_pool(self, config: Config, node: Node, before: Node | None) -> Joining:
        others = [other for other in config.nodes.values() if other.uuid != node.uuid]
        candidate = pool.may_be_candidate(node) and pool.short_by(
            [*others, dataclasses.replace(node, master_candidate=False)], config.cluster.candidate_pool_size) > 0
        node = dataclasses.replace(node, master_candidate=candidate)
        certs = pool.certificates({**config.nodes, node.uuid: node})
        return Joining(node, before, config.cluster.uuid, certs, config.cluster.candidate_certs,
                       tuple(other.uuid for other in others if not other.offline))

    def plan(self, seen: Joining) -> Plan:
        node, cluster = seen.node, seen.cluster
        back: Delete | Put = put("nodes", seen.before) if seen.before else Delete(table="nodes", uuid=node.uuid)
        # Recorded without rights first: the call below needs the address, the rights come when it answered.
        plain = codec.encode(dataclasses.replace(node, master_candidate=False))
        steps = [Step(title=f"recording node {node.name}", action=Put(table="nodes", value=plain), undo=back),
                 Step(title=f"asking {node.name} for its version", action=Call(node=node.uuid, call="version"),
                      weight=0.5)]
        if node.master_candidate:
            steps += [
                Step(title=f"making {node.name} a master candidate",
                     action=Update(table="nodes", uuid=node.uuid, fields={"master_candidate": True}),
                     undo=Update(table="nodes", uuid=node.uuid, fields={"master_candidate": False})),
                Step(title="", action=Update(table="cluster", uuid=cluster, fields={"candidate_certs": seen.certs}),
                     undo=Update(table="cluster", uuid=cluster, fields={"candidate_certs": seen.certs_before}))]
        return Plan(steps=tuple(steps), reserves=(("node", node.name),))

    def hooks(self, seen: Joining) -> Hooks:
        node = seen.node
        return Hooks(path="node-add", object_type="NODE", target=node.name, pre_nodes=seen.hook_nodes,
                     post_nodes=(*seen.hook_nodes, node.uuid),
                     env={"NODE_NAME": node.name, "NODE_PIP": node.primary_ip, "NODE_SIP": node.secondary_ip,
                          "MASTER_CAPABLE": str(node.master_capable), "VM_CAPABLE": str(node.vm_capable)})
