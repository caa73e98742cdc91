# SPDX-License-Identifier: BSD-2-Clause
"""Plan a whole rebalancing: find a good placement, then the way to it.

The result is never worse than that of the greedy search where that was tried, which it is on clusters of a size that
allows it; there, it copies no more either.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hbal.core.anneal import Schedule, anneal
from hbal.core.arrays import State
from hbal.core.greedy import Greedy, Stop
from hbal.core.moves import Kind, Restrictions, Step
from hbal.core.route import Route
from hbal.core.score import score

GREEDY_PAIRS = 60_000
"""Instances times nodes up to which the greedy search is tried, too."""

BUDGETS = (1.0, 0.9)
"""Parts of what the greedy steps copy that a plan may copy, tried in turn until it keeps to it."""

COPIES = {Kind.FAILOVER: 0, Kind.FAILOVER_ANY: 0}
MIGRATIONS = {Kind.REPLACE: 0, Kind.FAILOVER_REPLACE_FAILOVER: 2}


class Outcome(NamedTuple):
    """A way to balance, and what it costs."""

    name: str
    steps: Sequence[Step]
    state: State
    score: float

    @property
    def copied(self) -> int:
        """MiB of disks that the steps copy."""
        disk = self.state.amounts.disk
        return int(sum(disk[step.move.instance] * COPIES.get(step.move.kind, 1) for step in self.steps))

    @property
    def migrations(self) -> int:
        return sum(MIGRATIONS.get(step.move.kind, 1) for step in self.steps)


class Plans(NamedTuple):
    """The outcome to follow, and the greedy one for comparison (None where it was not tried)."""

    best: Outcome
    greedy: Outcome | None


def plan(state: State, rules: Restrictions, stop: Stop) -> Plans:
    """Balance a state; deterministic."""
    greedy = None
    if len(state.instances) * state.count <= GREEDY_PAIRS or stop.max_length >= 0:
        greedy = by_greedy(state, rules, stop)
    if greedy is None:
        return Plans(by_route(state, anneal(state, rules, schedule(state), None), rules, stop), None)
    for part in BUDGETS:
        goal = anneal(state, rules, schedule(state), part * greedy.copied)
        planned = by_route(state, goal, rules, stop)
        if better(planned, greedy):
            return Plans(planned, greedy)
    return Plans(greedy, greedy)


def better(planned: Outcome, greedy: Outcome) -> bool:
    """A lower score for no more copying, or the same score for less."""
    return planned.score <= greedy.score and planned.copied <= greedy.copied and (
        planned.score < greedy.score or planned.copied < greedy.copied)


def by_greedy(state: State, rules: Restrictions, stop: Stop) -> Outcome:
    greedy = Greedy(state, rules, stop)
    steps = list(greedy.steps())
    return Outcome("greedy", steps, greedy.state, greedy.score)


def by_route(state: State, goal: State, rules: Restrictions, stop: Stop) -> Outcome:
    """The steps to a placement, up to the one with the lowest score."""
    route = Route(state, goal, rules)
    steps = route.steps if stop.max_length < 0 else route.steps[:stop.max_length]
    values = [score(state), *(step.score for step in steps)]
    lowest = min(range(len(values)), key=values.__getitem__)
    after = state.copy()
    for step in steps[:lowest]:
        after.move(step.move.instance, *step.new)
    return Outcome("plan", steps[:lowest], after, values[lowest])


def schedule(state: State) -> Schedule:
    """More patience for small clusters, where it costs little."""
    nodes, instances = max(1, state.count), max(1, len(state.instances))
    hot = (8.0 if nodes <= 30 else 4.0) / nodes**2
    rounds = min(2500, 18 * instances) if nodes <= 30 else 600 if nodes <= 60 else 300
    return Schedule(
        sweeps=30, first_batch=min(1000, max(16, instances // 4)), first_width=min(200, max(nodes // 2, 40)),
        rounds=rounds, batch=16 if nodes <= 200 else 64, width=48, pairs=min(16000, max(500, 4 * instances)),
        hot=hot, cold=hot / (50.0 if nodes <= 30 else 20.0))
