# SPDX-License-Identifier: BSD-2-Clause
"""Tables of tags: which instance has which exclusion tag and desired location, which node is where, and which nodes
may migrate to which.  All tables are None when no tag of the kind is in play, so that ordinary clusters pay nothing.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hbal.model import Instance, Node

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Tags(NamedTuple):
    exclusion: Floats | None
    """Instance x exclusion tag, 0 or 1."""
    location: Floats | None
    """Node x location tag, 0 or 1; the last row (no node) is empty."""
    shared: Floats | None
    """Node x node: number of location tags in common."""
    lacking: Floats | None
    """Instance x node: desired locations that the node lacks (its part of the location score as a primary)."""
    migration: Bools | None
    """From x to: whether a migration is allowed."""

    @property
    def located(self) -> bool:
        """Whether the location score can be other than 0."""
        return self.shared is not None or self.lacking is not None

    @property
    def exclusive_locations(self) -> bool:
        """Whether the location-exclusion score can be other than 0."""
        return self.exclusion is not None and self.location is not None


def tables(nodes: Sequence[Node], partners: Sequence[Node], instances: Sequence[Instance]) -> Tags:
    """Tables for `nodes`, then the row "no node", then `partners` (nodes of other groups)."""
    places = [*(node.location_tags for node in nodes), frozenset[str](), *(node.location_tags for node in partners)]
    location = membership(places)
    wishes = [one.desired_locations for one in instances]
    lacking = None
    if any(wishes):
        names = sorted(set().union(*wishes))
        wanted = membership(wishes, names)
        there = membership(places, names)
        if wanted is not None:
            lacking = wanted.sum(axis=1)[:, None] - (0.0 if there is None else wanted @ there.T)
    return Tags(
        exclusion=membership([one.exclusion_tags for one in instances]),
        location=location, shared=None if location is None else location @ location.T,
        lacking=lacking, migration=migrations(nodes))


def membership(sets: Sequence[Iterable[str]], names: Sequence[str] | None = None) -> Floats | None:
    """One row a set, one column a name (all that occur, where not given); None without any."""
    known = sorted({name for one in sets for name in one}) if names is None else list(names)
    if not known:
        return None
    column = {name: index for index, name in enumerate(known)}
    table = np.zeros((len(sets), len(known)))
    for row, one in enumerate(sets):
        for name in one:
            if name in column:
                table[row, column[name]] = 1.0
    return table


def migrations(nodes: Sequence[Node]) -> Bools | None:
    """Allowed where the target receives all migration tags of the source; None when all is allowed."""
    if not any(node.migration_tags for node in nodes):
        return None
    classes: dict[tuple[frozenset[str], frozenset[str]], int] = {}
    kind = [classes.setdefault((node.migration_tags, node.receives), len(classes)) for node in nodes]
    allowed = np.array([[source[0] <= target[1] for target in classes] for source in classes], dtype=np.bool_)
    table = np.ones((len(nodes) + 1, len(nodes) + 1), dtype=np.bool_)
    table[:-1, :-1] = allowed[np.ix_(kind, kind)]
    return table
