# SPDX-License-Identifier: BSD-2-Clause
"""The cluster score: twenty metrics, their weights, and their values on a state.

Sums run over the nodes in index order, one after the other, so that scores agree to the last digit with tools that
add up the same way.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hbal import figures
from hbal.core.arrays import State
from hbal.core.instances import Floats

PerNode = Callable[[State], Floats]


class Metric(NamedTuple):
    """A part of the score: a deviation over the online nodes, or a sum over online or offline ones."""

    name: str
    weight: float
    kind: str
    """dev, on, off or map."""
    per_node: PerNode


def memory_part(state: State) -> Floats:
    result: Floats = state.unallocated[:-1] / state.limits.memory[:-1]
    return result


def memory_part_forth(state: State) -> Floats:
    return state.free_memory_forth[:-1] / state.limits.memory[:-1]


def disk_part(state: State) -> Floats:
    return _disk_part(state, state.free_disk, state.free_spindles)


def disk_part_forth(state: State) -> Floats:
    return _disk_part(state, state.free_disk_forth, state.free_spindles_forth)


def _disk_part(state: State, disk: Floats, spindles: Floats) -> Floats:
    """Free disk, or free spindles with exclusive storage; 1 where there is nothing to divide by."""
    limits = state.limits
    of_disk = np.where(limits.disk == 0.0, 1.0, disk / limits.disk)
    if limits.any_exclusive:
        of_spindles = np.where(limits.spindles == 0.0, 1.0, spindles / limits.spindles)
        of_disk = np.where(limits.exclusive, of_spindles, of_disk)
    result: Floats = of_disk[:-1]
    return result


def reserved_part(state: State) -> Floats:
    return state.largest[0, :-1] / state.limits.memory[:-1]


def cpu_part(state: State) -> Floats:
    return state.used_cpus[:-1] / state.limits.cpus[:-1] / state.limits.speed[:-1]


def cpu_part_forth(state: State) -> Floats:
    return state.used_cpus_forth[:-1] / state.limits.cpus[:-1] / state.limits.speed[:-1]


def spindle_part(state: State) -> Floats:
    return state.used_spindles[:-1] / state.limits.high_spindles[:-1]


def spindle_part_forth(state: State) -> Floats:
    return state.used_spindles_forth[:-1] / state.limits.high_spindles[:-1]


def load(row: int) -> PerNode:
    def values(state: State) -> Floats:
        return state.loads[row, :-1]

    return values


def on_node(state: State) -> Floats:
    return (state.primaries + state.secondaries)[:-1]


def on_failing(state: State) -> Floats:
    return np.where(state.failing[:-1], on_node(state), 0.0)


def primaries(state: State) -> Floats:
    return state.primaries[:-1]


def repeated_tags(state: State) -> Floats:
    """Exclusion tags on the primaries of a node beyond the first of each."""
    if state.tag_counts is None:
        return np.zeros(state.count)
    counts = state.tag_counts[:-1]
    result: Floats = counts.sum(axis=1) - (counts > 0).sum(axis=1)
    return result


def location(state: State) -> Floats:
    return state.location_score[:-1]


def location_pairs(state: State) -> Floats:
    """One number: pairs of a location and an exclusion tag beyond the first of each."""
    pairs = state.location_pairs
    return np.zeros(1) if pairs is None else np.array([pairs.sum() - (pairs > 0).sum()])


KINDS: tuple[tuple[str, PerNode], ...] = (
    ("dev", memory_part), ("dev", disk_part), ("on", on_failing), ("dev", reserved_part), ("off", on_node),
    ("off", primaries), ("dev", cpu_part), ("dev", load(0)), ("dev", load(1)), ("dev", load(2)), ("dev", load(3)),
    ("on", repeated_tags), ("dev", spindle_part), ("dev", memory_part_forth), ("dev", disk_part_forth),
    ("dev", cpu_part_forth), ("dev", spindle_part_forth), ("on", location), ("map", location_pairs),
    ("on", reserved_part),
)
"""How each of figures.METRICS is made up."""

METRICS = tuple(Metric(name, weight, kind, per_node)
                for (name, weight), (kind, per_node) in zip(figures.METRICS, KINDS, strict=True))


DEVIATIONS = tuple(index for index, metric in enumerate(METRICS) if metric.kind == "dev")


def added(values: Floats) -> float:
    """The sum, one entry after the other."""
    return float(np.add.accumulate(values)[-1]) if len(values) else 0.0


def deviations(values: Floats) -> Floats:
    """The population standard deviation of each row; NaN when a value is not finite."""
    count = values.shape[1]
    centred = values - (np.add.accumulate(values, axis=1)[:, -1] / count)[:, None]
    centred *= centred
    result: Floats = np.sqrt(np.add.accumulate(centred, axis=1)[:, -1] / count)
    return result


def components(state: State) -> list[tuple[Metric, float]]:
    """Each metric with its value, in the order of METRICS; all 0 without online nodes."""
    online = state.limits.online[:-1]
    if not online.any():
        return [(metric, 0.0) for metric in METRICS]
    every = bool(online.all())
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values = np.array([METRICS[index].per_node(state) for index in DEVIATIONS])
        found = dict(zip(DEVIATIONS, deviations(values if every else values[:, online]).tolist(), strict=True))
        for index, metric in enumerate(METRICS):
            if metric.kind == "map":
                found[index] = float(metric.per_node(state)[0])
            elif metric.kind == "off":
                found[index] = 0.0 if every else added(metric.per_node(state)[~online])
            elif metric.kind == "on":
                found[index] = added(metric.per_node(state)[online])
    return [(metric, found[index]) for index, metric in enumerate(METRICS)]


def total(parts: list[tuple[Metric, float]]) -> float:
    score = 0.0
    for metric, value in parts:
        score += metric.weight * value
    return score


def score(state: State) -> float:
    """The score of all nodes of the state: the lower the better; 0 without online nodes."""
    return total(components(state))


def optimum(state: State) -> float:
    """What the last metric cannot fall below, however the memory to reserve is spread over the nodes."""
    memory = state.limits.memory[:-1]
    if len(memory) < 2:
        return 0.0
    whole, largest = added(memory), float(memory.max())
    if whole <= largest:
        return 0.0
    kept = float(state.peers.sum())
    return 0.25 * (kept / (whole - largest) - kept / whole)
