# SPDX-License-Identifier: BSD-2-Clause
"""All candidates of a round at once: what each move would do to the score, from the change it makes alone.

Results are exact but for rounding (some 1e-8); `exact.py` decides between candidates that are nearer than that.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from hbal.core.arrays import State
from hbal.core.feasible import Checks
from hbal.core.instances import Floats, Ints
from hbal.core.moves import PER_TARGET, Allowed, Kind, Move, Restrictions, allowed, make
from hbal.core.planes import Deviations, Reserved, Spread
from hbal.core.score import score
from hbal.core.sums import Sums


class Block:
    """Candidates of some instances: change of the score, infinite where a move is impossible."""

    def __init__(self, rows: Ints, columns: Ints | None, failover: Floats, per_target: Floats) -> None:
        self.rows = rows
        self.columns = columns
        """Targets; None for all nodes."""
        self.failover = failover
        self.per_target = per_target
        """Kind (order of moves.PER_TARGET) x instance x target."""

    @cached_property
    def by_row(self) -> Floats:
        """The lowest change of each instance; to be asked for when the block does not change any more."""
        lowest: Floats = np.minimum.reduce(np.minimum.reduce(self.per_target, axis=2, initial=np.inf), axis=0)
        return np.minimum(lowest, self.failover, out=lowest)

    @cached_property
    def lowest(self) -> float:
        return float(self.by_row.min(initial=np.inf))


class Peers(NamedTuple):
    """The reserved memory that matters to a block; G is memory that a node would keep for another if the instance
    came, by kind (first two: on the target; last two: on the primary, on the secondary).
    """

    rows: Ints
    primary: Ints
    secondary: Ints
    columns: Ints | None
    wanted: Floats
    """What the instance reserves."""
    kept: Floats
    """Kind x instance x target: the entry for the pair of nodes after the move."""
    after_loss: Floats
    """Reserved memory of the secondary without the instance."""
    swapped: Floats
    """The entry of the primary for the secondary after a failover."""


class Profile(NamedTuple):
    """The deviations of a state, that of the reserved memory last."""

    mean_square: Floats
    mean: Floats
    low: Floats
    """The most that a single move takes off a mean square (0 or less)."""
    high: Floats


class Candidates:
    """Evaluates moves on a state.  Call `refresh` after each change of the state."""

    def __init__(self, state: State, rules: Restrictions) -> None:
        self.state, self.rules = state, rules
        self.allowed: Allowed = allowed(state, rules)
        self.deviations = Deviations(state)
        movable, everyone = self.allowed.instances, self.deviations.everyone
        self.rows: Ints = everyone if len(movable) == len(everyone) else movable
        self.reserved = Reserved(state)
        self.checks = Checks(state, rules)
        self.sums = Sums(state, rules)
        self.targets = np.flatnonzero(state.limits.online)
        amounts = state.amounts
        odd = ~amounts.real & amounts.drbd & ~amounts.spindles_known
        self.odd = odd if state.limits.any_exclusive and odd.any() else None
        self._weights = np.append(self.deviations.weights[:len(self.deviations.planes)], 1.0)
        self._largest = np.append(self.deviations.largest(self.rows), self.reserved.largest(self.rows))
        self._moving_states = rules.evacuate or bool((~state.limits.online[:-1]).any())

    def refresh(self) -> None:
        if self._moving_states:
            self.allowed = allowed(self.state, self.rules)
        self.deviations.refresh()
        self.reserved.refresh()
        self.checks.refresh()
        self.sums.refresh()

    @property
    def bounded(self) -> bool:
        """Whether the deviations alone bound what a move can be worth: there is nothing else to gain, and no need to
        count in full.
        """
        return self.odd is None and not self.sums.active

    def profile(self) -> Profile:
        """The deviations at the last refresh, with their means, and between what limits a single move can change a
        mean square.
        """
        deviations, reserved = self.deviations, self.reserved
        distinct = len(deviations.planes)
        square = np.append(deviations.mean_square[:distinct], reserved.mean_square)
        online = self.state.limits.online
        width = np.append(np.ptp(deviations.centred[:distinct, online], axis=1), np.ptp(reserved.twice[online]) / 2.0)
        count, most = max(1, deviations.nodes_online), self._largest
        return Profile(
            square, np.append(deviations.mean, reserved.mean),
            np.maximum(-square, -2.0 * most * width / count - most * most / count**2),
            (2.0 * most * width + 2.0 * most * most) / count)

    def drift(self, before: Profile, after: Profile) -> float:
        """A lower bound (0 or less) of what the change of the deviations does to a candidate whose own nodes did not
        change.
        """
        low, high = np.minimum(before.low, after.low), np.maximum(before.high, after.high)
        v1, v2 = before.mean_square, after.mean_square
        low = np.maximum(low, -np.minimum(v1, v2))
        shift = 2.0 * np.abs(after.mean - before.mean) * self._largest / max(1, self.deviations.nodes_online)

        def root(values: Floats) -> Floats:
            return np.sqrt(np.maximum(values, 0.0))

        at_low = root(v2 + low) - root(v2) - root(v1 + low) + root(v1)
        at_high = root(v2 + high) - root(v2) - root(v1 + high) + root(v1)
        lost = root(v2 + low) - root(v2 + low - shift)
        worst = np.minimum(np.minimum(at_low, at_high), 0.0) - lost
        return float(worst @ self._weights)

    def block(self, rows: Ints, columns: Ints | None = None) -> Block:
        """All moves of the instances `rows` to the nodes `columns`."""
        return self.completed(self.spread(rows, columns))

    def spread(self, rows: Ints, columns: Ints | None = None) -> Spread:
        """What the moves do to the deviations, but for that of the reserved memory."""
        return self.deviations.block(rows, columns)

    def bounds(self, spread: Spread) -> Floats:
        """By instance, what no move changes the score less than; where the candidates are `bounded`."""
        becomes, both_secondary, both_primary = np.minimum.reduce(spread.changes, axis=2)
        at_target = np.minimum(both_secondary, both_primary) + becomes
        as_secondary = np.minimum(both_secondary, both_primary + spread.swapped)
        lowest = np.minimum(np.minimum(at_target, as_secondary), spread.swapped)
        result: Floats = lowest + self.reserved.bounds(*self._lost(spread.rows))
        return result

    def completed(self, spread: Spread) -> Block:
        """All moves of these instances: the whole change of the score."""
        rows, columns = spread.rows, spread.columns
        peers = self._peers(rows, columns)
        change, failover, loss = self._reserve(peers)
        both_secondary, both_primary = spread.changes[1:] + loss[:, None]
        change[0] += both_secondary
        change[2] += both_secondary
        change[2:] += spread.changes[0]
        change[3] += both_primary
        both_primary += spread.swapped[:, None]
        change[1] += both_primary
        failover += spread.swapped
        self.sums.add(change, failover, peers)
        fits, fits_failover = self.checks.masks(rows, peers)
        fits &= self.allowed.per_target[:, rows][:, :, None]
        np.copyto(change, np.inf, where=~fits)
        np.copyto(failover, np.inf, where=~(fits_failover & self.allowed.failover[rows]))
        found = Block(rows, columns, failover, change)
        if self.odd is not None:
            self._recount(found)
        return found

    def _recount(self, block: Block) -> None:
        """Forthcoming instances without data about spindles spoil those of a node by coming back to it."""
        before = score(self.state)
        for row, instance in enumerate(block.rows):
            if self.odd is None or not self.odd[instance]:
                continue
            if np.isfinite(block.failover[row]):
                block.failover[row] = self._in_full(Move(int(instance), Kind.FAILOVER, -1)) - before
            for plane, column in zip(*np.nonzero(np.isfinite(block.per_target[:, row])), strict=True):
                target = int(column if block.columns is None else block.columns[column])
                move = Move(int(instance), PER_TARGET[plane], target)
                block.per_target[plane, row, column] = self._in_full(move) - before

    def _in_full(self, move: Move) -> float:
        after = self.state.copy()
        make(after, move)
        return score(after)

    def _peers(self, rows: Ints, columns: Ints | None) -> Peers:
        state = self.state
        primary, secondary = state.primary[rows], state.secondary[rows]
        table, turned = state.peers[:, :state.count + 1], state.peers_by_primary
        wanted = state.amounts.reserved[rows]
        count = state.count if columns is None else len(columns)
        kept = np.empty((4, len(rows), count))
        if columns is None:
            kept[0], kept[1] = turned[primary, :-1], turned[secondary, :-1]
            kept[2], kept[3] = table[primary, :-1], table[secondary, :-1]
        else:
            first, second = primary[:, None], secondary[:, None]
            kept[0], kept[1] = turned[first, columns], turned[second, columns]
            kept[2], kept[3] = table[first, columns], table[second, columns]
        kept += wanted[:, None]
        return Peers(rows, primary, secondary, columns, wanted, kept,
                     after_loss=self._after_loss(rows), swapped=table[primary, secondary] + wanted)

    def _after_loss(self, rows: Ints) -> Floats:
        """What the secondaries of these instances reserve without them."""
        state = self.state
        primary, secondary = state.primary[rows], state.secondary[rows]
        largest = state.largest[:2, secondary]
        rest = np.where(state.largest_at[0, secondary] == primary, largest[1], largest[0])
        result: Floats = np.maximum(state.peers[secondary, primary] - state.amounts.reserved[rows], rest)
        return result

    def _lost(self, rows: Ints) -> tuple[Ints, Floats]:
        """Secondaries of these instances, and by how much the part of their memory that is reserved shrinks without
        them (0 or less).
        """
        secondary = self.state.secondary[rows]
        loss: Floats = (self._after_loss(rows) - self.state.largest[0, secondary]) * self.reserved.per_unit[secondary]
        return secondary, loss

    def _reserve(self, peers: Peers) -> tuple[Floats, Floats, Floats]:
        """What the two metrics of reserved memory make of each candidate: of moves to targets, of failovers, and
        what is to be added to all of the former, by instance.
        """
        reserved, largest = self.reserved, self.state.largest[0]
        per, twice = reserved.per_unit, reserved.twice
        pri, sec = peers.primary, peers.secondary
        nodes = slice(0, self.state.count) if peers.columns is None else peers.columns
        loss = (peers.after_loss - largest[sec]) * per[sec]
        loss_square = loss * (twice[sec] + loss)
        gain = np.empty_like(peers.kept)
        np.subtract(peers.kept[:2], largest[nodes], out=gain[:2])
        np.subtract(peers.kept[2], largest[pri][:, None], out=gain[2])
        np.subtract(peers.kept[3], peers.after_loss[:, None], out=gain[3])
        np.maximum(gain, 0.0, out=gain)
        gain[:2] *= per[nodes]
        gain[2] *= per[pri][:, None]
        gain[3] *= per[sec][:, None]
        # d (2x + d) for each node, less the square of the sum over N, in powers of the gain
        count = max(1, reserved.nodes_online)
        result: Floats = gain * (1.0 - 1.0 / count)
        shared = 2.0 / count * loss
        result[:2] += twice[nodes] - shared[:, None]
        result[2] += (twice[pri] - shared)[:, None]
        result[3] += (twice[sec] + 2.0 * loss - shared)[:, None]
        result *= gain
        result += (loss_square - loss * loss / count + count * reserved.mean_square)[:, None]
        np.maximum(result, 0.0, out=result)
        np.sqrt(result, out=result)
        result *= count**-0.5
        gain *= 0.25
        result += gain
        gained = np.maximum(peers.swapped - largest[pri], 0.0) * per[pri]
        swap = reserved.change(gained + loss, gained * (twice[pri] + gained) + loss_square)
        return result, swap, 0.25 * loss - reserved.root
