# SPDX-License-Identifier: BSD-2-Clause
"""What the nodes know about instances: where they run, and how to reach their consoles."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from gantry.constants import SHARED_TEMPLATES
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, Instance
from gantry.objects.vm import VmStatus
from gantry.query.world import World
from gantry.rpc import calls

STATE, CONSOLE, MIRRORS = "state", "console", "mirrors"
"""What fields need; a console needs the state as well."""


class LiveRow(Protocol):
    """The part of an instance's row that is filled in here."""

    item: Instance
    guests: dict[str, VmStatus]
    unreachable: bool
    console_answer: Any
    mirrors: list[Any]

    @property
    def disks(self) -> tuple[Disk, ...]: ...
    @property
    def pnode(self) -> Node: ...
    @property
    def guest(self) -> VmStatus | None: ...


async def locate(world: World, rows: Sequence[LiveRow]) -> None:
    """Fill in `guests` and `unreachable`."""
    config = world.config
    hypervisors = list(config.cluster.enabled_hypervisors)
    answers = await world.live.ask(calls.instances_info, {
        uuid: {"hypervisors": hypervisors} for uuid in _where_to_look(world, [row.item for row in rows])})
    seen: dict[str, dict[str, VmStatus]] = {}
    for node, answer in answers.items():
        if not isinstance(answer, Exception):
            for vm in answer:
                seen.setdefault(vm.uuid, {})[node] = vm
    for row in rows:
        row.guests = seen.get(row.item.uuid, {})
        row.unreachable = isinstance(answers.get(row.item.primary_node), Exception)


async def pulse(world: World) -> list[Any]:
    """What all nodes say about their guests, in the order of the configuration; what `locate` asks soon after costs
    nothing more.  The answers are the same objects for as long as they may be used again.
    """
    hypervisors = list(world.config.cluster.enabled_hypervisors)
    nodes = [node.uuid for node in world.config.nodes.values() if node.vm_capable and not node.offline]
    answers = await world.live.ask(calls.instances_info, {uuid: {"hypervisors": hypervisors} for uuid in nodes})
    return [answers[uuid] for uuid in nodes]


def _where_to_look(world: World, instances: Iterable[Instance]) -> set[str]:
    """UUIDs of the nodes on which these instances run or may have been left running."""
    config = world.config
    wanted: set[str] = set()
    groups: set[str] = set()
    for instance in instances:
        wanted.add(instance.primary_node)
        wanted.update(config.secondaries_of(instance))
        if instance.disk_template in SHARED_TEMPLATES:
            groups.add(config.nodes[instance.primary_node].group)
    wanted.update(node.uuid for node in config.nodes.values() if node.group in groups and node.vm_capable)
    return {uuid for uuid in wanted if not config.nodes[uuid].offline}


async def consoles(world: World, rows: Sequence[LiveRow]) -> None:
    """Fill in `console_answer` of running instances."""
    args = {}
    for row in rows:
        node = next(uuid for uuid, vm in row.guests.items() if vm is row.guest)
        args[node, row.item.uuid] = {
            "instance": row.item.uuid, "hypervisor": row.item.hypervisor, "name": row.item.name,
            "host": world.config.nodes[node].name}
    answers = await world.live.ask_each(calls.instance_console, args)
    by_instance = {instance: answer for (_, instance), answer in answers.items()}
    for row in rows:
        row.console_answer = by_instance[row.item.uuid]


async def mirrors(world: World, rows: Sequence[LiveRow]) -> None:
    """Fill in `mirrors` from what the primary nodes say of mirrored disks; None for what nobody says."""
    wanted: dict[str, list[Disk]] = {}
    for row in rows:
        if not row.pnode.offline:
            wanted.setdefault(row.item.primary_node, []).extend(disk for disk in row.disks if disk.drbd is not None)
    answers = await world.live.ask(calls.disks_status, {
        node: {"disks": disks} for node, disks in wanted.items() if disks})
    seen: dict[str, Any] = {}
    for node, answer in answers.items():
        if not isinstance(answer, Exception):
            seen.update(zip((disk.uuid for disk in wanted[node]), answer, strict=True))
    for row in rows:
        row.mirrors = [seen.get(disk.uuid) for disk in row.disks]
