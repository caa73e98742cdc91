# SPDX-License-Identifier: BSD-2-Clause
"""Look for a better placement than single steps find: moves are drawn with a probability that falls with what they
cost, at a temperature that is lowered slowly.  What has to be copied to get there from the original placement has a
price.
"""

from typing import NamedTuple

import numpy as np

from hbal.core.arrays import State
from hbal.core.delta import Block, Candidates
from hbal.core.instances import Bools, Floats, Ints
from hbal.core.moves import PER_TARGET, Kind, Move, Restrictions, make
from hbal.core.swaps import Swaps, possible

COST = 0.03
MIGRATION = 2.0
"""What migrating a MiB of memory costs, a MiB of disk copied being 1: it disturbs the guest."""


class Origin(NamedTuple):
    """Where the instances are before anything is moved."""

    primary: Ints
    secondary: Ints

    @classmethod
    def of(cls, state: State) -> "Origin":
        return cls(state.primary.copy(), state.secondary.copy())

    def knows(self, rows: Ints, nodes: Ints) -> Bools:
        """Whether the node of each instance has its data already."""
        result: Bools = (nodes == self.primary[rows]) | (nodes == self.secondary[rows])
        return result

    def copied(self, state: State) -> float:
        """MiB to copy for the placement of `state`."""
        rows = np.arange(len(state.instances))
        new = (~self.knows(rows, state.primary)).astype(np.float64) + ~self.knows(rows, state.secondary)
        return float((new * state.amounts.disk)[state.secondary < state.count].sum())


class Annealing:
    """Changes a state by batches of moves on different nodes."""

    def __init__(self, state: State, rules: Restrictions, origin: Origin, seed: int = 1) -> None:
        self.state, self.origin = state, origin
        self.candidates = Candidates(state, rules)
        self.rows = self.candidates.rows
        self.swaps = Swaps(self.candidates) if possible(state) else None
        self.random = np.random.default_rng(seed)
        self.price = 0.0
        """Of a MiB, in units of the score."""

    def set_price(self) -> None:
        """Copying all disks is worth a part of what the nodes differ by now."""
        self.candidates.refresh()
        spread = self.candidates.deviations.root_single + self.candidates.deviations.root_double
        self.price = COST * spread / max(1.0, float(self.state.amounts.disk.sum()))

    def sweep(self, temperature: float, batch: int, width: int) -> int:
        """Give every instance one chance to move, `batch` at a time, to `width` nodes drawn for each batch; returns
        the number of moves made.
        """
        made = 0
        order = self.random.permutation(self.rows)
        for start in range(0, len(order), batch):
            made += self._batch(order[start:start + batch], width, temperature)
        return made

    def some(self, temperature: float, batch: int, width: int) -> int:
        """Give a few instances a chance to move."""
        rows = self.random.choice(self.rows, min(batch, len(self.rows)), replace=False)
        return self._batch(rows, width, temperature)

    def _batch(self, rows: Ints, width: int, temperature: float) -> int:
        columns = None
        if width < self.state.count:
            columns = np.sort(self.random.choice(self.state.count, width, replace=False))
        self.candidates.refresh()
        return self._apply(self.candidates.block(rows, columns), temperature)

    def exchange(self, temperature: float, pairs: int, *, primaries: bool) -> int:
        """Let `pairs` random pairs of instances exchange primaries or secondaries; returns how many did."""
        if self.swaps is None or len(self.swaps.rows) < 2:
            return 0
        state, made = self.state, 0
        here = state.primary if primaries else state.secondary
        first, second = self.random.choice(self.swaps.rows, (2, pairs))
        self.candidates.refresh()
        worth = self.swaps.changes(first, second, primaries=primaries)
        if self.price:
            worth += self._price_of(first, here[first], here[second])
            worth += self._price_of(second, here[second], here[first])
            if primaries:
                worth += self._price_to_migrate(first, second) + self._price_to_migrate(second, first)
        worth -= temperature * self.random.exponential(size=pairs)
        taken = np.zeros(state.peers.shape[1], dtype=np.bool_)
        for pair in np.argsort(worth):
            if worth[pair] >= -1e-9:
                break
            one, two = int(first[pair]), int(second[pair])
            nodes = [state.primary[one], state.secondary[one], state.primary[two], state.secondary[two]]
            if taken[nodes].any():
                continue
            taken[nodes] = True
            self._swap(one, two, primaries=primaries)
            made += 1
        return made

    def _swap(self, one: int, two: int, *, primaries: bool) -> None:
        state = self.state
        first = int(state.primary[one]), int(state.secondary[one])
        second = int(state.primary[two]), int(state.secondary[two])
        state.move(one, *((second[0], first[1]) if primaries else (first[0], second[1])))
        state.move(two, *((first[0], second[1]) if primaries else (second[0], first[1])))

    def _price_of(self, instances: Ints, leaves: Ints, comes: Ints) -> Floats:
        new = (~self.origin.knows(instances, comes)).astype(np.float64) - ~self.origin.knows(instances, leaves)
        result: Floats = new * (self.price * self.state.amounts.disk[instances])
        return result

    def _price_of_failover(self, rows: Ints) -> Floats:
        state, home = self.state, self.origin.primary[rows]
        away = (state.secondary[rows] != home).astype(np.float64) - (state.primary[rows] != home)
        result: Floats = away * (self.price * MIGRATION * state.amounts.memory[rows])
        return result

    def _price_to_migrate(self, instances: Ints, others: Ints) -> Floats:
        here, home = self.state.primary, self.origin.primary[instances]
        away = (here[others] != home).astype(np.float64) - (here[instances] != home)
        result: Floats = away * (self.price * MIGRATION * self.state.amounts.memory[instances])
        return result

    def _apply(self, block: Block, temperature: float) -> int:
        """Draw a move for each instance, or none, and make those whose nodes are all different, best first."""
        state = self.state
        worth = self._priced(block)
        failover = block.failover + self._price_of_failover(block.rows)
        flat = np.concatenate([worth.transpose(1, 0, 2).reshape(len(block.rows), -1), failover[:, None],
                               np.zeros((len(block.rows), 1))], axis=1)
        if temperature > 0.0:
            flat -= temperature * self.random.gumbel(size=flat.shape)
        choice = flat.argmin(axis=1)
        best = flat[np.arange(len(choice)), choice]
        stay = flat.shape[1] - 1
        columns = np.arange(state.count) if block.columns is None else block.columns
        taken = np.zeros(state.peers.shape[1], dtype=np.bool_)
        made = 0
        for row in np.argsort(best):
            if choice[row] == stay or not np.isfinite(best[row]):
                continue
            instance = int(block.rows[row])
            own = [int(state.primary[instance]), int(state.secondary[instance])]
            if taken[own[0]] or taken[own[1]]:
                continue
            pick = self._untaken(flat[row], int(choice[row]), taken[columns])
            if pick == stay:
                continue
            plane, column = divmod(pick, len(columns))
            target = int(columns[column]) if plane < len(PER_TARGET) else -1
            taken[own] = True
            taken[target] |= target >= 0
            taken[state.count] = False
            make(state, Move(instance, self._kind(instance, plane), target))
            made += 1
        return made

    @staticmethod
    def _untaken(worth: Floats, choice: int, taken: Bools) -> int:
        """The choice, or the best one left when another instance has its target already."""
        width = len(taken)
        if choice >= len(PER_TARGET) * width or not taken[choice % width]:
            return choice
        worth[:-2].reshape(-1, width)[:, taken] = np.inf
        return int(worth.argmin())

    def _kind(self, instance: int, plane: int) -> Kind:
        if plane >= len(PER_TARGET):
            return Kind.FAILOVER
        return PER_TARGET[plane] if self.state.amounts.drbd[instance] else Kind.FAILOVER_ANY

    def _priced(self, block: Block) -> Floats:
        """The changes with the price of what is to be copied."""
        if not self.price:
            return block.per_target
        state, rows = self.state, block.rows
        nodes = np.arange(state.count) if block.columns is None else block.columns
        price = self.price * state.amounts.disk[rows]
        primary, secondary = self.origin.primary[rows], self.origin.secondary[rows]
        new = ~((nodes == primary[:, None]) | (nodes == secondary[:, None])) * price[:, None]
        primary_new = ~self.origin.knows(rows, state.primary[rows]) * price
        secondary_new = ~self.origin.knows(rows, state.secondary[rows]) * price
        moved = (self.price * MIGRATION) * state.amounts.memory[rows]
        away = (state.primary[rows] != primary) * moved
        leaves_secondary, leaves_primary = new - secondary_new[:, None], new - primary_new[:, None]
        worth = block.per_target.copy()
        worth[0] += leaves_secondary
        worth[2] += leaves_secondary
        worth[1] += leaves_primary + ((state.secondary[rows] != primary) * moved - away)[:, None]
        worth[3] += leaves_primary
        worth[2:] += (nodes != primary[:, None]) * moved[:, None] - away[:, None]
        return worth


class Schedule(NamedTuple):
    """How long to look, and how far."""

    sweeps: int
    """At most so many chances for every instance while the nodes are far from balanced."""
    first_batch: int
    first_width: int
    """Instances evaluated at once, and targets for them, at that time."""
    rounds: int
    """Of exchanges and single moves, while it cools down."""
    batch: int
    width: int
    pairs: int
    """Exchanges tried in a round."""
    hot: float
    cold: float


def anneal(state: State, rules: Restrictions, schedule: Schedule, budget: float | None) -> State:
    """The state at the end; where `budget` is given, the price of copying is steered to keep to so many MiB."""
    origin, work = Origin.of(state), state.copy()
    found = Annealing(work, rules, origin)
    if not len(found.rows):
        return work
    found.set_price()
    for _ in range(schedule.sweeps):
        made = found.sweep(schedule.hot, schedule.first_batch, schedule.first_width)
        if made * 20 < len(found.rows):
            break
    cooling = (schedule.cold / schedule.hot) ** (1.0 / max(1, schedule.rounds))
    temperature = schedule.hot
    for number in range(schedule.rounds):
        _round(found, schedule, temperature)
        temperature *= cooling
        if number % 5 == 4 and budget is not None:
            found.price *= 1.1 if origin.copied(work) > 0.98 * budget else 1.0 / 1.1
    if budget is not None and origin.copied(work) < 0.96 * budget:
        found.price *= 0.2
    for number in range(max(10, schedule.rounds // 10)):
        _round(found, schedule, 0.0)
        if budget is not None and number % 5 == 4 and origin.copied(work) > budget:
            found.price *= 2.0
    for _ in range(2):
        found.sweep(0.0, schedule.first_batch, schedule.first_width)
    return work


def _round(found: Annealing, schedule: Schedule, temperature: float) -> None:
    found.exchange(temperature, schedule.pairs, primaries=True)
    found.exchange(temperature, schedule.pairs, primaries=False)
    found.some(temperature, schedule.batch, schedule.width)
