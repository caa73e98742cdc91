# SPDX-License-Identifier: BSD-2-Clause
"""The searches: what they promise on random clusters."""

from pathlib import Path

import numpy as np
import pytest

from hbal.core import plan as planning
from hbal.core import rounds
from hbal.core.anneal import Origin
from hbal.core.arrays import SPINDLES, State
from hbal.core.delta import Candidates
from hbal.core.greedy import Greedy, Stop
from hbal.core.jobsets import job_sets
from hbal.core.moves import Kind, Move, Restrictions, Step, make
from hbal.core.plan import by_greedy, plan
from hbal.core.route import Route
from hbal.core.score import score
from support.hbal_core import drawn


def steps_of(state: State, rules: Restrictions) -> list[Step]:
    return list(Greedy(state, rules, Stop()).steps())


@pytest.mark.parametrize("seed", range(40))
def test_a_round_never_raises_the_score_nor_breaks_n1(seed: int, tmp_path: Path) -> None:
    state, rules = drawn(seed, tmp_path, off="offline options")
    last, failing = score(state), state.failing.copy()
    for step in steps_of(state, rules):
        make(state, step.move)
        assert step.score < last
        assert score(state) == step.score
        assert not (state.failing & ~failing).any()
        last, failing = step.score, state.failing.copy()


@pytest.mark.parametrize("seed", range(40))
def test_what_is_not_evaluated_again_cannot_have_been_better(
        seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, rules = drawn(seed, tmp_path)
    whole = steps_of(state, rules)
    monkeypatch.setattr(rounds, "SMALL", 0)
    monkeypatch.setattr(rounds, "FIRST", 2)
    monkeypatch.setattr(rounds, "CHUNK", 7)
    assert steps_of(state, rules) == whole


@pytest.mark.parametrize("seed", range(100, 115))
def test_bounds_are_bounds(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SMALL", 0)
    monkeypatch.setattr(rounds, "FIRST", 1)
    state, rules = drawn(seed, tmp_path, off="locations")
    search = rounds.Rounds(state.copy(), rules)
    for _ in range(12):
        search.survey()
        fresh = Candidates(search.state, rules)
        fresh.refresh()
        lowest = fresh.block(search.rows).by_row
        assert (search.bounds + search.drift <= lowest + 1e-7).all()
        if search.step(lambda _: True) is None:
            return


def test_limits_end_the_search(tmp_path: Path) -> None:
    state, rules = drawn(5, tmp_path, off="offline options")
    every = steps_of(state, rules)
    assert list(Greedy(state, rules, Stop(max_length=2)).steps()) == every[:2]
    assert list(Greedy(state, rules, Stop(min_gain=1e6, min_gain_limit=1e6)).steps()) == []
    enough = Greedy(state, rules, Stop(min_score=every[0].score))
    assert [step.score for step in enough.steps()] == [every[0].score]


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans with little patience."""
    whole = planning.schedule
    monkeypatch.setattr(planning, "schedule", lambda state: whole(state)._replace(rounds=60))


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("seed", range(12))
def test_a_plan_is_never_worse_than_the_greedy_steps(seed: int, tmp_path: Path) -> None:
    state, rules = drawn(seed, tmp_path, off="options")
    greedy = by_greedy(state, rules, Stop())
    found = plan(state, rules, Stop())
    assert found.best.score <= greedy.score
    assert found.best.copied <= greedy.copied
    failing = state.failing.copy()
    for step in found.best.steps:
        make(state, step.move)
        assert (int(state.primary[step.move.instance]), int(state.secondary[step.move.instance])) == step.new
        assert not (state.failing & ~failing).any() or not state.limits.online[:-1].all()
        failing = state.failing.copy()
    assert score(state) == pytest.approx(found.best.score, abs=1e-9)


@pytest.mark.usefixtures("hurried")
def test_a_plan_is_the_same_each_time(tmp_path: Path) -> None:
    state, rules = drawn(4, tmp_path, off="offline options")
    assert plan(state, rules, Stop()).best.steps == plan(state, rules, Stop()).best.steps


@pytest.mark.parametrize("seed", range(20))
def test_a_route_leads_to_its_goal_and_copies_nothing_twice(seed: int, tmp_path: Path) -> None:
    state, rules = drawn(seed, tmp_path, off="offline options tight policy migration tags exclusive")
    goal = state.copy()
    for step in steps_of(state, rules):
        make(goal, step.move)
    route = Route(state, goal, rules)
    done = (route.state.primary == goal.primary) & (route.state.secondary == goal.secondary)
    assert done.all()
    copied = sum(float(state.amounts.disk[step.move.instance]) for step in route.steps
                 if step.move.kind not in (Kind.FAILOVER, Kind.FAILOVER_ANY))
    assert copied == Origin.of(state).copied(goal)


def test_an_offline_node_is_emptied(tmp_path: Path) -> None:
    state, rules = drawn(12, tmp_path, on="offline",
                         off="options external not-balanced tight policy groups split exclusive")
    off = ~state.limits.online[:-1]
    assert (state.primaries + state.secondaries)[:-1][off].sum() > 0
    for step in steps_of(state, rules):
        make(state, step.move)
    assert (state.primaries + state.secondaries)[:-1][off].sum() == 0


def step(*nodes: int) -> Step:
    old, new = (nodes[0], nodes[1]), (nodes[0], nodes[2])
    return Step(Move(0, Kind.REPLACE, nodes[2]), old, new, 0.0)


def test_steps_join_the_set_behind_them() -> None:
    """Walked from the end: the fourth and third are apart, the second joins the third, the first does not."""
    one, two, three, four = step(1, 2, 3), step(4, 5, 3), step(1, 2, 6), step(2, 7, 8)
    assert job_sets([one, two, three, four]) == [[one], [two, three], [four]]
    assert job_sets([]) == []


@pytest.mark.parametrize("seed", range(10))
def test_no_set_touches_a_node_twice(seed: int, tmp_path: Path) -> None:
    steps = steps_of(*drawn(seed, tmp_path))
    sets = job_sets(steps)
    assert [one for jobs in sets for one in jobs] == steps
    for jobs in sets:
        assert sum(len(one.nodes) for one in jobs) == len(frozenset[int]().union(*(one.nodes for one in jobs)))


def test_a_score_that_is_no_number_stops_everything(tmp_path: Path) -> None:
    state, rules = drawn(9, tmp_path, off="offline options")
    state.limits.divisors[SPINDLES] = 0.0
    state.used_spindles[:] = 0.0
    assert np.isnan(score(state))
    assert list(Greedy(state, rules, Stop()).steps()) == []
