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
from hbal.core.arrays import State
from hbal.core.instances import Bools, Floats, Ints
from hbal.core.score import PerNode

PRIMARY, BOTH = "primary", "both"


class Plane(NamedTuple):
    """One deviation.  The amount weighs on PRIMARY or on BOTH nodes of an instance."""

    weight: float
    weighs_on: str
    amount: Floats
    per_unit: Floats
    values: PerNode
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
        Plane(0.5, PRIMARY, amounts.memory, memory, score.memory_part),
        _disk(state, forth=False),
        Plane(0.5, PRIMARY, amounts.cpus, cpus, score.cpu_part),
        *(Plane(1.0, BOTH if row == 2 else PRIMARY, amounts.loads[row], one, score.load(row)) for row in range(4)),
        Plane(0.5, BOTH, amounts.spindle_use, spindles, score.spindle_part),
        Plane(0.5, PRIMARY, amounts.memory_forth, memory, score.memory_part_forth),
        _disk(state, forth=True),
        Plane(0.5, PRIMARY, amounts.cpus_forth, cpus, score.cpu_part_forth),
        Plane(0.5, BOTH, amounts.spindle_use_forth, spindles, score.spindle_part_forth),
    ]
    return merged(found, state)


def _disk(state: State, *, forth: bool) -> Plane:
    amounts, limits = state.amounts, state.limits
    on, exclusive = limits.online, limits.exclusive
    disk = amounts.disk_forth if forth else amounts.disk
    values = score.disk_part_forth if forth else score.disk_part
    per_unit = -inverse(limits.disk, on & ~exclusive)
    if not limits.any_exclusive:
        return Plane(0.5, BOTH, disk, per_unit, values)
    counts = np.ones(amounts.number, dtype=np.bool_) if forth else amounts.real
    return Plane(0.5, BOTH, disk, per_unit, values, spindles=amounts.spindles * counts,
                 per_spindle=-inverse(limits.spindles, on & exclusive), unknown=~amounts.spindles_known & counts)


def merged(found: Sequence[Plane], state: State) -> list[Plane]:
    same: dict[tuple[object, ...], Plane] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        values = [plane.values(state).tobytes() for plane in found]
    for plane, at_nodes in zip(found, values, strict=True):
        key = (plane.weighs_on, plane.amount.tobytes(), plane.per_unit.tobytes(), at_nodes,
               None if plane.spindles is None else plane.spindles.tobytes(),
               None if plane.unknown is None else plane.unknown.tobytes())
        known = same.get(key)
        weight = plane.weight + (known.weight if known else 0.0)
        same[key] = Plane(weight, plane.weighs_on, plane.amount, plane.per_unit, (known or plane).values,
                          plane.spindles, plane.per_spindle, plane.unknown)
    return sorted(same.values(), key=lambda plane: plane.weighs_on == BOTH)


class Deviations:
    """The planes of a state stacked: those of the primary, then those of both nodes for an instance that leaves its
    secondary, then the same ones for one that leaves its primary.
    """

    def __init__(self, state: State) -> None:
        self.planes = planes(state)
        self.state = state
        self.online = state.limits.online
        self.nodes_online = int(self.online.sum())
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
        self.leaves_secondary = np.zeros((len(chosen), 1), dtype=np.bool_)
        self.leaves_secondary[self.single:len(self.planes)] = True
        self.offsets = np.arange(len(chosen))[:, None] * self.per_unit.shape[1]
        self._rows: Ints | None = None
        self._of_rows = (self.amount, self.amount)

    def _exclusive(self, chosen: list[Plane]) -> None:
        nothing, nowhere = np.zeros_like(self.amount[0]), np.zeros_like(self.per_unit[0])
        self.spindles = np.array([nothing if one.spindles is None else one.spindles for one in chosen])
        self.per_spindle = np.array([nowhere if one.per_spindle is None else one.per_spindle for one in chosen])
        self.unknown = np.array([nothing if one.unknown is None else one.unknown * 1.0 for one in chosen])

    def refresh(self) -> None:
        """Take up the state as it is now; to be called after each change of it."""
        state, count = self.state, self.nodes_online
        values = np.zeros((len(self.planes), state.count + 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            for row, plane in enumerate(self.planes):
                values[row, :-1] = plane.values(state)
        values[:, ~self.online] = 0.0
        self.mean = values.sum(axis=1) / count
        values -= self.mean[:, None]
        values[:, ~self.online] = 0.0
        self.mean_square = (np.einsum("mn,mn->m", values, values) / count)[self.order]
        self.centred = values[self.order]
        roots = self.weights * np.sqrt(self.mean_square)
        self.root_single = float(roots[:self.single].sum())
        self.root_double = float(roots[self.single:len(self.planes)].sum())
        self.columns = self._columns()

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
        """Planes x features x nodes; the squared weight is in them."""
        count, per = self.nodes_online, self.per_unit
        features = [2.0 / count * per * self.centred, (1.0 - 1.0 / count) / count * per * per, -2.0 / count**2 * per]
        if self.per_spindle is not None and self.unknown is not None:
            per = self.per_spindle
            features += [2.0 / count * per * self.centred, (1.0 - 1.0 / count) / count * per * per,
                         -2.0 / count**2 * per]
            gone = self._emptied()
            features += [(2.0 * gone * self.centred + (1.0 - 1.0 / count) * gone * gone) / count,
                         -2.0 / count**2 * gone]
        features.append(np.ones_like(self.per_unit))
        stacked: Floats = np.stack(features, axis=1)
        stacked *= (self.weights**2)[:, None, None]
        return np.ascontiguousarray(stacked[:, :, :-1])

    def _emptied(self) -> Floats:
        """What setting the free spindles to -1 does to the value of a node."""
        rows = []
        for index in self.order:
            forth = self.planes[index].values is score.disk_part_forth
            rows.append(self.state.free_spindles_forth if forth else self.state.free_spindles)
        result: Floats = (np.array(rows) + 1.0) * (0.0 if self.per_spindle is None else self.per_spindle)
        return result

    def block(self, rows: Ints, columns: Ints | None) -> tuple[Floats, Floats, Floats, Floats]:
        """What moving each of the instances does to the weighted deviations.

        Returns (instances x targets): the primary's part when the target becomes primary; the part of both nodes
        when the secondary leaves for the target, and when the primary does; and (instances) the primary's part
        when the secondary becomes primary.
        """
        state = self.state
        primary, secondary = state.primary[rows], state.secondary[rows]
        source = np.where(self.leaves_secondary, secondary, primary) + self.offsets
        amount, squared = self._amounts_of(rows)
        per = self.per_unit.ravel().take(source)
        leave = -amount * per
        spindles = amount
        if self.spindles is not None and self.per_spindle is not None:
            spindles = self.spindles[:, rows]
            leave -= spindles * self.per_spindle.ravel().take(source)
        at_source = self.centred.ravel().take(source)
        count = self.nodes_online
        left = leave * (2.0 * at_source + leave)
        constant = self.mean_square[:, None] + (left - leave * leave / count) / count
        features = [amount, squared, amount * leave]
        if self.spindles is not None and self.unknown is not None:
            unknown = self.unknown[:, rows]
            features += [spindles, spindles * spindles, spindles * leave, unknown, unknown * leave]
        features.append(constant)
        targets = self.columns if columns is None else self.columns[:, :, columns]
        squares = np.matmul(np.array(features).transpose(1, 2, 0), targets)
        np.maximum(squares, 0.0, out=squares)
        np.sqrt(squares, out=squares)
        one, two = self.single, len(self.planes)
        swapped = self._swap(amount, leave[:one], left[:one], secondary)
        return (squares[:one].sum(axis=0) - self.root_single, squares[one:two].sum(axis=0) - self.root_double,
                squares[two:].sum(axis=0) - self.root_double, swapped)

    def _amounts_of(self, rows: Ints) -> tuple[Floats, Floats]:
        """The amounts of these instances and their squares; kept while the same instances are asked for."""
        if rows is not self._rows:
            amount = self.amount[:, rows]
            self._rows, self._of_rows = rows, (amount, amount * amount)
        return self._of_rows

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
