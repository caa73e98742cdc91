# SPDX-License-Identifier: BSD-2-Clause
"""The cluster score: twenty metrics, their weights, and their values on a state.

Sums run over the nodes in index order, one after the other, so that scores agree to the last digit with tools that
add up the same way.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hbal import figures
from hbal.core.arrays import (
    CPUS,
    CPUS_FORTH,
    DISK,
    DISK_FORTH,
    LOADS,
    MEMORY,
    MEMORY_FORTH,
    RESERVED,
    SPINDLES,
    SPINDLES_FORTH,
    State,
)
from hbal.core.instances import Floats

PARTS = RESERVED + 1
"""Tallies that the deviations are made of."""


class Metric(NamedTuple):
    """A part of the score: a deviation over the online nodes, or a sum over online or offline ones."""

    name: str
    weight: float
    kind: str
    """dev, on, off or map."""
    part: int = -1
    """The tally that a deviation is made of."""


KINDS: tuple[tuple[str, int], ...] = (
    ("dev", MEMORY), ("dev", DISK), ("on", -1), ("dev", RESERVED), ("off", -1), ("off", -1), ("dev", CPUS),
    *(("dev", LOADS + place) for place in range(4)), ("on", -1), ("dev", SPINDLES), ("dev", MEMORY_FORTH),
    ("dev", DISK_FORTH), ("dev", CPUS_FORTH), ("dev", SPINDLES_FORTH), ("on", -1), ("map", -1), ("on", -1))
"""How each of figures.METRICS is made up."""

METRICS = tuple(Metric(name, weight, *kind) for (name, weight), kind in zip(figures.METRICS, KINDS, strict=True))
NAMES, WEIGHTS = tuple(metric.name for metric in METRICS), tuple(metric.weight for metric in METRICS)
DEVIATIONS = tuple((index, metric.part) for index, metric in enumerate(METRICS) if metric.kind == "dev")
NOT_N1, OFFLINE, OFFLINE_PRIMARIES, TAGS, LOCATION, PAIRS, RESERVED_SUM = (NAMES.index(name) for name in (
    "n1_cnt", "offline_all_cnt", "offline_pri_cnt", "pri_tags_score", "location_score", "location_exclusion_score",
    "reserved_mem_rtotal"))


def parts(state: State) -> Floats:
    """What the deviations are of: tally (the first PARTS) x node.  Values that cannot be had are not finite."""
    limits = state.limits
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = state.tally[:PARTS, :-1] / limits.divisors[:, :-1]
        if limits.speeds is not None:
            found /= limits.speeds[:, :-1]
        if limits.odd_disks:
            found[DISK] = _disk_part(state, state.free_disk, state.free_spindles)
            found[DISK_FORTH] = _disk_part(state, state.free_disk_forth, state.free_spindles_forth)
    return found


def _disk_part(state: State, disk: Floats, spindles: Floats) -> Floats:
    """Free disk, or free spindles with exclusive storage; 1 where there is nothing to divide by."""
    limits = state.limits
    of_disk = np.where(limits.disk == 0.0, 1.0, disk / limits.disk)
    if limits.any_exclusive:
        of_spindles = np.where(limits.spindles == 0.0, 1.0, spindles / limits.spindles)
        of_disk = np.where(limits.exclusive, of_spindles, of_disk)
    result: Floats = of_disk[:-1]
    return result


def on_node(state: State) -> Floats:
    result: Floats = (state.primaries + state.secondaries)[:-1]
    return result


def on_failing(state: State) -> Floats:
    return np.where(state.failing[:-1], on_node(state), 0.0)


def repeated_tags(state: State) -> Floats:
    """Exclusion tags on the primaries of a node beyond the first of each."""
    if state.tag_counts is None:
        return np.zeros(state.count)
    counts = state.tag_counts[:-1]
    result: Floats = counts.sum(axis=1) - (counts > 0).sum(axis=1)
    return result


def location_pairs(state: State) -> float:
    """Pairs of a location and an exclusion tag beyond the first of each."""
    pairs = state.location_pairs
    return 0.0 if pairs is None else float(pairs.sum() - (pairs > 0).sum())


def per_node(state: State) -> list[Floats]:
    """Values of each metric by node, in the order of METRICS; none for the one that is no sum over nodes."""
    of_parts = parts(state)
    found = [np.empty(0) for _ in METRICS]
    for index, part in DEVIATIONS:
        found[index] = of_parts[part]
    found[NOT_N1], found[OFFLINE], found[OFFLINE_PRIMARIES] = on_failing(state), on_node(state), state.primaries[:-1]
    found[TAGS], found[LOCATION] = repeated_tags(state), state.location_score[:-1]
    found[RESERVED_SUM] = of_parts[RESERVED]
    return found


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


def components(state: State) -> list[float]:
    """The value of each metric, in the order of METRICS; none without online nodes."""
    values = [0.0] * len(METRICS)
    online = state.limits.online[:-1]
    every = bool(online.all())
    if not online.any():
        return []
    of_parts = parts(state) if every else parts(state)[:, online]
    with np.errstate(invalid="ignore", over="ignore"):
        spread = deviations(of_parts).tolist()
    for index, part in DEVIATIONS:
        values[index] = spread[part]
    values[RESERVED_SUM] = added(of_parts[RESERVED])
    if state.failing.any():
        values[NOT_N1] = added(on_failing(state)[online])
    if not every:
        values[OFFLINE] = added(on_node(state)[~online])
        values[OFFLINE_PRIMARIES] = added(state.primaries[:-1][~online])
    if state.tag_counts is not None:
        values[TAGS] = added(repeated_tags(state)[online])
    values[LOCATION] = added(state.location_score[:-1][online]) if state.tags.located else 0.0
    values[PAIRS] = location_pairs(state)
    return values


def total(values: Sequence[float]) -> float:
    """The score that values of METRICS make; 0 without any."""
    found = 0.0
    for weight, value in zip(WEIGHTS, values, strict=bool(values)):
        found += weight * value
    return found


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
