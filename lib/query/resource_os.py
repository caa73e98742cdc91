# SPDX-License-Identifier: BSD-2-Clause
"""The OS definitions on the nodes as queries show them; only jobs ask for them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

from gantry.errors import NotFound
from gantry.objects.base import Params
from gantry.objects.cluster import Cluster
from gantry.objects.node import OsDefinition
from gantry.query.fields import Field, Kind, sort_key
from gantry.query.world import Resource, World, table
from gantry.rpc import calls

NODES = "nodes"


class OsRow:
    """`found`: the definitions of this name by node name; nodes that answered and have none have an empty list."""

    def __init__(self, name: str, found: Mapping[str, Sequence[OsDefinition]], cluster: Cluster) -> None:
        self.name = name
        self.found = found
        self.cluster = cluster

    @cached_property
    def first(self) -> list[OsDefinition]:
        """The definition that each node uses: the first on its search path."""
        return [definitions[0] for definitions in self.found.values() if definitions]

    @property
    def valid(self) -> bool:
        return (len(self.first) == len(self.found) and not any(item.problem for item in self.first)
                and all(_known(item) for item in self.first))

    @cached_property
    def variants(self) -> list[str]:
        return _common(item.variants for item in self.first)

    def by_variant(self, levels: Mapping[str, Any]) -> dict[str, Params]:
        """Parameters of the OS and of its variants, where there are any."""
        wanted = [self.name, *(f"{self.name}+{variant}" for variant in self.variants)]
        return {name: levels[name] for name in wanted if name in levels}


def _known(item: OsDefinition) -> bool:
    return bool(item.api_versions)


def _common(lists: Iterable[Iterable[Any]]) -> list[Any]:
    """What is in all of the lists, in the order of the first."""
    first, *others = [list(items) for items in lists] or [[]]
    return [item for item in first if all(item in other for other in others)]


def _node_status(row: OsRow) -> dict[str, list[list[Any]]]:
    return {node: [[item.path, not item.problem, item.problem, list(item.variants),
                    [list(pair) for pair in item.parameters], list(item.api_versions), item.trusted]
                   for item in definitions]
            for node, definitions in row.found.items()}


O = Kind.OTHER  # noqa: E741  (for other)

FIELDS = (
    Field("name", "Name", Kind.TEXT, "Its name", attrgetter("name")),
    Field("api_versions", "ApiVersions", O, "Versions of the interface that it has on all nodes",
          lambda row: sorted(_common(item.api_versions for item in row.first)), NODES),
    Field("blacklisted", "Blacklisted", Kind.BOOL, "Whether it must not be used",
          lambda row: row.name in row.cluster.blacklisted_os),
    Field("hidden", "Hidden", Kind.BOOL, "Whether lists leave it out", lambda row: row.name in row.cluster.hidden_os),
    Field("node_status", "NodeStatus", O, "What was found on each node", _node_status, NODES),
    Field("os_hvp", "OsHypervisorParams", O, "Hypervisor parameters of the OS and its variants",
          lambda row: row.by_variant(row.cluster.os_hvp)),
    Field("osparams", "OsParameters", O, "Public parameters of the OS and its variants",
          lambda row: row.by_variant(row.cluster.osparams)),
    Field("parameters", "Parameters", O, "Parameters that it takes, as [name, help]",
          lambda row: [list(pair) for pair in _common(item.parameters for item in row.first)], NODES),
    Field("trusted", "Trusted", Kind.BOOL, "Whether its scripts run on the node itself",
          lambda row: all(item.trusted for item in row.first), NODES),
    Field("valid", "Valid", Kind.BOOL, "Whether all nodes can use it", attrgetter("valid"), NODES),
    Field("variants", "Variants", O, "Variants that it has on all nodes", attrgetter("variants"), NODES),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[OsRow]:
    """One row for each name that any node has.  Nodes that do not answer are left out of account."""
    nodes = sorted((node for node in world.config.online_nodes() if node.vm_capable),
                   key=lambda node: sort_key(node.name))
    answers = await world.live.ask(calls.os_list, {node.uuid: {} for node in nodes})
    lists = {node.name: answers[node.uuid] for node in nodes if not isinstance(answers[node.uuid], Exception)}
    known = {item.name for definitions in lists.values() for item in definitions}
    for name in names or ():
        if name not in known:
            raise NotFound(kind="OS", name=name)
    return [OsRow(name, {node: [item for item in definitions if item.name == name]
                         for node, definitions in lists.items()}, world.config.cluster)
            for name in (names if names is not None else sorted(known, key=sort_key))]


RESOURCE: Resource[OsRow] = Resource("os", "name", table(FIELDS), rows, over_luxi=False)
