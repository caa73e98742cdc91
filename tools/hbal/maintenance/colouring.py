# SPDX-License-Identifier: BSD-2-Clause
"""Which nodes must not be down together, and colours for them: nodes of one colour may.

Three ways to colour are tried; each takes vertices in its own order and gives each the smallest colour that none of
its neighbours has.  The way with the fewest colours wins.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from hbal.model import NO_NODE, ClusterData

Graph = dict[int, list[int]]
"""By node its neighbours; several times where several instances join them, itself where a secondary does."""


def graph(data: ClusterData, nodes: Collection[int], *, offline_maintenance: bool) -> Graph:
    """The graph over the nodes: DRBD pairs, and unless guests are shut down also primaries that share a secondary."""
    found: Graph = {node: [] for node in sorted(nodes)}
    joined: set[tuple[int, int]] = set()
    sharing: dict[int, set[int]] = {}
    for instance in data.instances:
        one, other = instance.primary, instance.secondary
        if other == NO_NODE:
            continue
        if not instance.forthcoming:  # for those that are only to come nothing is reserved
            sharing.setdefault(other, set()).add(one)
        joined.add((one, other))
        joined.add((other, one))
        if one in found and other in found:
            found[one].append(other)
            found[other].append(one)
    if offline_maintenance:
        return found
    extra = {(one, other) for primaries in sharing.values() for one in primaries for other in primaries
             if one in found and other in found}
    for one, other in sorted(extra - joined):
        found[one].append(other)
    return found


Colours = dict[int, int]


class Way(NamedTuple):
    """One way to colour: its name, and how urgent a vertex is, given the colours so far."""

    name: str
    urgency: Callable[[Graph, Colours, int], tuple[int, ...]]


def _seen(graph: Graph, colours: Colours, node: int) -> list[int]:
    return [colours[other] for other in graph[node] if other in colours]


WAYS = (
    Way("LF", lambda graph, _colours, node: (len(graph[node]), node)),
    Way("Dsatur", lambda graph, colours, node: (len(set(_seen(graph, colours, node))), len(graph[node]), node)),
    Way("Dcolor", lambda graph, colours, node: (len(_seen(graph, colours, node)), len(graph[node]), node)),
)


def coloured(graph: Graph, way: Way) -> list[list[int]]:
    """The nodes by colour, each class in order."""
    colours: Colours = {}
    waiting = set(graph)
    while waiting:
        node = max(waiting, key=lambda one: way.urgency(graph, colours, one))
        waiting.remove(node)
        taken = set(_seen(graph, colours, node))
        colours[node] = next(colour for colour in range(len(graph) + 1) if colour not in taken)
    classes: list[list[int]] = [[] for _ in range(max(colours.values(), default=-1) + 1)]
    for node in sorted(colours):
        classes[colours[node]].append(node)
    return classes


def best(graph: Graph) -> tuple[list[list[int]], list[tuple[str, list[list[int]]]]]:
    """The classes of the best way, and those of every way by name."""
    tried = [(way.name, coloured(graph, way)) for way in WAYS]
    return min((classes for _, classes in tried), key=len), tried


def statistics(tried: Sequence[tuple[str, list[list[int]]]]) -> str:
    """The line that compares the ways, worst last: `LF: 3 (1,2,1) TIE Dsatur: ... LOOSE ...`."""
    order = sorted(reversed(tried), key=lambda item: len(item[1]))
    parts: list[str] = []
    for place, (name, classes) in enumerate(order):
        if place:
            parts.append("TIE" if len(classes) == len(order[place - 1][1]) else "LOOSE")
        parts.append(f"{name}: {len(classes)} ({','.join(str(len(one)) for one in classes)})")
    return " ".join(parts)
