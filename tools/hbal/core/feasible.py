# SPDX-License-Identifier: BSD-2-Clause
"""Which candidates keep the rules: memory, disk, spindles, cpus, N+1, tags, migration; hard limits always, the soft
ones unless they are ignored or the instance leaves an offline node.

Conditions have the form "what the instance needs < what the node has", so that a block of them is one comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hbal.core.arrays import State
from hbal.core.instances import Bools, Floats, Ints
from hbal.core.moves import Restrictions

if TYPE_CHECKING:
    from hbal.core.delta import Peers

ALWAYS = -np.inf
NEVER = 1e300
"""A need that only a node without a limit (infinite) meets."""


class Conditions:
    """Needs of instances (fixed rows) against what nodes have (columns, taken anew each round)."""

    def __init__(self, needs: list[Floats]) -> None:
        self.unique: list[Floats] = []
        self.place = []
        for need in needs:
            found = next((index for index, one in enumerate(self.unique) if np.array_equal(one, need)), None)
            if found is None:
                found = len(self.unique)
                self.unique.append(need)
            self.place.append(found)
        self.needs = np.array(self.unique)
        self.has = np.empty((0, 0))

    def refresh(self, has: list[Floats]) -> None:
        self.has = np.full((len(self.unique), len(has[0])), np.inf)
        for place, column in zip(self.place, has, strict=True):
            np.minimum(self.has[place], column, out=self.has[place])

    def hold(self, rows: Ints, nodes: Ints | slice) -> Bools:
        """Instances x nodes."""
        needs, has = self.needs[:, rows], self.has[:, nodes]
        result: Bools = np.ones((needs.shape[1], has.shape[1]), dtype=np.bool_)
        for need, have in zip(needs, has, strict=True):
            np.logical_and(result, need[:, None] < have, out=result)
        return result


class Checks:
    """The rules on a state; call `refresh` after each change of it."""

    def __init__(self, state: State, rules: Restrictions) -> None:
        self.state, self.rules = state, rules
        amounts = state.amounts
        self.forth = bool((~amounts.real).any()) or self._guests_coming()
        local, real = amounts.local, amounts.real
        self.ordinary = bool((local & real).all()) and not state.limits.any_exclusive and not self.forth
        """Whether all instances are real and on local disks, and no node has exclusive storage."""
        placed = local & real
        memory = np.where(real, amounts.memory, ALWAYS)
        unknown = np.where(amounts.spindles_known, amounts.spindles, NEVER)
        spindles, self.spindles_forth = np.where(placed, unknown, ALWAYS), np.where(local, unknown, ALWAYS)
        disk = np.where(placed, amounts.disk, ALWAYS)
        reserved = np.where(real, amounts.reserved, ALWAYS)
        hard = [disk, spindles]
        soft = [np.where(placed, amounts.spindle_use, ALWAYS)]
        forth = [np.where(local, amounts.disk_forth, ALWAYS), np.where(local, amounts.spindle_use_forth, ALWAYS),
                 self.spindles_forth] if self.forth else []
        primary = [np.where(real, amounts.memory, ALWAYS), np.where(real, amounts.cpus, ALWAYS), amounts.memory_forth]
        coming = [amounts.cpus_forth] if self.forth else []
        self.primary_hard = Conditions([*hard, memory])
        self.primary = Conditions([*hard, memory, disk, *soft, *primary, *forth, *coming])
        self.secondary_hard = Conditions(hard)
        self.secondary = Conditions([*hard, disk, *soft, reserved, amounts.reserved_forth, *forth])

    def _guests_coming(self) -> bool:
        return not np.array_equal(self.state.used_spindles, self.state.used_spindles_forth) or not np.array_equal(
            self.state.free_disk, self.state.free_disk_forth)

    def refresh(self) -> None:
        state, limits = self.state, self.state.limits
        free_spindles = np.where(limits.exclusive, state.free_spindles + 1.0, np.inf)
        hard = [state.free_disk, free_spindles]
        low = state.free_disk - limits.low_disk + 1.0
        use = np.where(limits.exclusive, np.inf, np.floor(limits.high_spindles) - state.used_spindles + 1.0)
        forth: list[Floats] = []
        coming: list[Floats] = []
        if self.forth:
            disk = np.minimum(state.free_disk_forth, state.free_disk_forth - limits.low_disk + 1.0)
            forth = [disk, np.where(limits.exclusive, np.inf,
                                    np.floor(limits.high_spindles) - state.used_spindles_forth + 1.0),
                     np.where(limits.exclusive, state.free_spindles_forth + 1.0, np.inf)]
            coming = [limits.most_cpus - state.used_cpus_forth + 1.0]
        spare = np.where(state.failing, np.inf, state.unallocated - state.largest[0])
        primary = [spare, limits.most_cpus - state.used_cpus + 1.0, state.free_memory_forth]
        self.primary_hard.refresh([*hard, state.unallocated])
        self.primary.refresh([*hard, state.unallocated, low, use, *primary, *forth, *coming])
        self.secondary_hard.refresh(hard)
        self.secondary.refresh([*hard, low, use, state.unallocated, state.free_memory_forth, *forth])
        # As a secondary the target must keep what it reserves for the other node below this.
        self.reserve_limit = np.where(
            state.failing, np.inf, np.where(state.unallocated <= state.largest[0], -np.inf, state.unallocated))
        self._stay()

    def _stay(self) -> None:
        """What holds of a node that an instance leaves and comes back to (with the other role, for example)."""
        state, limits = self.state, self.state.limits
        self.stay_hard = (state.free_disk > 0.0) & (~limits.exclusive | (state.free_spindles >= 0.0))
        self.stay_soft = (state.free_disk >= limits.low_disk) & (
            limits.exclusive | (state.used_spindles <= limits.high_spindles))
        self.stay_forth = np.ones_like(self.stay_hard)
        if self.forth:
            self.stay_forth = (state.free_disk_forth > 0.0) & (state.free_disk_forth >= limits.low_disk) & (
                limits.exclusive | (state.used_spindles_forth <= limits.high_spindles)) & (
                ~limits.exclusive | (state.free_spindles_forth >= 0.0))

    def masks(self, rows: Ints, peers: Peers) -> tuple[Bools, Bools]:
        """Kind x instance x target, and for failovers by instance: whether the rules allow it."""
        state, online, amounts = self.state, self.state.limits.online, self.state.amounts
        pri, sec = peers.primary, peers.secondary
        nodes = slice(0, state.count) if peers.columns is None else peers.columns
        numbers = np.arange(state.count) if peers.columns is None else peers.columns
        ignore = self.rules.ignore_soft_errors
        primary_off, secondary_off = ~online[pri] | ignore, (~online[sec] & amounts.drbd[rows]) | ignore
        swap_hard, swap_soft = self._secondary_as_primary(rows, peers)
        swap = swap_hard & (swap_soft | primary_off)
        fits = np.empty((4, len(rows), len(numbers)), dtype=np.bool_)
        self._target_secondary(rows, peers, nodes, (secondary_off, primary_off), fits)
        fits[0] &= self._primary_stays(rows, pri)[:, None]
        fits[1] &= swap[:, None]
        self._target_primary(rows, peers, nodes, (secondary_off, primary_off), fits)
        fits[3] &= (swap | ~amounts.drbd[rows])[:, None]
        fits &= online[nodes] & (numbers != pri[:, None]) & (numbers != sec[:, None])
        failover = swap & self._primary_as_secondary(rows, peers)
        self._migrations(rows, peers, nodes, fits)
        migration = state.tags.migration
        return fits, failover if migration is None else failover & migration[pri, sec]

    def _target_secondary(self, rows: Ints, peers: Peers, nodes: Ints | slice, forced: tuple[Bools, Bools],
                          fits: Bools) -> None:
        """r:t and f r:t: the target as secondary of the primary, or of the secondary."""
        fits[:2] = peers.kept[:2] < self.reserve_limit[nodes]
        if not self.state.amounts.real.all():
            fits[:2] |= ~self.state.amounts.real[rows][:, None]
        fits[:2] &= self.secondary.hold(rows, nodes)
        if forced[0].any() or forced[1].any():
            hard = self.secondary_hard.hold(rows, nodes)
            for kind in (0, 1):
                fits[kind] |= hard & forced[kind][:, None]

    def _target_primary(self, rows: Ints, peers: Peers, nodes: Ints | slice, forced: tuple[Bools, Bools],
                        fits: Bools) -> None:
        """r:t f, f r:t f and fa:t: the target as primary, the primary or the secondary as its secondary."""
        state, ignore = self.state, self.rules.ignore_soft_errors
        pri, sec = peers.primary, peers.secondary
        real = state.amounts.real[rows]
        hard = self.primary_hard.hold(rows, nodes) if ignore or forced[1].any() else None
        holds = self.primary.hold(rows, nodes)
        if state.tag_counts is not None and state.tags.exclusion is not None:
            taken = state.tags.exclusion[rows] @ (state.tag_counts[nodes] > 0).T.astype(np.float64)
            holds &= (taken == 0.0) | ~real[:, None]
        memory = state.unallocated[pri] + state.amounts.memory[rows]
        for kind, node, free, reserved, freed in (
                (2, pri, memory, state.largest[0, pri], state.amounts.memory_forth[rows]),
                (3, sec, state.unallocated[sec], peers.after_loss, np.zeros(len(rows)))):
            limit = np.where((free <= reserved) | ~real, np.inf, free)
            fits[kind] = peers.kept[kind] < limit[:, None]
            stays = self._stays(rows, node)
            soft = stays[1] & ((peers.wanted < free) | ~real) & (
                state.amounts.reserved_forth[rows] < state.free_memory_forth[node] + freed)
            fits[kind] &= (stays[0] & (soft | ~state.amounts.drbd[rows]))[:, None]
            if forced[kind - 2].any():
                fits[kind] |= (stays[0] & forced[kind - 2])[:, None]
        fits[2] &= holds if hard is None or not ignore else hard
        fits[3] &= holds if hard is None else np.where(forced[1][:, None], hard, holds)

    def _stays(self, rows: Ints, nodes: Ints) -> tuple[Bools, Bools]:
        """Hard and soft limits of disk and spindles for an instance on a node that it has just left."""
        if self.ordinary:
            return self.stay_hard[nodes], self.stay_soft[nodes]
        amounts = self.state.amounts
        local, real = amounts.local[rows], amounts.real[rows]
        known = amounts.spindles_known[rows] | ~self.state.limits.exclusive[nodes]
        hard = ~(local & real) | (self.stay_hard[nodes] & known)
        soft = ~(local & real) | self.stay_soft[nodes]
        if self.forth:
            soft = soft & (~local | (self.stay_forth[nodes] & known))
        return hard, soft

    def _secondary_as_primary(self, rows: Ints, peers: Peers) -> tuple[Bools, Bools]:
        """The secondary takes the primary's role, having been relieved of its own."""
        state, limits, amounts, sec = self.state, self.state.limits, self.state.amounts, peers.secondary
        hard, soft = self._stays(rows, sec)
        free, memory = state.unallocated[sec], amounts.memory[rows]
        hard = hard & (~amounts.real[rows] | (memory < free))
        breaks = (free - memory <= peers.after_loss) & (free > peers.after_loss)
        cpus = state.used_cpus[sec] + amounts.cpus[rows] <= limits.most_cpus[sec]
        soft = soft & ((~breaks & cpus) | ~amounts.real[rows]) & (
            amounts.memory_forth[rows] < state.free_memory_forth[sec])
        if self.forth:
            soft = soft & (state.used_cpus_forth[sec] + amounts.cpus_forth[rows] <= limits.most_cpus[sec])
        if state.tag_counts is not None and state.tags.exclusion is not None:
            taken = (state.tags.exclusion[rows] * (state.tag_counts[sec] > 0)).sum(axis=1)
            soft = soft & ((taken == 0) | ~amounts.real[rows])
        return hard, soft

    def _primary_as_secondary(self, rows: Ints, peers: Peers) -> Bools:
        """The last part of a failover: the old primary as secondary of the old secondary."""
        state, amounts, pri = self.state, self.state.amounts, peers.primary
        hard, soft = self._stays(rows, pri)
        free, reserved = state.unallocated[pri] + amounts.memory[rows], state.largest[0, pri]
        breaks = (free <= np.maximum(reserved, peers.swapped)) & (free > reserved)
        soft = soft & ((~breaks & (peers.wanted < free)) | ~amounts.real[rows]) & (
            amounts.reserved_forth[rows] < state.free_memory_forth[pri] + amounts.memory_forth[rows])
        spindles = ~state.limits.exclusive[pri] | ~amounts.real[rows] | (
            amounts.spindles_known[rows] & (state.free_spindles[pri] >= 0.0))
        left = ~state.limits.online[pri] & spindles
        result: Bools = left | (hard & (soft | self.rules.ignore_soft_errors))
        return result

    def _primary_stays(self, rows: Ints, pri: Ints) -> Bools:
        """r:t puts the primary back on its node: only the hard limits count."""
        hard, _ = self._stays(rows, pri)
        result: Bools = hard & (~self.state.amounts.real[rows] | (self.state.unallocated[pri] > 0.0))
        return result

    def _migrations(self, rows: Ints, peers: Peers, nodes: Ints | slice, fits: Bools) -> None:
        table = self.state.tags.migration
        if table is None:
            return
        pri, sec = peers.primary, peers.secondary
        drbd = self.state.amounts.drbd[rows]
        swap, direct = table[pri, sec], table[pri][:, nodes]
        fits[1] &= swap[:, None]
        fits[2] &= direct
        fits[3] &= np.where(drbd[:, None], swap[:, None] & table[sec][:, nodes], direct)
