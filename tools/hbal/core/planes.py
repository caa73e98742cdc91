# SPDX-License-Identifier: BSD-2-Clause
"""The deviations of the score, prepared so that what a move does to all of them is one product of matrices.

A deviation over N nodes with values x (mean taken off) and V = sum x²/N becomes, when values change by d on a few
nodes, sqrt(V + (sum d (2x + d) - (sum d)²/N) / N).  An instance leaves one node (a change s there) and comes to a
target t with the change a·b[t]: a is its amount, b what a unit of it does to the value of that node.  The
expression below the root is then a sum of products of something of the instance and something of the target.

Deviations that cannot differ (the twins for forthcoming instances; loads that are equal) are merged.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hbal.core import score
from hbal.core.arrays import (
    CPUS,
    CPUS_FORTH,
    DISK,
    DISK_FORTH,
    LOADS,
    MEMORY,
    MEMORY_FORTH,
    SPINDLES,
    SPINDLES_FORTH,
    State,
)
from hbal.core.instances import Bools, Floats, Ints

PRIMARY, BOTH = "primary", "both"


class Plane(NamedTuple):
    """One deviation.  The amount weighs on PRIMARY or on BOTH nodes of an instance."""

    weight: float
    weighs_on: str
    amount: Floats
    per_unit: Floats
    part: int
    """Where the values of the nodes are among `score.parts`."""
    spindles: Floats | None = None
    """For exclusive storage: the amount that counts on such nodes, where `per_unit` is 0."""
    per_spindle: Floats | None = None
    unknown: Bools | None = None
    """Instances that set the free spindles of a node to -1."""


def inverse(values: Floats, online: Bools) -> Floats:
    """1/x where x is not 0 and the node counts, else 0."""
    usable = online & (values != 0.0)
    return np.where(usable, 1.0 / np.where(usable, values, 1.0), 0.0)


def planes(state: State) -> list[Plane]:
    """All deviations but that of the reserved memory, equal ones merged."""
    amounts, limits = state.amounts, state.limits
    on = limits.online
    memory, cpus = -inverse(limits.memory, on), inverse(limits.cpus * limits.speed, on)
    spindles = inverse(limits.high_spindles, on & ~limits.exclusive)
    one = np.where(on, 1.0, 0.0)
    found = [
        Plane(0.5, PRIMARY, amounts.memory, memory, MEMORY),
        _disk(state, forth=False),
        Plane(0.5, PRIMARY, amounts.cpus, cpus, CPUS),
        *(Plane(1.0, BOTH if row == 2 else PRIMARY, amounts.loads[row], one, LOADS + row) for row in range(4)),
        Plane(0.5, BOTH, amounts.spindle_use, spindles, SPINDLES),
        Plane(0.5, PRIMARY, amounts.memory_forth, memory, MEMORY_FORTH),
        _disk(state, forth=True),
        Plane(0.5, PRIMARY, amounts.cpus_forth, cpus, CPUS_FORTH),
        Plane(0.5, BOTH, amounts.spindle_use_forth, spindles, SPINDLES_FORTH),
    ]
    return merged(found, state)


def _disk(state: State, *, forth: bool) -> Plane:
    amounts, limits = state.amounts, state.limits
    on, exclusive = limits.online, limits.exclusive
    disk = amounts.disk_forth if forth else amounts.disk
    part = DISK_FORTH if forth else DISK
    per_unit = -inverse(limits.disk, on & ~exclusive)
    if not limits.any_exclusive:
        return Plane(0.5, BOTH, disk, per_unit, part)
    counts = np.ones(amounts.number, dtype=np.bool_) if forth else amounts.real
    return Plane(0.5, BOTH, disk, per_unit, part, spindles=amounts.spindles * counts,
                 per_spindle=-inverse(limits.spindles, on & exclusive), unknown=~amounts.spindles_known & counts)


def merged(found: Sequence[Plane], state: State) -> list[Plane]:
    """The planes, those of the primary first; one in the place of all that differ by a factor only."""
    same: dict[tuple[object, ...], tuple[Plane, float]] = {}
    values = score.parts(state)
    values[:, ~state.limits.online[:-1]] = 0.0
    for plane in found:
        shape, unit = _shape(plane, values[plane.part])
        known, known_unit = same.get(shape, (plane, unit))
        weight = plane.weight if known is plane else known.weight + plane.weight * unit / known_unit
        same[shape] = known._replace(weight=weight), known_unit
    return sorted((plane for plane, _ in same.values()), key=lambda plane: plane.weighs_on == BOTH)


def _shape(plane: Plane, values: Floats) -> tuple[tuple[object, ...], float]:
    """What proportional planes have in common, and the factor."""
    if plane.spindles is not None:
        return (plane.weighs_on, plane.amount.tobytes(), plane.per_unit.tobytes(), values.tobytes(),
                plane.spindles.tobytes(), None if plane.unknown is None else plane.unknown.tobytes()), 1.0
    amount, per_unit = np.abs(plane.amount).max(initial=0.0) or 1.0, np.abs(plane.per_unit).max() or 1.0
    unit = float(amount * per_unit)
    sizes = plane.amount / amount, plane.per_unit / per_unit, (values - values.mean()) / unit
    return (plane.weighs_on, *((size.round(9) + 0.0).tobytes() for size in sizes)), unit


class Spread(NamedTuple):
    """What moves do to the weighted deviations."""

    rows: Ints
    columns: Ints | None
    """Targets; None for all nodes."""
    changes: Floats
    """Three tables of instances x targets: the primary's part when the target becomes primary; the part of both nodes
    when the secondary leaves for the target; the same when the primary does.
    """
    swapped: Floats
    """By instance, the primary's part when the secondary becomes primary."""

    def of(self, places: Ints) -> "Spread":
        """Some of its rows."""
        return Spread(self.rows[places], self.columns, self.changes[:, places], self.swapped[places])


class Deviations:
    """The planes of a state stacked: those of the primary, then those of both nodes for an instance that leaves its
    secondary, then the same ones for one that leaves its primary.
    """

    def __init__(self, state: State) -> None:
        self.planes = planes(state)
        self.state = state
        self.online = state.limits.online
        self.nodes_online = int(self.online.sum())
        self.all_online = self.nodes_online == state.count
        self.parts = [plane.part for plane in self.planes]
        self.single = sum(plane.weighs_on == PRIMARY for plane in self.planes)
        self.double = len(self.planes) - self.single
        order = [*range(len(self.planes)), *range(self.single, len(self.planes))]
        self.order = np.array(order)
        chosen = [self.planes[index] for index in order]
        self.weights = np.array([plane.weight for plane in chosen])
        self.amount = np.array([plane.amount for plane in chosen])
        self.per_unit = np.array([plane.per_unit for plane in chosen])
        self.spindles: Floats | None = None
        self.per_spindle: Floats | None = None
        self.unknown: Floats | None = None
        if any(plane.spindles is not None for plane in chosen):
            self._exclusive(chosen)
        self.centred = np.zeros_like(self.per_unit)
        """Values of the nodes less their mean; the last one, no node, stays 0."""
        self.leaves_secondary = np.zeros((len(chosen), 1), dtype=np.bool_)
        self.leaves_secondary[self.single:len(self.planes)] = True
        self.offsets = np.arange(len(chosen))[:, None] * self.per_unit.shape[1]
        self.everyone = np.arange(self.amount.shape[1])
        """All instances: asking for these very rows costs least."""
        self._places: Ints | None = None
        self.source = np.zeros(self.amount.shape, dtype=np.int64)
        self.leave = np.zeros_like(self.amount)
        self.features = self._features()
        self.columns = self._columns()
        self.slope = 2.0 / max(1, self.nodes_online) * (self.per_unit * (self.weights**2)[:, None])[:, :-1]

    def _features(self) -> Floats:
        """Planes x instances x features, those that meet the features of targets in `columns`; what depends on the
        places of the instances is 0.
        """
        nothing = np.zeros_like(self.amount)
        found = [self.amount, self.amount * self.amount, nothing]
        if self.spindles is not None and self.unknown is not None:
            found += [self.spindles, self.spindles * self.spindles, nothing, self.unknown, nothing]
        return np.ascontiguousarray(np.stack([*found, nothing], axis=2))

    def _exclusive(self, chosen: list[Plane]) -> None:
        nothing, nowhere = np.zeros_like(self.amount[0]), np.zeros_like(self.per_unit[0])
        self.spindles = np.array([nothing if one.spindles is None else one.spindles for one in chosen])
        self.per_spindle = np.array([nowhere if one.per_spindle is None else one.per_spindle for one in chosen])
        self.unknown = np.array([nothing if one.unknown is None else one.unknown * 1.0 for one in chosen])

    def refresh(self) -> None:
        """Take up the state as it is now; to be called after each change of it."""
        count = self.nodes_online
        values = score.parts(self.state)[self.parts]
        if not self.all_online:
            values[:, ~self.online[:-1]] = 0.0
        self.mean = np.add.reduce(values, axis=1) / count
        values -= self.mean[:, None]
        if not self.all_online:
            values[:, ~self.online[:-1]] = 0.0
        mean_square = np.einsum("mn,mn->m", values, values) / count
        roots = (np.sqrt(mean_square) * self.weights[:len(self.planes)]).tolist()
        self.root_single, self.root_double = sum(roots[:self.single]), sum(roots[self.single:])
        self.mean_square = mean_square[self.order]
        self.centred[:, :-1] = values[self.order]
        self._refresh_columns()
        self._follow()

    def largest(self, rows: Ints) -> Floats:
        """The most that one of these instances changes the value of a node, for each distinct plane."""
        distinct = len(self.planes)
        most: Floats = np.abs(self.amount[:distinct, rows]).max(axis=1, initial=0.0) * np.abs(
            self.per_unit[:distinct]).max(axis=1)
        if self.spindles is not None and self.per_spindle is not None:
            spindles = self.spindles[:distinct, rows].max(axis=1, initial=0.0) + self.state.limits.spindles.max() + 1.0
            most = np.maximum(most, spindles * np.abs(self.per_spindle[:distinct]).max(axis=1))
        return most

    def _columns(self) -> Floats:
        """Planes x features x nodes, with the squared weight in them; what depends on the state is 0."""
        count, per = max(1, self.nodes_online), self.per_unit
        nothing = np.zeros_like(per)
        features = [nothing, (1.0 - 1.0 / count) / count * per * per, -2.0 / count**2 * per]
        if self.per_spindle is not None:
            per = self.per_spindle
            features += [nothing, (1.0 - 1.0 / count) / count * per * per, -2.0 / count**2 * per, nothing, nothing]
        stacked = np.stack([*features, np.ones_like(per)], axis=1)
        stacked *= (self.weights**2)[:, None, None]
        return np.ascontiguousarray(stacked[:, :, :-1])

    def _refresh_columns(self) -> None:
        """The features that depend on the state."""
        np.multiply(self.slope, self.centred[:, :-1], out=self.columns[:, 0])
        if self.per_spindle is None:
            return
        count, squared = self.nodes_online, (self.weights**2)[:, None]
        gone = self._emptied()
        for place, feature in (
                (3, 2.0 / count * self.per_spindle * self.centred),
                (6, (2.0 * gone * self.centred + (1.0 - 1.0 / count) * gone * gone) / count),
                (7, -2.0 / count**2 * gone)):
            np.multiply(feature[:, :-1], squared, out=self.columns[:, place])

    def _emptied(self) -> Floats:
        """What setting the free spindles to -1 does to the value of a node."""
        rows = []
        for index in self.order:
            forth = self.planes[index].part == DISK_FORTH
            rows.append(self.state.free_spindles_forth if forth else self.state.free_spindles)
        result: Floats = (np.array(rows) + 1.0) * (0.0 if self.per_spindle is None else self.per_spindle)
        return result

    def block(self, rows: Ints, columns: Ints | None) -> Spread:
        """What moving each of the instances does to the weighted deviations."""
        secondary = self.state.secondary[rows]
        whole = rows is self.everyone
        chosen: Ints | slice = slice(None) if whole else rows
        source, leave = self.source[:, chosen], self.leave[:, chosen]
        left = self.centred.ravel().take(source)
        left *= 2.0
        left += leave
        left *= leave
        features = self.features if whole else self.features[:, rows]
        count = self.nodes_online
        features[:, :, -1] = self.mean_square[:, None] + (left - leave * leave * (1.0 / count)) * (1.0 / count)
        squares = np.matmul(features, self.columns if columns is None else self.columns[:, :, columns])
        np.abs(squares, out=squares)  # what is below 0 is so by rounding; a third of the cost of np.maximum
        np.sqrt(squares, out=squares)
        one, two = self.single, len(self.planes)
        swapped = self._swap(self.amount[:one, chosen], leave[:one], left[:one], secondary)
        changes = np.empty((3, *squares.shape[1:]))
        for place, (part, root) in enumerate((
                (squares[:one], self.root_single), (squares[one:two], self.root_double),
                (squares[two:], self.root_double))):
            np.add.reduce(part, axis=0, out=changes[place])
            changes[place] -= root
        return Spread(rows, columns, changes, swapped)

    def _follow(self) -> None:
        """Take up where the instances are now: what each takes along when it leaves a node."""
        state, known = self.state, self._places
        here = np.array([state.primary, state.secondary])
        moved = np.arange(here.shape[1]) if known is None else np.flatnonzero((here != known).any(axis=0))
        self._places = here
        if not len(moved):
            return
        primary, secondary = here[:, moved]
        source = np.where(self.leaves_secondary, secondary, primary) + self.offsets
        amount = self.amount[:, moved]
        leave = -amount * self.per_unit.ravel().take(source)
        if self.spindles is not None and self.per_spindle is not None and self.unknown is not None:
            spindles, unknown = self.spindles[:, moved], self.unknown[:, moved]
            leave -= spindles * self.per_spindle.ravel().take(source)
            self.features[:, moved, 5], self.features[:, moved, 7] = spindles * leave, unknown * leave
        self.features[:, moved, 2] = amount * leave
        self.source[:, moved], self.leave[:, moved] = source, leave

    def _swap(self, amount: Floats, leave: Floats, left: Floats, secondary: Ints) -> Floats:
        one, count = self.single, self.nodes_online
        source = secondary + self.offsets[:one]
        come = amount[:one] * self.per_unit.ravel().take(source)
        both = leave + come
        change = left + come * (2.0 * self.centred.ravel().take(source) + come) - both * both / count
        roots = np.sqrt(np.maximum(self.mean_square[:one, None] + change / count, 0.0))
        swapped: Floats = self.weights[:one] @ roots - self.root_single
        return swapped


class Reserved:
    """The two metrics of the memory that secondaries keep free."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.per_unit = inverse(state.limits.memory, state.limits.online)
        self.nodes_online = int(state.limits.online.sum())

    def refresh(self) -> None:
        state, count, online = self.state, self.nodes_online, self.state.limits.online
        values = np.where(online, state.largest[0] * self.per_unit, 0.0)
        self.mean = float(values.sum() / count)
        values -= self.mean
        self.twice = np.where(online, 2.0 * values, 0.0)
        self.mean_square = float((self.twice @ self.twice) / (4.0 * count))
        self.root = self.mean_square**0.5

    def largest(self, rows: Ints) -> float:
        """The most that one of these instances changes the value of a node."""
        return float(self.state.amounts.reserved[rows].max(initial=0.0) * self.per_unit.max())

    def bounds(self, nodes: Ints, loss: Floats) -> Floats:
        """What the change of the score is at least when the values of these nodes change by `loss` (0 or less) and
        that of another one, or of the same node after that, grows.
        """
        count = self.nodes_online
        at, lowest = 0.5 * self.twice[nodes], float(self.twice.min()) * 0.5
        least = np.minimum(lowest, at + loss)
        square = self.mean_square + (loss * (2.0 * at + loss) - loss * loss / count
                                     - least * least * (count / max(1, count - 1))) / count
        result: Floats = np.sqrt(np.maximum(square, 0.0)) - self.root + 0.25 * loss
        return result

    def change(self, shift: Floats, square: Floats) -> Floats:
        """The change of the score when the values change by `shift` in sum, their squares by `square`."""
        count = self.nodes_online
        result: Floats = shift * shift
        result *= -1.0 / count
        result += square
        result *= 1.0 / count
        result += self.mean_square
        np.maximum(result, 0.0, out=result)
        np.sqrt(result, out=result)
        result -= self.root
        result += 0.25 * shift
        return result
