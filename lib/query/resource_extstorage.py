# SPDX-License-Identifier: BSD-2-Clause
"""The providers of external storage on the nodes as queries show them; only jobs ask for them."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

from gantry.config.config import Config
from gantry.errors import NotFound
from gantry.objects.node import ExtProvider
from gantry.query.fields import Field, Kind, sort_key
from gantry.query.world import Resource, World, table
from gantry.rpc import calls

O = Kind.OTHER  # noqa: E741  (for other)
NODES = "nodes"


class ProviderRow:
    """`found`: the providers of this name by node (UUID); nodes that answered and have none have an empty list."""

    def __init__(self, name: str, found: Mapping[str, Sequence[ExtProvider]], config: Config) -> None:
        self.name = name
        self.found = found
        self.config = config

    @property
    def node_status(self) -> dict[str, list[list[Any]]]:
        return {self.config.nodes[node].name: [
            [item.path, not item.problem, item.problem, [list(pair) for pair in item.parameters]] for item in providers]
            for node, providers in self.found.items()}

    @property
    def nodegroup_status(self) -> dict[str, bool]:
        """A group can use it when each of its nodes can, with the same parameters."""
        status = {}
        for group in sorted(self.config.groups.values(), key=lambda group: sort_key(group.name)):
            members = [self.found[node.uuid] for node in self.config.members_of(group.uuid) if node.uuid in self.found]
            status[group.name] = bool(members) and all(found and not found[0].problem for found in members) and \
                len({frozenset(found[0].parameters) for found in members}) == 1
        return status

    @cached_property
    def parameters(self) -> list[list[str]]:
        """Those that it has on all nodes that have it."""
        first, *others = [found[0].parameters for found in self.found.values() if found] or [()]
        return [list(pair) for pair in first if all(pair in other for other in others)]


FIELDS = (
    Field("name", "Name", Kind.TEXT, "Its name", attrgetter("name")),
    Field("node_status", "NodeStatus", O, "What was found on each node", attrgetter("node_status"), NODES),
    Field("nodegroup_status", "NodegroupStatus", O, "Whether each node group can use it",
          attrgetter("nodegroup_status"), NODES),
    Field("parameters", "Parameters", O, "Parameters that it takes, as [name, help]", attrgetter("parameters"), NODES),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[ProviderRow]:
    """One row for each name that any node has.  Nodes that do not answer are left out of account."""
    nodes = sorted((node for node in world.config.online_nodes() if node.vm_capable),
                   key=lambda node: sort_key(node.name))
    answers = await world.live.ask(calls.extstorage_list, {node.uuid: {} for node in nodes})
    lists = {node.uuid: answers[node.uuid] for node in nodes if not isinstance(answers[node.uuid], Exception)}
    known = {item.name for providers in lists.values() for item in providers}
    for name in names or ():
        if name not in known:
            raise NotFound(kind="storage provider", name=name)
    return [ProviderRow(name, {node: [item for item in providers if item.name == name]
                               for node, providers in lists.items()}, world.config)
            for name in (names if names is not None else sorted(known, key=sort_key))]


RESOURCE: Resource[ProviderRow] = Resource("extstorage", "name", table(FIELDS), rows, over_luxi=False)
