# SPDX-License-Identifier: BSD-2-Clause
"""The metrics that are sums and not deviations: N+1 failures, offline nodes, tags and locations.

On an ordinary cluster (all online, N+1 kept, no tags) none of them can change, and nothing is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hbal.core.arrays import State
from hbal.core.instances import Floats, Ints
from hbal.core.moves import Restrictions

if TYPE_CHECKING:
    from hbal.core.delta import Peers


class Sums:
    """What moves do to the sums; call `refresh` after each change of the state."""

    def __init__(self, state: State, rules: Restrictions) -> None:
        self.state, self.rules = state, rules
        self.online = state.limits.online
        self.any_offline = not bool(self.online[:-1].all())
        tags = state.tags
        self.located = tags.shared is not None or tags.lacking is not None
        self.tagged = tags.exclusion is not None

    def refresh(self) -> None:
        state = self.state
        broken = (state.failing | (state.unallocated <= state.largest[0])) & self.online
        self.n1 = bool(broken.any()) or self.any_offline or self.rules.ignore_soft_errors
        self.on_node = state.primaries + state.secondaries

    @property
    def active(self) -> bool:
        """Whether a move can change one of them."""
        return self.any_offline or self.n1 or self.tagged or self.located or self.global_terms

    @property
    def global_terms(self) -> bool:
        """Whether a move can change what others on untouched nodes are worth."""
        return self.state.location_pairs is not None

    def add(self, change: Floats, failover: Floats, peers: Peers) -> None:
        rows = peers.rows
        if self.any_offline:
            self._leave_offline(change, failover, peers, rows)
        if self.n1:
            self._failing(change, failover, peers, rows)
        if self.tagged:
            self._tags(change, failover, peers, rows)
        if self.located:
            self._locations(change, failover, peers, rows)
        if self.global_terms:
            self._pairs(change, failover, peers, rows)

    def _leave_offline(self, change: Floats, failover: Floats, peers: Peers, rows: Ints) -> None:
        real = self.state.amounts.real[rows]
        drbd = self.state.amounts.drbd[rows]
        primary_off = (~self.online[peers.primary] & real).astype(np.float64)
        secondary_off = (~self.online[peers.secondary] & real & drbd).astype(np.float64)
        change[0] -= 4.0 * secondary_off[:, None]
        change[1] -= 20.0 * primary_off[:, None]
        change[2] -= (4.0 * secondary_off + 16.0 * primary_off)[:, None]
        change[3] -= 20.0 * primary_off[:, None]
        failover += 16.0 * (secondary_off - primary_off)

    def _failing(self, change: Floats, failover: Floats, peers: Peers, rows: Ints) -> None:
        """Instances on nodes that fail N+1, after less before, on the (up to) three nodes of a move."""
        state, pri, sec = self.state, peers.primary, peers.secondary
        nodes = slice(0, state.count) if peers.columns is None else peers.columns
        memory = state.amounts.memory[rows]
        one = state.amounts.real[rows].astype(np.float64)
        was = np.where(state.failing & self.online, self.on_node, 0.0)
        before = was[pri] + was[sec]

        def fails(free: Floats, reserved: Floats, count: Floats, online: Floats) -> Floats:
            return np.where(free <= reserved, count, 0.0) * online

        on = self.online.astype(np.float64)
        at_p, at_s, at_t = self.on_node[pri], self.on_node[sec], self.on_node[nodes]
        free_p, free_s, free_t = state.unallocated[pri], state.unallocated[sec], state.unallocated[nodes]
        kept_p, kept_t, lost_s = state.largest[0, pri], state.largest[0, nodes], peers.after_loss
        failover += (fails(free_p + memory, np.maximum(kept_p, peers.swapped), at_p, on[pri])
                     + fails(free_s - memory, lost_s, at_s, on[sec]) - before)
        gone_p = fails(free_p + memory, kept_p, at_p - one, on[pri])[:, None]
        gone_s = fails(free_s, lost_s, at_s - one, on[sec])[:, None]
        come_t = at_t + one[:, None]
        primary_t = fails(free_t - memory[:, None], kept_t, come_t, on[nodes])
        before_all = before[:, None] + was[nodes]
        change[0] += fails(free_t, np.maximum(kept_t, peers.kept[0]), come_t, on[nodes]) + gone_s + fails(
            free_p, kept_p, at_p, on[pri])[:, None] - before_all
        change[1] += fails(free_t, np.maximum(kept_t, peers.kept[1]), come_t, on[nodes]) + gone_p + fails(
            free_s - memory, lost_s, at_s, on[sec])[:, None] - before_all
        change[2] += primary_t + gone_s + fails(
            (free_p + memory)[:, None], np.maximum(kept_p[:, None], peers.kept[2]), at_p[:, None],
            on[pri][:, None]) - before_all
        change[3] += primary_t + gone_p + fails(
            free_s[:, None], np.maximum(lost_s[:, None], peers.kept[3]), at_s[:, None], on[sec][:, None]) - before_all

    def _tags(self, change: Floats, failover: Floats, peers: Peers, rows: Ints) -> None:
        """Repeated exclusion tags: those that come to the target, less those that leave the primary."""
        state, pri, sec = self.state, peers.primary, peers.secondary
        counts, table = state.tag_counts, state.tags.exclusion
        if counts is None or table is None:
            return
        nodes = slice(0, state.count) if peers.columns is None else peers.columns
        tags = table[rows]
        leave = (tags * (counts[pri] > 1)).sum(axis=1) * self.online[pri]
        swap = 2.0 * ((tags * (counts[sec] > 0)).sum(axis=1) * self.online[sec] - leave)
        direct = 2.0 * (tags @ (counts[nodes] > 0).T.astype(np.float64) - leave[:, None])
        failover += swap
        change[1] += swap[:, None]
        change[2:] += direct

    def _locations(self, change: Floats, failover: Floats, peers: Peers, rows: Ints) -> None:
        """Location tags shared by the two nodes, and desired locations that the primary lacks."""
        state, pri, sec, on = self.state, peers.primary, peers.secondary, self.online
        nodes = slice(0, state.count) if peers.columns is None else peers.columns
        size = state.count + 1
        real = state.amounts.real[rows].astype(np.float64)
        shared = state.tags.shared if state.tags.shared is not None else np.zeros((size, size))
        lacking = np.zeros((len(rows), size)) if state.tags.lacking is None else state.tags.lacking[rows]
        each = np.arange(len(rows))
        lack_p, lack_s, lack_t = lacking[each, pri], lacking[each, sec], lacking[:, nodes]
        before = on[pri] * (shared[pri, sec] + lack_p)
        failover += real * (on[sec] * (shared[sec, pri] + lack_s) - before)
        from_p, from_s = shared[pri][:, nodes], shared[sec][:, nodes]
        many = real[:, None]
        change[0] += many * (on[pri][:, None] * (from_p + lack_p[:, None]) - before[:, None])
        change[1] += many * (on[sec][:, None] * (from_s + lack_s[:, None]) - before[:, None])
        change[2] += many * (from_p + lack_t - before[:, None])
        change[3] += many * (from_s + lack_t - before[:, None])

    def _pairs(self, change: Floats, failover: Floats, peers: Peers, rows: Ints) -> None:
        """Pairs of location and exclusion tag: their number less that of the different ones."""
        state, pri, sec = self.state, peers.primary, peers.secondary
        table, location, pairs = state.tags.exclusion, state.tags.location, state.location_pairs
        if table is None or location is None or pairs is None:
            return
        nodes = slice(0, state.count) if peers.columns is None else peers.columns
        tags = table[rows] * state.amounts.real[rows][:, None]
        at = location[:state.count + 1] * self.online[:, None]
        here = at[pri]
        new, last = tags @ (pairs == 0).T.astype(np.float64), tags @ (pairs == 1).T.astype(np.float64)
        size, total, lost = tags.sum(axis=1), at.sum(axis=1), (last * here).sum(axis=1)
        direct = (size[:, None] * (total[nodes] - total[pri][:, None]) - (new * (1.0 - here)) @ at[nodes].T
                  + lost[:, None] - (last * here) @ at[nodes].T)
        there = at[sec]
        swap = (size * (total[sec] - total[pri]) - (new * (1.0 - here) * there).sum(axis=1)
                + lost - (last * here * there).sum(axis=1))
        failover += swap
        change[1] += swap[:, None]
        change[2:] += direct
