# SPDX-License-Identifier: BSD-2-Clause
"""Between candidates whose changes of the score agree but for rounding: the one whose score, computed in full, is
the lowest; the first one found where even that is equal.
"""

from collections.abc import Iterable

from hbal.core.arrays import State
from hbal.core.moves import Move, make
from hbal.core.score import score


def best(state: State, moves: Iterable[Move]) -> tuple[Move, State, float] | None:
    """The best move, the state after it, and its score; None without moves.  `moves` come in the order of search."""
    found: tuple[Move, State, float] | None = None
    for move in moves:
        after = state.copy()
        make(after, move)
        value = score(after)
        if found is None or value < found[2]:
            found = (move, after, value)
    return found
