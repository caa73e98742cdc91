# SPDX-License-Identifier: BSD-2-Clause
"""The best move of each round, with no more evaluated than the last move can have changed.

An instance none of whose nodes a move touched has, for targets that it did not touch either, the same changes of
node values as before; only the deviations they are added to are others.  How much that can be worth at most is
known from the deviations alone.  So each instance keeps a lower bound of its best change, and in a round only those
are evaluated again that were touched or whose bound lies below the best move found.
"""

from collections.abc import Callable

import numpy as np

from hbal.core import exact
from hbal.core.arrays import State
from hbal.core.delta import Block, Candidates, Profile
from hbal.core.instances import Bools, Floats, Ints
from hbal.core.moves import PER_TARGET, Kind, Move, Restrictions, Step

TIE = 1e-7
"""Candidates nearer than this are compared by their full scores."""
MOST_TIES = 64
SMALL = 6000
"""Pairs of instance and target up to which a whole evaluation is as cheap as the bookkeeping."""
CHUNK = 250_000
"""Pairs of instance and target to evaluate at once."""
FIRST = 24
"""Instances evaluated with the touched ones, those with the lowest bounds."""
FEW = 16
"""Instances to begin with where many are to be evaluated."""

PLACES = np.array([kind - 1 for kind in PER_TARGET])
"""Where each plane of a block stands among the kinds tried for a target."""


class Rounds:
    """Finds the best move of a state and makes it, again and again."""

    def __init__(self, state: State, rules: Restrictions) -> None:
        self.state = state
        self.candidates = Candidates(state, rules)
        self.rows: Ints = self.candidates.rows
        self.whole = (len(self.rows) * state.count <= SMALL or self.candidates.sums.global_terms
                      or self.candidates.odd is not None)
        self.bounds: Floats = np.full(len(self.rows), np.inf)
        """Lowest change of each instance, or a bound of it, less `drift` as it was then."""
        self.drift = 0.0
        self.profile: Profile | None = None
        """Of the state that the bounds are from; None when there are none yet."""
        self.touched: Ints = np.empty(0, dtype=np.int64)
        self.blocks: list[Block] = []

    def step(self, worth: Callable[[float], bool]) -> Step | None:
        """Make the best move if the score after it is worth it; None when it is not and when nothing can be moved."""
        if not len(self.rows) or not self.candidates.deviations.nodes_online:
            return None
        self.survey()
        least = self._least()
        if not np.isfinite(least):
            return None
        keys = sorted(key for block in self.blocks for key in keys_below(block, least + TIE))
        made = exact.best(self.state, [named(self.state, *key) for key in keys[:MOST_TIES]])
        if not worth(made.score):
            made.undo()
            return None
        self.touched = np.array(sorted({*made.old, *made.new} - {self.state.count}), dtype=np.int64)
        return Step(made.move, made.old, made.new, made.score)

    def survey(self) -> None:
        """Leave in `blocks` what holds all moves that may be the best."""
        self.candidates.refresh()
        self.blocks = []
        if self.whole:
            self._evaluate(np.arange(len(self.rows)))
            return
        now = self.candidates.profile()
        if self.profile is None:
            self._evaluate(np.arange(len(self.rows)))
        else:
            self.drift += self.candidates.drift(self.profile, now)
            self._touched()
        self.profile = now

    def _least(self) -> float:
        return min((block.lowest for block in self.blocks), default=np.inf)

    def _touched(self) -> None:
        state, bounds = self.state, self.bounds
        if len(self.touched):
            of_touched = self.candidates.block(self.rows, self.touched)
            np.minimum(bounds, of_touched.by_row - self.drift, out=bounds)
        mark = np.zeros(state.count + 1 + state.peers.shape[1], dtype=np.bool_)
        mark[self.touched] = True
        due: Bools = mark[state.primary[self.rows]] | mark[state.secondary[self.rows]]
        if len(self.rows) > FIRST:
            due[np.argpartition(bounds, FIRST)[:FIRST]] = True
        done = np.zeros_like(due)
        while due.any():
            self._evaluate(np.flatnonzero(due))
            done |= due
            due = (bounds + self.drift <= self._least() + TIE) & ~done

    def _evaluate(self, places: Ints) -> None:
        """Look at these rows with all targets: first at what the deviations make of each instance, then, where that
        may be the best, at everything.
        """
        step = max(1, CHUNK // self.state.count)
        for start in range(0, len(places), step):
            part = places[start:start + step]
            spread = self.candidates.spread(self.rows if len(part) == len(self.rows) else self.rows[part])
            if not self.candidates.bounded:
                self._take(part, self.candidates.completed(spread))
                continue
            bounds = self.candidates.bounds(spread)
            self.bounds[part] = bounds - self.drift
            first = np.arange(len(part)) if len(part) <= FEW else np.sort(np.argpartition(bounds, FEW)[:FEW])
            self._take(part[first], self.candidates.completed(spread.of(first)))
            bounds[first] = np.inf
            rest = np.flatnonzero(bounds <= self._least() + TIE)
            if len(rest):
                self._take(part[rest], self.candidates.completed(spread.of(rest)))

    def _take(self, places: Ints, block: Block) -> None:
        """Note what was found; blocks far from the best are dropped."""
        self.bounds[places] = block.by_row - self.drift
        if block.lowest <= self._least() + TIE:
            self.blocks = [*(one for one in self.blocks if one.lowest <= block.lowest + TIE), block]


def keys_below(block: Block, limit: float) -> list[tuple[int, int, int]]:
    """Instance, target (-1: failover) and place of the kind, of all candidates that change the score by `limit` or
    less; sorted, they are in the order of search.
    """
    rows = np.flatnonzero(block.by_row <= limit)
    keys = [(int(block.rows[row]), -1, -1) for row in rows if block.failover[row] <= limit]
    for row in rows:
        for plane, column in zip(*np.nonzero(block.per_target[:, row] <= limit), strict=True):
            target = int(column) if block.columns is None else int(block.columns[column])
            keys.append((int(block.rows[row]), target, int(PLACES[plane])))
    return keys


def named(state: State, instance: int, target: int, place: int) -> Move:
    """The move that a key stands for."""
    if target < 0:
        return Move(instance, Kind.FAILOVER, -1)
    return Move(instance, Kind(place + 1) if state.amounts.drbd[instance] else Kind.FAILOVER_ANY, target)
