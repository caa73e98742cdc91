# SPDX-License-Identifier: BSD-2-Clause
"""The kinds of moves: what each makes of an instance's nodes, how it is written, and which kinds may be tried."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from hbal.core.arrays import State
from hbal.core.instances import Bools


class Kind(IntEnum):
    """In the order in which they are tried for a target; FAILOVER comes before all targets."""

    FAILOVER = 0
    """f: primary and secondary change places."""
    REPLACE = 1
    """r:t: a new secondary."""
    REPLACE_FAILOVER = 2
    """r:t f: the target becomes primary, the primary secondary."""
    FAILOVER_REPLACE_FAILOVER = 3
    """f r:t f: a new primary."""
    FAILOVER_REPLACE = 4
    """f r:t: the secondary becomes primary, the target secondary."""
    FAILOVER_ANY = 5
    """fa:t: a new primary for an instance on external storage."""


PER_TARGET = (Kind.REPLACE, Kind.FAILOVER_REPLACE, Kind.REPLACE_FAILOVER, Kind.FAILOVER_REPLACE_FAILOVER)
"""The planes of the arrays that hold candidates: first those that leave the target secondary."""
ORDER = {kind: place for place, kind in enumerate(PER_TARGET)}


class Move(NamedTuple):
    """What to do with one instance (local indices); `target` is -1 for a plain failover."""

    instance: int
    kind: Kind
    target: int


class Step(NamedTuple):
    """A move as it was made: the places before and after it, and the score after it."""

    move: Move
    old: tuple[int, int]
    new: tuple[int, int]
    score: float

    @property
    def nodes(self) -> frozenset[int]:
        if self.move.kind is Kind.FAILOVER_ANY:
            return frozenset((self.old[0], self.new[0]))
        return frozenset((*self.old, *self.new))


class Restrictions(NamedTuple):
    """What the operator allows."""

    disk_moves: bool = True
    instance_moves: bool = True
    restricted_migration: bool = False
    evacuate: bool = False
    """Only instances with a node that is offline."""
    ignore_soft_errors: bool = False


def placement(move: Move, primary: int, secondary: int, nowhere: int) -> tuple[int, int]:
    """New primary and secondary; `nowhere` is the index that means no node."""
    target = move.target
    match move.kind:
        case Kind.FAILOVER:
            return secondary, primary
        case Kind.REPLACE:
            return primary, target
        case Kind.REPLACE_FAILOVER:
            return target, primary
        case Kind.FAILOVER_REPLACE_FAILOVER:
            return target, secondary
        case Kind.FAILOVER_REPLACE:
            return secondary, target
        case Kind.FAILOVER_ANY:
            return target, nowhere


def make(state: State, move: Move) -> tuple[tuple[int, int], tuple[int, int]]:
    """Change the state; returns the places before and after."""
    old = (int(state.primary[move.instance]), int(state.secondary[move.instance]))
    new = placement(move, *old, state.count)
    state.move(move.instance, *new)
    return old, new


def written(move: Move, name: str) -> str:
    """The move as the list of steps shows it; `name` is that of the target."""
    return {
        Kind.FAILOVER: "f",
        Kind.REPLACE: f"r:{name}",
        Kind.REPLACE_FAILOVER: f"r:{name} f",
        Kind.FAILOVER_REPLACE_FAILOVER: f"f r:{name} f",
        Kind.FAILOVER_REPLACE: f"f r:{name}",
        Kind.FAILOVER_ANY: f"fa:{name}",
    }[move.kind]


class Allowed(NamedTuple):
    """Which kinds may be tried for which instance (all instances of the state)."""

    failover: Bools
    per_target: Bools
    """Four rows in the order of PER_TARGET; FAILOVER_ANY shares the last one."""

    @property
    def instances(self) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """Those that may move at all, in order."""
        return np.flatnonzero(self.failover | self.per_target.any(axis=0))


def allowed(state: State, rules: Restrictions) -> Allowed:
    amounts, online = state.amounts, state.limits.online
    inside = (state.primary < state.count) & (state.secondary <= state.count)
    primary_off = inside & ~online[np.where(inside, state.primary, 0)]
    secondary_off = inside & amounts.drbd & ~online[np.where(inside, state.secondary, 0)]
    candidate = amounts.movable & inside
    if rules.evacuate:
        candidate = candidate & (primary_off | secondary_off)
    usable = ~secondary_off & rules.instance_moves
    drbd = candidate & amounts.drbd
    disks = drbd & rules.disk_moves
    narrow = np.full(amounts.number, not rules.instance_moves)
    if rules.restricted_migration:
        narrow = narrow | ~primary_off
    wide = disks & ~narrow
    external = candidate & amounts.external & ~amounts.drbd & rules.instance_moves
    return Allowed(
        failover=drbd & usable,
        per_target=np.array([
            disks,
            wide & usable,
            wide,
            external | (wide & usable & (not rules.restricted_migration)),
        ]))
