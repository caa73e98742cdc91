# SPDX-License-Identifier: BSD-2-Clause
"""Levels, names and modes of locks, and the order in which they are taken.

A level's lockset stands above the locks of the level.  Who wants all of them takes the lockset (S or X);
who wants one says so at the lockset first (IS or IX).  So "all" includes what does not exist yet, and costs one lock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

LEVELS = ("cluster", "instance", "nodegroup", "node", "node-res", "network")
BGL = "BGL"
LOCKSET = "[lockset]"
ALL = frozenset({"*"})

_PLACE = {level: place for place, level in enumerate(LEVELS)}


class Mode(IntEnum):
    IS = 0
    IX = 1
    S = 2
    X = 3

    @property
    def word(self) -> str:
        return "exclusive" if self in (Mode.IX, Mode.X) else "shared"


CONFLICTS: dict[Mode, tuple[Mode, ...]] = {
    Mode.IS: (Mode.X,),
    Mode.IX: (Mode.S, Mode.X),
    Mode.S: (Mode.IX, Mode.X),
    Mode.X: (Mode.IS, Mode.IX, Mode.S, Mode.X),
}

Key = tuple[int, str]
"""(place of the level, name); the lockset's name is empty, so it comes first."""


def key_name(key: Key) -> str:
    """As lock queries show it: instance/web1, node/[lockset], cluster/BGL."""
    return f"{LEVELS[key[0]]}/{key[1] or LOCKSET}"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What one owner needs, by level: names, or ALL.  `opportunistic`: levels where only what is free now
    is taken (never ALL there).
    """

    shared: dict[str, frozenset[str]] = field(default_factory=dict)
    exclusive: dict[str, frozenset[str]] = field(default_factory=dict)
    opportunistic: frozenset[str] = frozenset()
    exclusive_cluster: bool = False

    def narrowed(self, held: Callable[[str], frozenset[str]]) -> "Wanted":
        """The same, with only the names that are `held` at the opportunistic levels."""
        def names(levels: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
            return {level: given & held(level) if level in self.opportunistic else given
                    for level, given in levels.items()}
        return Wanted(shared=names(self.shared), exclusive=names(self.exclusive),
                      exclusive_cluster=self.exclusive_cluster)

    def in_order(self) -> list[tuple[Key, Mode, bool]]:
        """(lock, mode, only if free now), in the order of acquisition."""
        found: list[tuple[Key, Mode, bool]] = [((0, BGL), Mode.X if self.exclusive_cluster else Mode.S, False)]
        found += [((0, name), Mode.X, False) for name in sorted(self.exclusive.get(LEVELS[0], frozenset()))]
        for level in LEVELS[1:]:
            found.extend(_level(level, self.shared.get(level, frozenset()), self.exclusive.get(level, frozenset()),
                                level in self.opportunistic))
        return found


def _level(level: str, shared: frozenset[str], exclusive: frozenset[str],
           opportunistic: bool) -> list[tuple[Key, Mode, bool]]:  # noqa: FBT001 - one of four facts of a level
    place = _PLACE[level]
    if not shared and not exclusive:
        return []
    if exclusive == ALL or (shared == ALL and exclusive):
        return [((place, ""), Mode.X, False)]
    if shared == ALL:
        return [((place, ""), Mode.S, False)]
    locks = [((place, ""), Mode.IX if exclusive else Mode.IS, False)]
    for name in sorted((shared | exclusive) - {""}):  # what has no name has no lock, it will be refused
        locks.append(((place, name), Mode.X if name in exclusive else Mode.S, opportunistic))
    return locks
