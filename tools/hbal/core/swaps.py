# SPDX-License-Identifier: BSD-2-Clause
"""Two instances exchange a node: what that does to the score.

Where numbers of instances are balanced, any single move unbalances them; an exchange does not.  It is evaluated for
DRBD instances on ordinary nodes only (no tags, no exclusive storage, nothing offline); others are left to single
moves.
"""

import numpy as np

from hbal.core.arrays import State
from hbal.core.delta import Candidates
from hbal.core.instances import Bools, Floats, Ints


def possible(state: State) -> bool:
    """Whether exchanges can be evaluated on this state."""
    tags = state.tags
    plain = (tags.exclusion is None and tags.shared is None and tags.lacking is None and tags.migration is None)
    return (plain and not state.limits.any_exclusive and bool(state.limits.online[:-1].all())
            and bool(state.amounts.real.all()))


class Swaps:
    """Evaluates exchanges on the state of `candidates`, which is refreshed already."""

    def __init__(self, candidates: Candidates) -> None:
        self.state, self.candidates = candidates.state, candidates
        fixed = candidates.allowed
        self.rows: Ints = np.flatnonzero(fixed.per_target[3] & self.state.amounts.drbd)
        """Instances whose nodes may both change."""

    def changes(self, first: Ints, second: Ints, *, primaries: bool) -> Floats:
        """The change of the score when each pair exchanges its primaries or secondaries; infinite where the four
        nodes are not all different or a limit is broken.
        """
        state = self.state
        here, there = (state.primary, state.secondary) if primaries else (state.secondary, state.primary)
        a, b, u, v = here[first], here[second], there[first], there[second]
        fits = (a != b) & (a != v) & (b != u) & (u != v)
        change = self._deviations(first, second, a, b, primaries=primaries)
        if primaries:
            kept = self._rows_of_others(first, second, a, b, u, v)
            nodes = (u, v)
        else:
            kept = self._rows_of_pair(first, second, a, b, u, v)
            nodes = (a, b)
        change += self._reserved(nodes, kept)
        fits &= self._limits(first, second, a, b, primaries=primaries)
        fits &= self._keeps_n1(first, second, nodes, kept, None if not primaries else (a, b))
        change[~fits] = np.inf
        return change

    def _deviations(self, first: Ints, second: Ints, a: Ints, b: Ints, *, primaries: bool) -> Floats:
        deviations = self.candidates.deviations
        start = 0 if primaries else deviations.single
        planes = slice(start, len(deviations.planes))
        count = deviations.nodes_online
        given = deviations.amount[planes][:, first] - deviations.amount[planes][:, second]
        per, at = deviations.per_unit[planes], deviations.centred[planes]
        from_a, to_b = -given * per[:, a], given * per[:, b]
        both = from_a + to_b
        square = from_a * (2.0 * at[:, a] + from_a) + to_b * (2.0 * at[:, b] + to_b) - both * both / count
        before = deviations.mean_square[planes]
        roots = np.sqrt(np.maximum(before[:, None] + square / count, 0.0)) - np.sqrt(before)[:, None]
        result: Floats = deviations.weights[planes] @ roots
        return result

    def _without(self, nodes: Ints, one: Ints, other: Ints) -> Floats:
        """Largest entry of the rows of `nodes` in columns other than these two."""
        largest, at = self.state.largest[:, nodes], self.state.largest_at[:, nodes]
        out = (at == one) | (at == other)
        result: Floats = np.where(~out[0], largest[0], np.where(~out[1], largest[1], largest[2]))
        return result

    def _rows_of_pair(self, first: Ints, second: Ints, a: Ints, b: Ints,
                      u: Ints, v: Ints) -> tuple[Floats, Floats]:
        """Secondaries: node a keeps memory for v in the place of u, node b the other way round."""
        peers, wanted = self.state.peers, self.state.amounts.reserved
        one, two = wanted[first], wanted[second]
        kept_a = np.maximum(np.maximum(peers[a, u] - one, peers[a, v] + two), self._without(a, u, v))
        kept_b = np.maximum(np.maximum(peers[b, v] - two, peers[b, u] + one), self._without(b, u, v))
        return kept_a, kept_b

    def _rows_of_others(self, first: Ints, second: Ints, a: Ints, b: Ints,
                        u: Ints, v: Ints) -> tuple[Floats, Floats]:
        """Primaries: the secondaries u and v keep their memory for the other of a and b."""
        peers, wanted = self.state.peers, self.state.amounts.reserved
        one, two = wanted[first], wanted[second]
        kept_u = np.maximum(np.maximum(peers[u, a] - one, peers[u, b] + one), self._without(u, a, b))
        kept_v = np.maximum(np.maximum(peers[v, b] - two, peers[v, a] + two), self._without(v, a, b))
        return kept_u, kept_v

    def _reserved(self, nodes: tuple[Ints, Ints], kept: tuple[Floats, Floats]) -> Floats:
        reserved, largest = self.candidates.reserved, self.state.largest[0]
        shift, square = np.zeros(len(kept[0])), np.zeros(len(kept[0]))
        for node, now in zip(nodes, kept, strict=True):
            step = (now - largest[node]) * reserved.per_unit[node]
            shift += step
            square += step * (reserved.twice[node] + step)
        return reserved.change(shift, square)

    def _limits(self, first: Ints, second: Ints, a: Ints, b: Ints, *, primaries: bool) -> Bools:
        state, limits, amounts = self.state, self.state.limits, self.state.amounts
        disk = amounts.disk[first] - amounts.disk[second]
        use = amounts.spindle_use[first] - amounts.spindle_use[second]
        fits: Bools = np.ones(len(first), dtype=np.bool_)
        for node, sign in ((a, -1.0), (b, 1.0)):
            free = state.free_disk[node] - sign * disk
            fits &= (free > 0.0) & (free >= limits.low_disk[node])
            fits &= state.used_spindles[node] + sign * use <= limits.high_spindles[node]
            if primaries:
                cpus = amounts.cpus[first] - amounts.cpus[second]
                memory = amounts.memory_forth[first] - amounts.memory_forth[second]
                fits &= state.used_cpus[node] + sign * cpus <= limits.most_cpus[node]
                fits &= state.free_memory_forth[node] - sign * memory > 0.0
        return fits

    def _keeps_n1(self, first: Ints, second: Ints, nodes: tuple[Ints, Ints], kept: tuple[Floats, Floats],
                  primaries: tuple[Ints, Ints] | None) -> Bools:
        state, amounts = self.state, self.state.amounts
        fits: Bools = (kept[0] < state.unallocated[nodes[0]]) & (kept[1] < state.unallocated[nodes[1]])
        if primaries is not None:
            memory = amounts.memory[first] - amounts.memory[second]
            for node, sign in zip(primaries, (-1.0, 1.0), strict=True):
                fits &= state.unallocated[node] - sign * memory > state.largest[0, node]
        return fits
