# SPDX-License-Identifier: BSD-2-Clause
"""What the score would be with an instance on one node, or on a pair of nodes: all candidates at once.

The metrics are those of `core.score`, asked of states in which every node has the instance (`places`); a candidate
takes one or two of these values in place of the old ones.
"""

from collections.abc import Callable

import numpy as np

from hbal.alloc.places import Grown
from hbal.core.arrays import State
from hbal.core.instances import Bools, Floats, Ints
from hbal.core.score import METRICS, NAMES, per_node

MOST_CELLS = 400_000
"""Candidates x nodes above which sums are updated instead of added up anew."""


def singles(state: State, index: int, targets: Ints, grown: Grown, counted: Bools) -> Floats:
    """The score with the instance on each of the targets; `counted` nodes make the score."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _singles(state, index, targets, grown, counted)


def _singles(state: State, index: int, targets: Ints, grown: Grown, counted: Bools) -> Floats:
    on, off = _sets(state, counted)
    total = np.zeros(len(targets))
    known: dict[tuple[object, ...], Floats] = {}
    for metric, before, after in zip(METRICS, per_node(state), per_node(grown.state), strict=True):
        if metric.kind == "map":
            value = _pairs(state, index, targets, counted)
        else:
            key = (metric.kind, before.tobytes(), after.tobytes())
            value = known.get(key, total)
            if key not in known:
                value = known[key] = _replaced(metric.kind, before, after, targets, off if metric.kind == "off" else on)
        total = total + metric.weight * value
    return total


def _sets(state: State, counted: Bools) -> tuple[Ints, Ints]:
    online = state.limits.online[:-1]
    return np.flatnonzero(online & counted), np.flatnonzero(~online & counted)


def _replaced(kind: str, before: Floats, after: Floats, targets: Ints, chosen: Ints) -> Floats:
    """The aggregate over the chosen nodes with one value replaced, for each target."""
    if not len(chosen):
        return np.zeros(len(targets))
    place = np.full(len(before), -1)
    place[chosen] = np.arange(len(chosen))
    inside = place[targets] >= 0
    if len(targets) * len(chosen) > MOST_CELLS:
        update = _deviation_after if kind == "dev" else _sum_after
        return update(before[chosen], np.where(inside, after[targets] - before[targets], 0.0), before[targets])
    table = np.repeat(before[chosen][None, :], len(targets), axis=0)
    rows = np.flatnonzero(inside)
    table[rows, place[targets[rows]]] = after[targets[rows]]
    return _deviations(table) if kind == "dev" else _added(table)


def _added(table: Floats) -> Floats:
    """Row sums, one entry after the other, as the score adds."""
    result: Floats = np.add.accumulate(table, axis=1)[:, -1]
    return result


def _deviations(table: Floats) -> Floats:
    count = table.shape[1]
    with np.errstate(invalid="ignore", over="ignore"):
        centred = table - (_added(table) / count)[:, None]
        spread: Floats = np.sqrt(_added(centred * centred) / count)
    return spread


def _sum_after(values: Floats, change: Floats, _old: Floats) -> Floats:
    result: Floats = values.sum() + change
    return result


def _deviation_after(values: Floats, change: Floats, old: Floats) -> Floats:
    mean = values.sum() / len(values)
    centred = values - mean
    variance = float((centred * centred).sum() / len(values))
    result: Floats = np.sqrt(_spread(len(values), 0.0, variance, old - mean, change))
    return result


def _spread(count: int, total: "Floats | float", variance: "Floats | float", old: Floats, change: Floats) -> Floats:
    """The variance when a value changes; `total` is the sum so far."""
    new = old + change
    result: Floats = np.maximum(
        0.0, variance + (count * (new * new - old * old) - 2.0 * total * change - change * change) / count**2)
    return result


def pairs(state: State, index: int, primaries: Ints, secondaries: Ints, grown: tuple[Grown, Grown],
          counted: Bools) -> Floats:
    """Primaries x secondaries: the score with the instance on the pair.  `grown`: as primary, as secondary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _score_pairs(state, index, primaries, secondaries, grown, counted)


def _score_pairs(state: State, index: int, primaries: Ints, secondaries: Ints, grown: tuple[Grown, Grown],
                 counted: Bools) -> Floats:
    on, off = _sets(state, counted)
    tables = _Pair(state, index, primaries, secondaries, grown)
    total = np.zeros((len(primaries), len(secondaries)))
    known: dict[tuple[object, ...], Floats] = {}
    for place, metric in enumerate(METRICS):
        if metric.kind == "map":
            total += metric.weight * _pairs(state, index, primaries, counted)[:, None]
            continue
        before, first, second = tables.of(place)
        key = (metric.kind, before.tobytes(), first.tobytes(), second.tobytes())
        if key not in known:
            known[key] = _twice(metric.kind, before, (primaries, first), (secondaries, second),
                                off if metric.kind == "off" else on)
        total += metric.weight * known[key]
    return total


class _Pair:
    """Changes of a metric on the primary and on the secondary, for all pairs."""

    def __init__(self, state: State, index: int, primaries: Ints, secondaries: Ints,
                 grown: tuple[Grown, Grown]) -> None:
        self.state, self.index, self.primaries, self.secondaries = state, index, primaries, secondaries
        self.second = grown[1].state
        self.before, self.with_primary, self.with_secondary = (
            per_node(one) for one in (state, grown[0].state, self.second))
        kept = state.peers[np.ix_(secondaries, primaries)].T + state.amounts.reserved[index]
        self.reserved = np.maximum(state.largest[0, secondaries], kept)
        self.special: dict[str, Callable[[], Floats]] = {
            "n1_cnt": self._failing, "reserved_mem_cv": self._reserved, "reserved_mem_rtotal": self._reserved}

    def of(self, place: int) -> tuple[Floats, Floats, Floats]:
        """Values of a metric before; on the primary after (column); on the secondary after (row, or primaries x
        secondaries).
        """
        name, first = NAMES[place], self.with_primary[place][self.primaries][:, None]
        if name == "location_score" and self.state.tags.shared is not None:
            first = first + (self.state.tags.shared[np.ix_(self.primaries, self.secondaries)]
                             * self.state.amounts.real[self.index])
        special = self.special.get(name)
        second = special() if special else self.with_secondary[place][self.secondaries][None, :]
        return self.before[place], first, second

    def _reserved(self) -> Floats:
        result: Floats = self.reserved / self.state.limits.memory[self.secondaries]
        return result

    def _failing(self) -> Floats:
        state, nodes = self.second, self.secondaries
        count = (state.primaries + state.secondaries)[nodes]
        return np.where(state.unallocated[nodes] <= self.reserved, count, 0.0)


def _twice(kind: str, before: Floats, one: tuple[Ints, Floats], two: tuple[Ints, Floats], chosen: Ints) -> Floats:
    """The aggregate with the value of the primary and then that of the secondary replaced."""
    place = np.zeros(len(before), dtype=np.bool_)
    place[chosen] = True
    (primaries, first), (secondaries, second) = one, two
    old_first, old_second = before[primaries][:, None], before[secondaries][None, :]
    shape = (len(primaries), len(secondaries))
    if not len(chosen):
        return np.zeros(shape)
    change_first = np.where(place[primaries][:, None], first - old_first, 0.0)
    change_second = np.where(place[secondaries][None, :], second - old_second, 0.0)
    if kind != "dev":
        return np.broadcast_to(before[chosen].sum() + change_first + change_second, shape)
    count, values = len(chosen), before[chosen]
    total = float(np.add.accumulate(values)[-1])
    variance = float(np.add.accumulate((values - total / count) ** 2)[-1] / count)
    after_first = _spread(count, total, variance, old_first, change_first)
    spread = _spread(count, total + change_first, after_first, old_second, change_second)
    result: Floats = np.sqrt(np.broadcast_to(spread, shape))
    return result


def _pairs(state: State, index: int, targets: Ints, counted: Bools) -> Floats:
    """The metric that counts pairs of location and exclusion tags, with the instance on each target."""
    tags = state.tags
    if state.location_pairs is None or tags.exclusion is None or tags.location is None:
        return np.zeros(len(targets))
    pairs = state.location_pairs
    if not counted.all():
        rows = np.flatnonzero(state.amounts.real & (state.primary < state.count))
        rows = rows[(counted & state.limits.online[:-1])[state.primary[rows]]]
        pairs = tags.location[state.primary[rows]].T @ tags.exclusion[rows]
    own = tags.exclusion[index] * float(state.amounts.real[index])
    base = pairs.sum() - (pairs > 0).sum()
    added = tags.location[targets][:, :, None] * own[None, None, :]
    added = added * (state.limits.online[:-1] & counted)[targets][:, None, None]
    result: Floats = base + added.sum(axis=(1, 2)) - ((pairs == 0)[None] & (added > 0)).sum(axis=(1, 2))
    return result
