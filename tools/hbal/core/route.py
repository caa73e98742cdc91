# SPDX-License-Identifier: BSD-2-Clause
"""From one placement to another: steps in an order in which each is allowed when its turn comes."""

import numpy as np

from hbal.core.arrays import State
from hbal.core.delta import Block, Candidates
from hbal.core.instances import Floats, Ints
from hbal.core.moves import ORDER, Kind, Move, Restrictions, Step, make
from hbal.core.score import score

WINDOW = 48
"""Instances looked at for the next step."""


def hops(place: tuple[int, int], goal: tuple[int, int], nowhere: int) -> list[tuple[Kind, int]]:
    """Moves that bring an instance nearer to its goal, copying nothing twice; those with fewer migrations first."""
    (p, s), (primary, secondary) = place, goal
    single: tuple[tuple[bool, list[tuple[Kind, int]]], ...] = (
        (place == goal, []),
        (s == nowhere, [(Kind.FAILOVER_ANY, primary)]),
        ((p, s) == (secondary, primary), [(Kind.FAILOVER, -1)]),
        (p == primary, [(Kind.REPLACE, secondary)]),
        (s == primary, [(Kind.FAILOVER_REPLACE, secondary)]),
        (p == secondary, [(Kind.REPLACE_FAILOVER, primary)]),
        (s == secondary, [(Kind.FAILOVER_REPLACE_FAILOVER, primary)]),
    )
    for fits, moves in single:
        if fits:
            return moves
    return [(Kind.REPLACE_FAILOVER, primary), (Kind.REPLACE, secondary), (Kind.FAILOVER_REPLACE, secondary),
            (Kind.FAILOVER_REPLACE_FAILOVER, primary)]


class Route:
    """Leads a state to the placement of `goal`; `steps` are those found, `state` is where they end.

    Each step is the best one of those looked at; what cannot be reached step by step is left where it is.
    """

    def __init__(self, state: State, goal: State, rules: Restrictions) -> None:
        self.state, self.goal = state.copy(), goal
        self.candidates = Candidates(self.state, rules)
        self.steps: list[Step] = []
        self.worth = np.full(len(state.instances), np.inf)
        """What the next hop of each instance was worth when last looked at."""
        self._run()

    def _pending(self) -> Ints:
        moved = (self.state.primary != self.goal.primary) | (self.state.secondary != self.goal.secondary)
        return np.flatnonzero(moved)

    def _run(self) -> None:
        for start in range(0, len(pending := self._pending()), 4 * WINDOW):
            self.candidates.refresh()
            self._look(pending[start:start + 4 * WINDOW])
        blocked = np.zeros(len(self.worth), dtype=np.bool_)
        while True:
            pending = self._pending()
            pending = pending[~blocked[pending]]
            if not len(pending):
                return
            window = np.sort(pending[np.argsort(self.worth[pending], kind="stable")[:WINDOW]])
            self.candidates.refresh()
            moves = self._look(window)
            if not moves:
                blocked[window] = True
                continue
            self._make(moves)
            blocked[:] = False

    def _look(self, window: Ints) -> list[tuple[float, Move]]:
        """The allowed hops of these instances, best first; notes what each is worth."""
        state, goal = self.state, self.goal
        columns = np.unique(np.concatenate([goal.primary[window], goal.secondary[window]]))
        columns = columns[columns < state.count]
        block = self.candidates.block(window, columns)
        place = np.full(state.count + 1, -1)
        place[columns] = np.arange(len(columns))
        found = []
        for row, instance in enumerate(window.tolist()):
            options = hops((int(state.primary[instance]), int(state.secondary[instance])),
                           (int(goal.primary[instance]), int(goal.secondary[instance])), state.count)
            best = min(((change(block, row, kind, int(place[target])), order)
                        for order, (kind, target) in enumerate(options)), default=(np.inf, 0))
            self.worth[instance] = best[0]
            if np.isfinite(best[0]):
                found.append((best[0], Move(instance, *options[best[1]])))
        return sorted(found, key=lambda one: (one[0], one[1].instance))

    def _make(self, moves: list[tuple[float, Move]]) -> None:
        """The best hop, and with it others that touch none of its nodes and are worth nearly as much."""
        state, taken = self.state, set[int]()
        least = moves[0][0]
        for worth, move in moves:
            if worth > 0.5 * least and taken:
                return
            nodes = {int(state.primary[move.instance]), int(state.secondary[move.instance]), move.target}
            nodes -= {-1, state.count}
            if taken & nodes:
                continue
            taken |= nodes
            old, new = make(state, move)
            self.steps.append(Step(move, old, new, score(state)))


def change(block: Block, row: int, kind: Kind, column: int) -> float:
    """What the block says of a move."""
    values: Floats = block.per_target
    if kind is Kind.FAILOVER:
        return float(block.failover[row])
    return float(values[ORDER.get(kind, 3), row, column])
