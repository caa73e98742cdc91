# SPDX-License-Identifier: BSD-2-Clause
"""The exports on the nodes as queries show them."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from gantry.query.fields import NODATA, OFFLINE, Field, Kind, sort_key
from gantry.query.world import Resource, World, table
from gantry.rpc import calls

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
    answers = await world.live.ask(calls.export_list, {node.uuid: {} for node in nodes if not node.offline})
    found: list[ExportRow] = []
    for node in nodes:
        answer = OFFLINE if node.offline else answers[node.uuid]
        if isinstance(answer, list):
            found += [ExportRow(node.name, name) for name in sorted(answer, key=sort_key)]
        else:
            found.append(ExportRow(node.name, OFFLINE if node.offline else NODATA))
    return found


RESOURCE: Resource[ExportRow] = Resource("export", "node", table(FIELDS), rows)
