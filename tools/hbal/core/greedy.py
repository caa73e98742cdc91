# SPDX-License-Identifier: BSD-2-Clause
"""The search that operators know: each round takes the one move that lowers the score most."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hbal.core import exact
from hbal.core.arrays import State
from hbal.core.delta import Block, Candidates
from hbal.core.moves import PER_TARGET, Kind, Move, Restrictions, Step, placement
from hbal.core.score import optimum, score

TIE = 1e-7
"""Candidates nearer than this are compared by their full scores."""
MOST_TIES = 64

PLACES = np.array([kind - 1 for kind in PER_TARGET])
"""Where each plane of a block stands among the kinds tried for a target."""


@dataclass(frozen=True, slots=True)
class Stop:
    """When the search ends."""

    min_score: float = 1e-9
    """Above the optimum."""
    min_gain: float = 0.01
    min_gain_limit: float = 0.1
    max_length: int = -1
    """Negative: no limit."""

    def good_enough(self, value: float, least: float) -> bool:
        return value - least < self.min_score

    def worth_it(self, before: float, after: float) -> bool:
        return after < before and (before > self.min_gain_limit or before - after >= self.min_gain)


class Greedy:
    """Balances a state; `state` and `score` are those after the steps taken so far."""

    def __init__(self, state: State, rules: Restrictions, stop: Stop) -> None:
        self.state, self.rules, self.stop = state.copy(), rules, stop
        self.score = score(state)
        self.optimum = optimum(state)
        self.taken = 0

    def steps(self) -> Iterator[Step]:
        """Each step as soon as it is found."""
        search = Search(self.state, self.rules)
        while self.taken != self.stop.max_length and self.score - self.optimum > self.stop.min_score:
            found = search.best()
            if found is None:
                return
            move, after, value = found
            if not self.stop.worth_it(self.score, value):
                return
            old = (int(self.state.primary[move.instance]), int(self.state.secondary[move.instance]))
            new = placement(move, *old, self.state.count)
            search.take(after, {*old, *new})
            self.state, self.score = after, value
            self.taken += 1
            yield Step(move, old, new, value)


class Search:
    """Finds the best move of a round."""

    def __init__(self, state: State, rules: Restrictions) -> None:
        self.state = state
        self.candidates = Candidates(state, rules)

    def best(self) -> tuple[Move, State, float] | None:
        candidates = self.candidates
        if not len(candidates.rows) or not candidates.deviations.nodes_online:
            return None
        candidates.refresh()
        if not len(candidates.rows):
            return None
        block = candidates.block(candidates.rows)
        return exact.best(self.state, nearest(block, self.state))

    def take(self, after: State, touched: set[int]) -> None:
        """Go on from the state after the best move."""
        self.state.__dict__.update(after.__dict__)


def nearest(block: Block, state: State) -> list[Move]:
    """The candidates that may be the best of a block, in the order of search."""
    least = min(float(block.failover.min()), float(block.per_target.min()))
    if not np.isfinite(least):
        return []
    return moves_below(block, state, least + TIE)[:MOST_TIES]


def moves_below(block: Block, state: State, limit: float) -> list[Move]:
    """All candidates that change the score by at most `limit`, in the order of search."""
    keys: list[tuple[int, int, int]] = [(int(block.rows[row]), -1, -1)
                                        for row in np.flatnonzero(block.failover <= limit)]
    for plane, row, column in zip(*np.nonzero(block.per_target <= limit), strict=True):
        target = int(column) if block.columns is None else int(block.columns[column])
        keys.append((int(block.rows[row]), target, int(PLACES[plane])))
    return [named(state, *key) for key in sorted(keys)]


def named(state: State, instance: int, target: int, place: int) -> Move:
    if target < 0:
        return Move(instance, Kind.FAILOVER, -1)
    kind = Kind(place + 1)
    if not state.amounts.drbd[instance]:
        kind = Kind.FAILOVER_ANY
    return Move(instance, kind, target)



