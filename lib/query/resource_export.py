# SPDX-License-Identifier: BSD-2-Clause
"""The exports on the nodes as queries show them.

This release makes none, so nodes are not asked: one that is offline says that it cannot tell, the others
have no row.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from gantry.query.fields import OFFLINE, Field, Kind, sort_key
from gantry.query.world import Resource, World, table

NODES = "nodes"


class ExportRow(NamedTuple):
    node: str
    export: Any


FIELDS = (
    Field("export", "Export", Kind.TEXT, "Folder of the export", attrgetter("export"), NODES),
    Field("node", "Node", Kind.TEXT, "Node that holds it", attrgetter("node"), NODES, host=True),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[ExportRow]:
    config = world.config
    nodes = ([config.node(str(name)) for name in names] if names is not None
             else sorted(config.nodes.values(), key=lambda node: sort_key(node.name)))
    return [ExportRow(node.name, OFFLINE) for node in nodes if node.offline]


RESOURCE: Resource[ExportRow] = Resource("export", "node", table(FIELDS), rows)
