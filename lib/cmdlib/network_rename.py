# SPDX-License-Identifier: BSD-2-Clause
"""OP_NETWORK_RENAME: rename a network."""

from dataclasses import dataclass

from gantry.cmdlib import network_pool
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import AlreadyExists
from gantry.objects.cluster import Network
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.network import NetworkRename


@dataclass(frozen=True)
class Old:
    network: Network
    hooks: Hooks


class NetworkRenameUnit(LogicalUnit[NetworkRename, Old], op=NetworkRename):
    """Result: the new name."""

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"network": frozenset({view.config.network(self.op.network_name).uuid})})

    async def check(self, view: View) -> Old:
        config = view.config
        network = config.network(self.op.network_name)
        if config.name_taken("networks", self.op.new_name):
            raise AlreadyExists(kind="Network", name=self.op.new_name)
        nodes = tuple(dict.fromkeys((config.cluster.master_node, *(
            node.uuid for group in network_pool.connected(config, network) for node in config.members_of(group.uuid)))))
        hooks = Hooks(path="network-rename", object_type="NETWORK", target=network.name, pre_nodes=nodes,
                      post_nodes=nodes, env={"OLD_NAME": network.name, "NEW_NAME": self.op.new_name})
        return Old(network, hooks)

    def plan(self, seen: Old) -> Plan:
        network = seen.network
        step = Step(title="", action=Update(table="networks", uuid=network.uuid, fields={"name": self.op.new_name}),
                    undo=Update(table="networks", uuid=network.uuid, fields={"name": network.name}))
        return Plan(steps=(step,), result=self.op.new_name, reserves=(("network", self.op.new_name),))

    def hooks(self, seen: Old) -> Hooks:
        return seen.hooks
