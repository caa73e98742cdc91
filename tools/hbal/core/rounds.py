# SPDX-License-Identifier: BSD-2-Clause
"""The best move of each round, with no more evaluated than the last move can have changed.

An instance none of whose nodes a move touched has, for targets that it did not touch either, the same changes of
node values as before; only the deviations they are added to are others.  How much that can be worth at most is
known from the deviations alone.  So each instance keeps a lower bound of its best change, and in a round only those
are evaluated again that were touched or whose bound lies below the best move found.
"""

import numpy as np

from hbal.core import exact
from hbal.core.arrays import State
from hbal.core.delta import Block, Candidates
from hbal.core.instances import Bools, Floats, Ints
from hbal.core.moves import PER_TARGET, Kind, Move, Restrictions, make

TIE = 1e-7
"""Candidates nearer than this are compared by their full scores."""
MOST_TIES = 64
SMALL = 6000
"""Pairs of instance and target up to which a whole evaluation is as cheap as the bookkeeping."""
CHUNK = 250_000
"""Pairs of instance and target to evaluate at once."""
FIRST = 24
"""Instances evaluated with the touched ones, those with the lowest bounds."""

PLACES = np.array([kind - 1 for kind in PER_TARGET])
"""Where each plane of a block stands among the kinds tried for a target."""


class Rounds:
    """Finds the best move of a state; told of each change of the state by `take`."""

    def __init__(self, state: State, rules: Restrictions) -> None:
        self.state = state
        self.candidates = Candidates(state, rules)
        self.rows: Ints = self.candidates.rows
        self.place = np.full(len(state.instances), -1)
        self.place[self.rows] = np.arange(len(self.rows))
        self.whole = (len(self.rows) * state.count <= SMALL or self.candidates.sums.global_terms
                      or self.candidates.odd is not None)
        self.bounds: Floats | None = None
        """Lowest change of each instance less `drift` as it was then."""
        self.drift = 0.0
        self.touched: Ints = np.empty(0, dtype=np.int64)
        self.blocks: list[Block] = []

    def best(self) -> tuple[Move, float] | None:
        """The move and the score after it; None when nothing can be moved."""
        if not len(self.rows) or not self.candidates.deviations.nodes_online:
            return None
        self.survey()
        least = min((lowest(block) for block in self.blocks), default=np.inf)
        if not np.isfinite(least):
            return None
        moves = [key for block in self.blocks for key in keys_below(block, least + TIE)]
        return exact.best(self.state, (named(self.state, *key) for key in sorted(moves)[:MOST_TIES]))

    def take(self, move: Move) -> tuple[tuple[int, int], tuple[int, int]]:
        """Make the move, to go on from there; returns the places before and after it."""
        old, new = make(self.state, move)
        self.touched = np.array(sorted({*old, *new} - {self.state.count}), dtype=np.int64)
        return old, new

    def survey(self) -> None:
        """Leave in `blocks` what holds all moves that may be the best."""
        before = self.candidates.profile()
        self.candidates.refresh()
        if self.whole:
            self.blocks = [self.candidates.block(self.rows)]
        elif self.bounds is None or before is None:
            self._everything()
        else:
            self.drift += self.candidates.drift(before)
            self._touched(self.bounds)

    def _everything(self) -> None:
        self.drift, self.blocks, self.bounds = 0.0, [], np.full(len(self.rows), np.inf)
        self._evaluate(np.arange(len(self.rows)), self.bounds)

    def _touched(self, bounds: Floats) -> None:
        state = self.state
        of_touched = self.candidates.block(self.rows, self.touched)
        np.minimum(bounds, of_touched.by_row - self.drift, out=bounds)
        mark = np.zeros(state.count + 1 + state.peers.shape[1], dtype=np.bool_)
        mark[self.touched] = True
        due: Bools = mark[state.primary[self.rows]] | mark[state.secondary[self.rows]]
        if len(self.rows) > FIRST:
            due[np.argpartition(bounds, FIRST)[:FIRST]] = True
        done = np.zeros_like(due)
        self.blocks = []
        while due.any():
            self._evaluate(np.flatnonzero(due), bounds)
            done |= due
            least = min((lowest(block) for block in self.blocks), default=np.inf)
            due = (bounds + self.drift <= least + TIE) & ~done

    def _evaluate(self, places: Ints, bounds: Floats) -> None:
        """Blocks of these rows with all targets; blocks far from the best are dropped."""
        step = max(1, CHUNK // self.state.count)
        for start in range(0, len(places), step):
            part = places[start:start + step]
            block = self.candidates.block(self.rows[part])
            bounds[part] = block.by_row - self.drift
            least = min((lowest(one) for one in self.blocks), default=np.inf)
            if lowest(block) <= least + TIE:
                self.blocks = [*(one for one in self.blocks if lowest(one) <= lowest(block) + TIE), block]


def lowest(block: Block) -> float:
    return float(block.by_row.min())


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
