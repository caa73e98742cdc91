# SPDX-License-Identifier: BSD-2-Clause
"""OP_NODE_SET_PARAMS: change a node's flags and parameters."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from gantry.cmdlib import mirror, pool
from gantry.cmdlib.base import ALL, SETTINGS, Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.constants import PROTOCOL_VERSION, AdminState
from gantry.errors import BadEnvironment, NotUnique, WrongInput, WrongState
from gantry.objects import codec, params
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk
from gantry.objects.plan import Action, Plan, Several, Step, Update
from gantry.opcodes.node import NodeSetParams
from gantry.rpc import calls

ROLE_FLAGS = ("master_candidate", "drained", "offline")
OWN = (*ROLE_FLAGS, "master_capable", "vm_capable", "secondary_ip", "ndparams", "powered", "hv_state_static",
       "disk_state_static")


@dataclass(frozen=True)
class Change:
    before: Node
    after: Node
    promoted: tuple[Node, ...]
    cluster: str
    certs: dict[str, str]
    certs_before: dict[str, str]
    master: str
    mirrors: tuple[tuple[Disk, Disk], ...] = ()
    """Mirrored disks with the old and with the new address."""


class NodeSetParamsUnit(LogicalUnit[NodeSetParams, Change], op=NodeSetParams):
    """Result: [[parameter, new value], ...]: what was given, then the role flags that really changed."""

    def locks(self, view: View) -> Locks:
        config, uuid = view.config, view.config.node(self.op.node_name).uuid
        node = frozenset({uuid})
        demotes = self.op.offline or self.op.drained or self.op.master_candidate is False
        nodes = ALL if self.op.auto_promote and demotes else node
        shared = {}
        if self.op.secondary_ip:
            shared["instance"] = frozenset(
                instance.name for instance in (*config.primaries_of(uuid), *config.secondaries_at(uuid)))
        return Locks(exclusive={"cluster": SETTINGS, "node": nodes, "node-res": node}, shared=shared)

    async def check(self, view: View) -> Change:
        config, op = view.config, self.op
        node = config.node(op.node_name)
        self._check_request(config, node)
        after = self._after(view, node)
        if node.offline and not after.offline:
            await self._check_answers(view, node)
        promoted = self._promoted(config, node, after)
        rest: dict[str, Node] = {**config.nodes, node.uuid: after}
        rest.update({other.uuid: dataclasses.replace(other, master_candidate=True) for other in promoted})
        return Change(node, after, promoted, config.cluster.uuid, pool.certificates(rest),
                      config.cluster.candidate_certs, config.cluster.master_node,
                      _mirrors(config, node, after) if after.secondary_ip != node.secondary_ip else ())

    def _check_request(self, config: Config, node: Node) -> None:
        op = self.op
        roles = (op.master_candidate, op.offline, op.drained)
        given = (*roles, op.master_capable, op.vm_capable, op.secondary_ip, op.ndparams, op.powered, op.hv_state,
                 op.disk_state)
        if all(value is None for value in given):
            raise WrongInput(detail="Please pass at least one modification")
        if sum(value is True for value in roles) > 1:
            raise WrongInput(detail="At most one of offline, drained and master_candidate can be set to yes at a time")
        if node.uuid == config.cluster.master_node and (
                any(value is not None for value in roles) or op.master_capable is False):
            raise WrongInput(detail=f"The master role of node {node.name} can be changed only by "
                                    "gnt-cluster master-failover")
        if op.vm_capable is False and any(
                node.uuid == instance.primary_node or node.uuid in config.secondaries_of(instance)
                for instance in config.instances.values()):
            raise WrongState(detail=f"Node {node.name} hosts instances, it cannot be made not vm_capable")
        if op.secondary_ip and op.secondary_ip != node.secondary_ip:
            self._check_address(config, node, op.secondary_ip)

    @staticmethod
    def _check_address(config: Config, node: Node, address: str) -> None:
        """Mirrors can change their address only while they are down."""
        master = config.nodes[config.cluster.master_node]
        single = master.secondary_ip == master.primary_ip
        if len(config.nodes) > 1 and single != (address == node.primary_ip):
            raise WrongInput(detail=f"Node {node.name} cannot have the secondary address {address}: " + (
                "the nodes of this cluster have one address each" if single else
                "the nodes of this cluster have two addresses each, and this is its primary one"))
        taken = [other.name for other in config.nodes.values() if other.uuid != node.uuid
                 and address in (other.primary_ip, other.secondary_ip)]
        if taken:
            raise NotUnique(detail=f"The address {address} belongs to node {taken[0]}")
        for instance in (*config.primaries_of(node.uuid), *config.secondaries_at(node.uuid)):
            mirrored = any(disk.drbd is not None for disk in config.disks_of(instance))
            if mirrored and (instance.disks_active or instance.admin_state is AdminState.UP):
                raise WrongState(detail=f"Instance {instance.name} is in use, its mirrors on node {node.name} cannot "
                                        "change their address; stop it first (gnt-instance shutdown)")

    def _after(self, view: View, node: Node) -> Node:
        op = self.op
        fields = self._flags(view, node)
        if op.ndparams is not None:
            fields["ndparams"] = params.merge_nd(node.ndparams, op.ndparams, node=True)
        if op.secondary_ip:
            fields["secondary_ip"] = op.secondary_ip
        if op.hv_state is not None:
            fields["hv_state_static"] = {**node.hv_state_static, **op.hv_state}
        if op.disk_state is not None:
            fields["disk_state_static"] = {**node.disk_state_static, **op.disk_state}
        after = dataclasses.replace(node, **fields)
        if op.master_candidate and not pool.may_be_candidate(after):
            raise WrongState(detail=f"Node {node.name} is offline, drained or not master_capable: it cannot be "
                                    "master candidate")
        return self._refill(view.config, node, after)

    def _flags(self, view: View, node: Node) -> dict[str, Any]:
        """The flags that change, with what they bring about: an offline or drained node is no candidate."""
        flags: dict[str, Any] = {name: getattr(self.op, name)
                                 for name in (*ROLE_FLAGS, "master_capable", "vm_capable", "powered")
                                 if getattr(self.op, name) is not None}
        for name in ROLE_FLAGS:
            if name in flags and flags[name] == getattr(node, name):
                view.say(f" - INFO: Ignoring request to set flag {name} to {flags.pop(name)}, it is already so")
        if flags.get("offline") or flags.get("drained") or flags.get("master_capable") is False:
            flags["master_candidate"] = False
        if flags.get("offline"):
            flags["drained"] = False
        if flags.get("drained"):
            flags["offline"] = False
        return flags

    def _refill(self, config: Config, node: Node, after: Node) -> Node:
        """A node that comes back becomes a candidate when the pool lacks one."""
        back = (node.offline and not after.offline) or (node.drained and not after.drained) or (
            after.master_capable and not node.master_capable)
        if not back or self.op.master_candidate is not None or not pool.may_be_candidate(after):
            return after
        others = [after if other.uuid == node.uuid else other for other in config.nodes.values()]
        short = pool.short_by(others, config.cluster.candidate_pool_size)
        return dataclasses.replace(after, master_candidate=True) if short else after

    async def _check_answers(self, view: View, node: Node) -> None:
        answer = await view.nodes.call(node.uuid, calls.version)
        if answer.protocol != PROTOCOL_VERSION:
            raise BadEnvironment(detail=f"Node {node.name} speaks protocol {answer.protocol}, "
                                        f"{PROTOCOL_VERSION} is needed")
        view.warn("Setting a node online again without a re-add: gnt-node add --readd is the safe way, it renews "
                  "certificates and files")

    def _promoted(self, config: Config, node: Node, after: Node) -> tuple[Node, ...]:
        if not node.master_candidate or after.master_candidate:
            return ()
        nodes = [after if other.uuid == node.uuid else other for other in config.nodes.values()]
        missing = pool.short_by(nodes, config.cluster.candidate_pool_size)
        if missing and not self.op.auto_promote:
            raise WrongState(detail=f"Not enough master candidates, there would be {missing} too few; use "
                                    "--auto-promote to let other nodes take over")
        return pool.to_promote(nodes, config.cluster.candidate_pool_size, without=frozenset({node.uuid}))

    def plan(self, seen: Change) -> Plan:
        old = {name: codec.encode(getattr(seen.before, name)) for name in OWN}
        new = {name: codec.encode(getattr(seen.after, name)) for name in OWN}
        changed = {name: value for name, value in new.items() if value != old[name]}
        result = [[name, value] for name in ("master_capable", "vm_capable", "secondary_ip")
                  if (value := getattr(self.op, name)) is not None]
        result += [[name, new[name]] for name in ROLE_FLAGS if name in changed]
        if not changed:
            return Plan(result=result)
        actions: list[Action] = [Update(table="nodes", uuid=seen.before.uuid, fields=changed)]
        undos: list[Action] = [Update(table="nodes", uuid=seen.before.uuid,
                                      fields={name: old[name] for name in changed})]
        for other in seen.promoted:
            actions.append(Update(table="nodes", uuid=other.uuid, fields={"master_candidate": True}))
            undos.append(Update(table="nodes", uuid=other.uuid, fields={"master_candidate": False}))
        for disk, later in seen.mirrors:
            actions.append(Update(table="disks", uuid=disk.uuid, fields={"drbd": codec.encode(later.drbd)}))
            undos.append(Update(table="disks", uuid=disk.uuid, fields={"drbd": codec.encode(disk.drbd)}))
        if seen.certs != seen.certs_before:
            actions.append(Update(table="cluster", uuid=seen.cluster, fields={"candidate_certs": seen.certs}))
            undos.append(Update(table="cluster", uuid=seen.cluster, fields={"candidate_certs": seen.certs_before}))
        step = Step(title="", action=Several(actions=actions), undo=Several(actions=undos))
        return Plan(steps=(step,), result=result)

    def hooks(self, seen: Change) -> Hooks:
        nodes = tuple(dict.fromkeys((seen.master, seen.before.uuid)))
        env = {name.upper(): str(getattr(self.op, name)) for name in (*ROLE_FLAGS, "master_capable", "vm_capable")}
        return Hooks(path="node-modify", object_type="NODE", target=seen.before.name, env=env, pre_nodes=nodes,
                     post_nodes=nodes)


def _mirrors(config: Config, node: Node, after: Node) -> tuple[tuple[Disk, Disk], ...]:
    found = []
    for disk in config.disks_on(node.uuid):
        if disk.drbd is not None:
            ends = tuple(dataclasses.replace(end, address=mirror.address(after)) if end.node == node.uuid else end
                         for end in disk.drbd.ends)
            found.append((disk, dataclasses.replace(disk, drbd=dataclasses.replace(disk.drbd, ends=ends))))
    return tuple(found)
