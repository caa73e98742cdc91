# SPDX-License-Identifier: BSD-2-Clause
"""Between candidates whose changes of the score agree but for rounding: the one whose score, computed in full, is
the lowest; the first one found where even that is equal.
"""

from collections.abc import Sequence

from hbal.core.arrays import State
from hbal.core.moves import Move, make
from hbal.core.score import score


class Trial:
    """A move that was made, the places before and after it, and the score it led to."""

    def __init__(self, state: State, move: Move) -> None:
        self.state, self.move = state, move
        self._saved = state.tally.copy(), state.largest_at.copy(), state.failing.copy()
        self._counts = [None if table is None else table.copy() for table in (state.tag_counts, state.location_pairs)]
        self.old, self.new = make(state, move)
        self.score = score(state)

    def undo(self) -> None:
        """Put everything back, to the last digit."""
        state, instance = self.state, self.move.instance
        reserved = state.amounts.reserved[instance]
        state.primary[instance], state.secondary[instance] = self.old
        state.tally[:], state.largest_at[:], state.failing[:] = self._saved
        state.tag_counts, state.location_pairs = self._counts
        for (primary, secondary), sign in ((self.new, -1.0), (self.old, 1.0)):
            if secondary < state.count:  # the tables grow with the square of the nodes: only what changed is put back
                state.peers[secondary, primary] += sign * reserved
                state.peers_by_primary[primary, secondary] += sign * reserved


def best(state: State, moves: Sequence[Move]) -> Trial:
    """Make the best of these moves; they come in the order of search."""
    found = trial = Trial(state, moves[0])
    for move in moves[1:]:
        trial.undo()
        trial = Trial(state, move)
        if trial.score < found.score:
            found = trial
    if found is trial:
        return trial
    trial.undo()
    return Trial(state, found.move)
