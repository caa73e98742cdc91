# SPDX-License-Identifier: BSD-2-Clause
"""Nodes for a new instance: every candidate of every group judged and scored, the best one that leaves the cluster
redundant taken.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hbal.alloc import checks, redundancy, values
from hbal.alloc.checks import FITS, Fail
from hbal.alloc.places import as_primary, as_secondary, scored
from hbal.core.arrays import State
from hbal.core.instances import Bools, Floats, Ints
from hbal.model import Instance, Policy
from hbal.output import fixed


class Conditions(NamedTuple):
    """How strict an allocation is."""

    capacity_checks: bool = True
    ignore_soft_errors: bool = False
    tolerance: redundancy.Tolerance = redundancy.STRICT


@dataclass
class Solution:
    """What was found in a set of nodes: the nodes (empty: none), their score, and why candidates failed."""

    nodes: tuple[int, ...] = ()
    score: float = np.inf
    shown: str = ""
    """The score as it is printed."""
    order: tuple[object, ...] = ()
    """What solutions are compared by."""
    successes: int = 0
    failures: Counter[Fail] = field(default_factory=Counter)

    @property
    def reasons(self) -> str:
        return ", ".join(f"{fail.name}: {self.failures[fail]}" for fail in Fail if self.failures[fail])

    def log(self, names: Sequence[str]) -> str:
        """The line that tells of it; `names` are those of the nodes."""
        if not self.nodes:
            return f"No valid allocation solutions, failure reasons: {self.reasons or 'unknown reasons'}"
        return (f"score: {self.shown}, successes {self.successes}, failures {sum(self.failures.values())} "
                f"({self.reasons}) for node(s) {'/'.join(names)}")


def single(state: State, index: int, nodes: Ints, conditions: Conditions, counted: Bools | None = None) -> Solution:
    """The best of the nodes for an instance that needs one and is nowhere yet."""
    solution = Solution()
    candidates = _within_policy(state, index, nodes, 1, solution)
    if not len(candidates):
        return solution
    grown = as_primary(state, index)
    modes = checks.primary_modes(state, index, grown, forced=conditions.ignore_soft_errors)[candidates]
    _count(solution, modes[modes != FITS])
    fits = candidates[modes == FITS]
    if not len(fits):
        return solution
    scores = values.singles(state, index, fits, grown, scored(state) if counted is None else counted)
    better = 0
    for place in _in_order(scores):
        if not conditions.capacity_checks or _kept(state, index, (int(fits[place]),), conditions):
            solution.nodes, solution.score = (int(fits[place]),), float(scores[place])
            solution.shown, solution.order = fixed(solution.score, 8), (solution.score,)
            break
        better += 1
    solution.failures[Fail.FailN1] += better
    solution.successes = len(fits) - better
    return solution


def pair(state: State, index: int, primaries: Ints, secondaries: Ints, conditions: Conditions,
         counted: Bools | None = None) -> Solution:
    """The best primary and secondary for an instance that needs both and is nowhere yet."""
    solution = Solution()
    within = _within_policy(state, index, primaries, 0, solution, others=secondaries)
    if not len(within) or not len(secondaries):
        return solution
    first, second = as_primary(state, index), as_secondary(state, index)
    modes = checks.primary_modes(state, index, first, forced=conditions.ignore_soft_errors)[within]
    for mode, node in zip(modes, within, strict=True):
        if mode != FITS:
            solution.failures[Fail(int(mode))] += int((secondaries != node).sum())
    heads = within[modes == FITS]
    if not len(heads):
        return solution
    tails = checks.secondary_modes(state, index, second, heads, forced=False)[:, secondaries]
    different = secondaries[None, :] != heads[:, None]
    _count(solution, tails[(tails != FITS) & different])
    fits = (tails == FITS) & different
    if not fits.any():
        return solution
    scores = values.pairs(state, index, heads, secondaries, (first, second),
                          scored(state) if counted is None else counted)
    _choose(state, index, (heads, secondaries), (scores, fits), conditions, solution)
    return solution


def _choose(state: State, index: int, nodes: tuple[Ints, Ints], candidates: tuple[Floats, Bools],
            conditions: Conditions, solution: Solution) -> None:
    """For each primary the best secondary that keeps the cluster redundant, and the best of these."""
    (heads, secondaries), (scores, fits) = nodes, candidates
    closed = conditions.tolerance == redundancy.STRICT and redundancy.closed(state)
    if not conditions.capacity_checks:
        found, better = _best_by_row(scores, fits, fits)
    elif closed:
        found, better = _best_by_row(scores, fits, fits & redundancy.pairs_kept(state, index, heads, secondaries))
    else:
        found, better = [], 0
        for row in range(len(heads)):
            column, worse = _first_kept(state, index, (int(heads[row]), secondaries), scores[row],
                                        np.flatnonzero(fits[row]), conditions)
            better += worse
            found += [] if column is None else [(row, column)]
    solution.failures[Fail.FailN1] += better
    solution.successes = int(fits.sum()) - better
    chosen: tuple[int, int] | None = None
    for place in found:
        if chosen is None or scores[place] <= scores[chosen]:
            chosen = place
    if chosen is not None:
        solution.score = float(scores[chosen])
        solution.nodes = int(heads[chosen[0]]), int(secondaries[chosen[1]])
        solution.shown, solution.order = fixed(solution.score, 8), (solution.score,)


def _best_by_row(scores: Floats, fits: Bools, good: Bools) -> tuple[list[tuple[int, int]], int]:
    """By row the column of the lowest score among the good ones, the last of equal ones; and how many that fit and
    are not good were better.
    """
    last = scores.shape[1] - 1
    columns = last - np.where(good, scores, np.inf)[:, ::-1].argmin(axis=1)
    some: Bools = np.logical_or.reduce(good, axis=1)
    columns = np.where(good[np.arange(len(good)), columns], columns, last - good[:, ::-1].argmax(axis=1))
    least = np.where(some, scores[np.arange(len(scores)), columns], np.inf)[:, None]
    better = (scores < least) | ((scores == least) & (np.arange(last + 1) > columns[:, None]))
    return ([(int(row), int(columns[row])) for row in np.flatnonzero(some)],
            int((fits & ~good & (better | ~some[:, None])).sum()))


def _first_kept(state: State, index: int, nodes: tuple[int, Ints], scores: Floats, columns: Ints,
                conditions: Conditions) -> tuple[int | None, int]:
    """The same, where each candidate has to be tried."""
    for better, at in enumerate(_in_order(scores[columns])):
        column = int(columns[at])
        if _kept(state, index, (nodes[0], int(nodes[1][column])), conditions):
            return column, better
    return None, len(columns)


def _kept(state: State, index: int, nodes: tuple[int, ...], conditions: Conditions) -> bool:
    trial = state.copy()
    place(trial, index, nodes)
    return redundancy.redundant(trial, conditions.tolerance)


def place(state: State, index: int, nodes: tuple[int, ...]) -> None:
    """Put an instance on its nodes."""
    state.move(index, nodes[0], nodes[1] if len(nodes) > 1 else state.count)


def _in_order(scores: Floats) -> list[int]:
    """Places from the lowest score up, of equal ones the last first."""
    return [len(scores) - 1 - int(place) for place in np.argsort(scores[::-1], kind="stable")]


def _count(solution: Solution, modes: Ints) -> None:
    for mode in modes:
        solution.failures[Fail(int(mode))] += 1


def _within_policy(state: State, index: int, nodes: Ints, each: int, solution: Solution,
                   others: Ints | None = None) -> Ints:
    """The nodes in whose group the policy allows the instance; failures are counted (`each`, or once a pair)."""
    known: dict[tuple[int, bool], Fail | None] = {}
    allowed = []
    for node in nodes:
        key = (state.nodes[node].group, bool(state.limits.exclusive[node]))
        if key not in known:
            known[key] = checks.policy_failure(state.instances[index], _policy(state, key[0]), exclusive=key[1])
        failure = known[key]
        if failure is None:
            allowed.append(int(node))
        else:
            solution.failures[failure] += each if others is None else int((others != node).sum())
    return np.array(allowed, dtype=np.int64)


def _policy(state: State, group: int) -> Policy:
    return state.data.groups[group].policy


def best(state: State, index: int, nodes: Ints, conditions: Conditions, counted: Bools | None = None) -> Solution:
    """The solution among the nodes, one or two as the template of the instance wants."""
    if needed(state.instances[index]) == 2:
        return pair(state, index, nodes, nodes, conditions, counted)
    return single(state, index, nodes, conditions, counted)


def needed(instance: Instance) -> int:
    return 2 if instance.template.has_secondary else 1
