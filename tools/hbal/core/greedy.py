# SPDX-License-Identifier: BSD-2-Clause
"""The search that operators know: each round takes the one move that lowers the score most."""

from collections.abc import Iterator
from typing import NamedTuple

from hbal.core.arrays import State
from hbal.core.moves import Restrictions, Step
from hbal.core.rounds import Rounds
from hbal.core.score import optimum, score


class Stop(NamedTuple):
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
        rounds = Rounds(self.state, self.rules)
        while self.taken != self.stop.max_length and self.score - self.optimum > self.stop.min_score:
            step = rounds.step(lambda value: self.stop.worth_it(self.score, value))
            if step is None:
                return
            self.score = step.score
            self.taken += 1
            yield step
