# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_RENAME: give the cluster another name, and the address that the name has."""

import asyncio
import dataclasses
from dataclasses import dataclass

from gantry.cmdlib import master_ip
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import NotUnique, WrongInput
from gantry.objects.cluster import Cluster
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.cluster import ClusterRename
from gantry.utils.names import is_host_name
from gantry.utils.resolver import resolve


@dataclass(frozen=True)
class Change:
    before: Cluster
    after: Cluster
    nodes: tuple[str, ...]


class ClusterRenameUnit(LogicalUnit[ClusterRename, Change], op=ClusterRename):
    """Result: the new name."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive_cluster=True)

    async def check(self, view: View) -> Change:
        cluster = view.config.cluster
        if not is_host_name(self.op.name):
            raise WrongInput(detail=f"Cluster name '{self.op.name}' is not a valid host name")
        name, address = await asyncio.to_thread(resolve, self.op.name)
        if (name, address) == (cluster.name, cluster.master_ip):
            raise WrongInput(detail=f"Neither the name nor the IP address of the cluster has changed: {name} is "
                                    f"{address}")
        if address != cluster.master_ip:
            await self._check_free(view.config, address)
        return Change(cluster, dataclasses.replace(cluster, name=name, master_ip=address),
                      tuple(node.uuid for node in view.config.online_nodes()))

    async def _check_free(self, config: Config, address: str) -> None:
        for node in config.nodes.values():
            if address in (node.primary_ip, node.secondary_ip):
                raise NotUnique(detail=f"The new cluster address {address} is that of node {node.name}")
        if await master_ip.answers(address):
            raise NotUnique(detail=f"The new cluster address {address} is reachable on the network already: another "
                                   "host has it")

    def plan(self, seen: Change) -> Plan:
        old, new = seen.before, seen.after
        record = Step(title=f"renaming cluster {old.name} to {new.name}",
                      action=_called(new), undo=_called(old))
        steps = (record,) if old.master_ip == new.master_ip else (
            Step(title=f"taking the cluster address {old.master_ip} down", action=master_ip.stop(old),
                 undo=master_ip.start(old), weight=0.5),
            record,
            Step(title=f"bringing the cluster address {new.master_ip} up", action=master_ip.start(new),
                 undo=master_ip.stop(new), weight=1.0))
        return Plan(steps=steps, result=new.name)

    def hooks(self, seen: Change) -> Hooks:
        return Hooks(path="cluster-rename", object_type="CLUSTER", target=seen.before.name,
                     env={"NEW_NAME": seen.after.name}, pre_nodes=(seen.before.master_node,), post_nodes=seen.nodes)


def _called(cluster: Cluster) -> Update:
    return Update(table="cluster", uuid=cluster.uuid, fields={"name": cluster.name, "master_ip": cluster.master_ip})
