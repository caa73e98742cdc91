# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_REPAIR_DISK_SIZES: record the sizes that disks really have."""

from dataclasses import dataclass

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import Error
from gantry.objects.instance import Disk, Instance
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.cluster import ClusterRepairDiskSizes
from gantry.rpc import calls


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """A disk that is recorded with another size (MiB) than it has."""

    instance: str
    index: int
    disk: Disk
    actual: int


class ClusterRepairDiskSizesUnit(LogicalUnit[ClusterRepairDiskSizes, tuple[Wrong, ...]], op=ClusterRepairDiskSizes):
    """Result: [[instance, disk index, "size", new value], ...].  Disks that cannot be looked at are left alone."""

    def locks(self, view: View) -> Locks:
        instances = self._instances(view.config)
        return Locks(exclusive={"instance": frozenset(instance.name for instance in instances)},
                     shared={"node-res": frozenset(instance.primary_node for instance in instances)})

    def _instances(self, config: Config) -> list[Instance]:
        if self.op.instances:
            return [config.instance(name) for name in self.op.instances]
        return sorted(config.instances.values(), key=lambda instance: instance.name)

    async def check(self, view: View) -> tuple[Wrong, ...]:
        by_node: dict[str, list[Instance]] = {}
        for instance in self._instances(view.config):
            by_node.setdefault(instance.primary_node, []).append(instance)
        wrong: list[Wrong] = []
        for uuid, instances in by_node.items():
            node = view.config.nodes[uuid]
            if node.offline:
                view.warn(f"node {node.name} is offline, the disks of "
                          f"{', '.join(item.name for item in instances)} cannot be measured")
                continue
            try:
                wrong += await _measure(view, uuid, instances)
            except Error as err:
                view.warn(f"node {node.name} did not measure its disks: {err}")
        return tuple(wrong)

    def plan(self, seen: tuple[Wrong, ...]) -> Plan:
        steps = [Step(title=f"correcting the size of disk/{item.index} of instance {item.instance}: recorded "
                            f"{item.disk.size} MiB, actual {item.actual} MiB",
                      action=Update(table="disks", uuid=item.disk.uuid, fields={"size": item.actual}),
                      undo=Update(table="disks", uuid=item.disk.uuid, fields={"size": item.disk.size}))
                 for item in seen]
        return Plan(steps=tuple(steps), result=[[item.instance, item.index, "size", item.actual] for item in seen])


async def _measure(view: View, node: str, instances: list[Instance]) -> list[Wrong]:
    owned = [(instance, index, disk) for instance in instances
             for index, disk in enumerate(view.config.disks_of(instance))]
    if not owned:
        return []
    states = await view.nodes.call(node, calls.disks_status, disks=[disk for _, _, disk in owned])
    wrong = []
    for (instance, index, disk), state in zip(owned, states, strict=True):
        if not state["exists"]:
            view.warn(f"disk/{index} of instance {instance.name} is missing on node {view.config.nodes[node].name}")
        elif state["size"] != disk.size:
            wrong.append(Wrong(instance=instance.name, index=index, disk=disk, actual=state["size"]))
    return wrong
