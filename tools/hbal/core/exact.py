# SPDX-License-Identifier: BSD-2-Clause
"""Between candidates whose changes of the score agree but for rounding: the one whose score, computed in full, is
the lowest; the first one found where even that is equal.
"""

from collections.abc import Iterable

import numpy as np

from hbal.core.arrays import State
from hbal.core.moves import Move, make
from hbal.core.score import score

TABLES = ("peers", "peers_by_primary")
"""The arrays that grow with the square of the nodes: of these only what a move changes is put back."""


def best(state: State, moves: Iterable[Move]) -> tuple[Move, float] | None:
    """The best move and the score after it; None without moves.  `moves` come in the order of search."""
    found: tuple[Move, float] | None = None
    for move in moves:
        value = after(state, move)
        if found is None or value < found[1]:
            found = (move, value)
    return found


def after(state: State, move: Move) -> float:
    """The score that a move would lead to; the state is as before."""
    saved = {name: value.copy() for name, value in vars(state).items()
             if isinstance(value, np.ndarray) and name not in TABLES}
    old, new = make(state, move)
    value = score(state)
    restore(state, old, new, state.amounts.reserved[move.instance])
    for name, array in saved.items():
        setattr(state, name, array)
    return value


def restore(state: State, old: tuple[int, int], new: tuple[int, int], reserved: float) -> None:
    """Undo what a move did to the tables."""
    for (primary, secondary), sign in ((new, -1.0), (old, 1.0)):
        if secondary < state.count:
            state.peers[secondary, primary] += sign * reserved
            state.peers_by_primary[primary, secondary] += sign * reserved
