# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_QUERY_DATA: everything about instances, for `gnt-instance info` and RAPI."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.objects.instance import Instance
from gantry.objects.plan import Plan
from gantry.opcodes.instance import InstanceQueryData
from gantry.query import info


class InstanceQueryDataUnit(LogicalUnit[InstanceQueryData, dict[str, Any]], op=InstanceQueryData):
    """Nothing is changed.  Without `static`, the nodes of the instances are asked as well."""

    def locks(self, view: View) -> Locks:
        if self.op.static or not self.op.use_locking:
            return Locks()
        config, found = view.config, self._chosen(view.config)
        nodes = {node for instance in found for node in (instance.primary_node, *config.secondaries_of(instance))}
        networks = {nic.network for instance in found for nic in instance.nics if nic.network}
        return Locks(shared={
            "instance": frozenset(instance.name for instance in found), "node": frozenset(nodes),
            "nodegroup": frozenset(config.nodes[node].group for node in nodes), "network": frozenset(networks)})

    def _chosen(self, config: Config) -> list[Instance]:
        if self.op.instances:
            return [config.instance(name) for name in self.op.instances]
        return list(config.instances.values())

    async def check(self, view: View) -> dict[str, Any]:
        return await info.instance_info(view.config, view.nodes, self.op.instances, static=self.op.static,
                                        warn=view.warn)

    def plan(self, seen: dict[str, Any]) -> Plan:
        return Plan(result=seen)
