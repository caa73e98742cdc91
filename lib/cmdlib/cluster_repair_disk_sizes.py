# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_REPAIR_DISK_SIZES: record the sizes that disks really have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gantry.cmdlib import disk_look
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
        config, instances = view.config, self._instances(view.config)
        nodes = {node for instance in instances for node in (instance.primary_node, *config.secondaries_of(instance))}
        return Locks(exclusive={"instance": frozenset(instance.name for instance in instances)},
                     shared={"node-res": frozenset(nodes)})

    def _instances(self, config: Config) -> list[Instance]:
        if self.op.instances:
            return [config.instance(name) for name in self.op.instances]
        return sorted(config.instances.values(), key=lambda instance: instance.name)

    async def check(self, view: View) -> tuple[Wrong, ...]:
        config, instances = view.config, self._instances(view.config)
        sizes: dict[str, dict[str, int]] = {}
        for uuid, owned in disk_look.by_node(config, instances).items():
            node = config.nodes[uuid]
            if node.offline:
                names = dict.fromkeys(instance.name for instance, _ in owned)
                view.warn(f"node {node.name} is offline, the disks of {', '.join(names)} cannot be measured")
                continue
            try:
                await _measure(view, uuid, owned, sizes)
            except Error as err:
                view.warn(f"node {node.name} did not measure its disks: {err}")
        return tuple(wrong for instance in instances for wrong in _wrong(view, instance, sizes))

    def plan(self, seen: tuple[Wrong, ...]) -> Plan:
        steps = [Step(title=f"correcting the size of disk/{item.index} of instance {item.instance}: recorded "
                            f"{item.disk.size} MiB, actual {item.actual} MiB",
                      action=Update(table="disks", uuid=item.disk.uuid, fields={"size": item.actual}),
                      undo=Update(table="disks", uuid=item.disk.uuid, fields={"size": item.disk.size}))
                 for item in seen]
        return Plan(steps=tuple(steps), result=[[item.instance, item.index, "size", item.actual] for item in seen])


async def _measure(view: View, node: str, owned: disk_look.Owned, sizes: dict[str, dict[str, int]]) -> None:
    """Add to `sizes`, MiB by disk (UUID) and node."""
    states = await view.nodes.call(node, calls.disks_status, disks=[disk for _, disk in owned])
    for (instance, disk), state in zip(owned, states, strict=True):
        if state["exists"]:
            sizes.setdefault(disk.uuid, {})[node] = state["size"]
        else:
            index = instance.disks.index(disk.uuid)
            view.warn(f"disk/{index} of instance {instance.name} is missing on node {view.config.nodes[node].name}")


def _wrong(view: View, instance: Instance, sizes: Mapping[str, Mapping[str, int]]) -> Iterator[Wrong]:
    """Disks that have one size, which is not the recorded one."""
    for index, disk in enumerate(view.config.disks_of(instance)):
        found = sizes.get(disk.uuid, {})
        if len(set(found.values())) > 1:
            shown = " and ".join(f"{size} MiB on node {view.config.nodes[node].name}" for node, size in found.items())
            view.warn(f"disk/{index} of instance {instance.name} has {shown}; its record is left as it is, "
                      "gnt-instance grow-disk makes both ends alike")
        elif found and set(found.values()) != {disk.size}:
            yield Wrong(instance=instance.name, index=index, disk=disk, actual=next(iter(found.values())))
