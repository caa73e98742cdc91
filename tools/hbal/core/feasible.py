# SPDX-License-Identifier: BSD-2-Clause
"""Which candidates keep the rules: memory, disk, spindles, cpus, N+1, tags, migration; hard limits always, the soft
ones unless they are ignored or the instance leaves an offline node.

Conditions have the form "what the instance needs < what the node has", so that a block of them is one comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class Needs:
    """What instances need (a row each resource), against what nodes have of it (taken anew each round).

    Most needs are met by every node most of the time: those are not compared.
    """

    def __init__(self, needs: dict[str, Floats]) -> None:
        self.place = {name: place for place, name in enumerate(needs)}
        self.needs = np.array([*needs.values()])
        self.most = self.needs.max(axis=1, initial=ALWAYS)
        self.has = np.empty((0, 0))
        self.close: list[bool] = []

    def refresh(self, has: dict[str, Floats], online: Bools | None) -> None:
        """`online`: the nodes that count, None for all."""
        self.has = np.array([has[name] for name in self.place])
        counted = self.has[:, :-1] if online is None else self.has[:, :-1][:, online]
        self.close = (~(self.most < counted.min(axis=1, initial=np.inf))).tolist()

    def met(self, names: Sequence[str], rows: Ints, nodes: Ints | slice) -> Bools | None:
        """Instances x nodes: whether all these needs are met; None where every node meets them."""
        result: Bools | None = None
        for place in (self.place[name] for name in names if name in self.place):
            if self.close[place]:
                one = self.needs[place, rows][:, None] < self.has[place, nodes]
                result = one if result is None else np.logical_and(result, one, out=result)
        return result


HARD_SECONDARY = ("disk", "spindles")
HARD_PRIMARY = (*HARD_SECONDARY, "memory")
SOFT = ("low disk", "use", "disk forth", "use forth", "spindles forth")
SECONDARY = (*HARD_SECONDARY, *SOFT, "reserved", "reserved forth")
PRIMARY = (*HARD_PRIMARY, *SOFT, "spare", "cpus", "memory forth", "cpus forth")


class Checks:
    """The rules on a state; call `refresh` after each change of it."""

    def __init__(self, state: State, rules: Restrictions) -> None:
        self.state, self.rules = state, rules
        amounts, limits = state.amounts, state.limits
        self.forth = bool((~amounts.real).any()) or self._guests_coming()
        self.all_real, self.all_drbd = bool(amounts.real.all()), bool(amounts.drbd.all())
        self.simple = bool(amounts.local.all()) and self.all_real and not limits.any_exclusive and not self.forth
        """Whether all instances are real and on local disks, and no node has exclusive storage."""
        self.online = None if limits.online[:-1].all() else limits.online[:-1]
        self.lenient = rules.ignore_soft_errors or self.online is not None
        """Whether soft limits may not count for a move."""
        self.needs = Needs(self._needs())
        self.free_spindles, self.free_use = self._unlimited()
        self.stays: tuple[Bools, Bools, Bools] | None = None

    def _needs(self) -> dict[str, Floats]:
        amounts, limits = self.state.amounts, self.state.limits
        local, real = amounts.local, amounts.real
        placed = local & real
        unknown = np.where(amounts.spindles_known, amounts.spindles, NEVER)
        disk, memory = np.where(placed, amounts.disk, ALWAYS), np.where(real, amounts.memory, ALWAYS)
        needs = {
            "disk": disk, "memory": memory, "spare": memory, "use": np.where(placed, amounts.spindle_use, ALWAYS),
            "cpus": np.where(real, amounts.cpus, ALWAYS), "memory forth": amounts.memory_forth,
            "reserved": np.where(real, amounts.reserved, ALWAYS), "reserved forth": amounts.reserved_forth}
        if limits.low_disk.any():
            needs["low disk"] = disk
        if limits.any_exclusive:
            needs["spindles"] = np.where(placed, unknown, ALWAYS)
        if self.forth:
            needs |= {"disk forth": np.where(local, amounts.disk_forth, ALWAYS), "cpus forth": amounts.cpus_forth,
                      "use forth": np.where(local, amounts.spindle_use_forth, ALWAYS),
                      "spindles forth": np.where(local, unknown, ALWAYS)}
        return needs

    def _guests_coming(self) -> bool:
        return not np.array_equal(self.state.used_spindles, self.state.used_spindles_forth) or not np.array_equal(
            self.state.free_disk, self.state.free_disk_forth)

    def _unlimited(self) -> tuple[Floats, Floats]:
        """Where spindles are no limit, and where their use is none: infinite there, else 0."""
        exclusive = self.state.limits.exclusive
        return np.where(exclusive, 0.0, np.inf), np.where(exclusive, np.inf, 0.0)

    def refresh(self) -> None:
        state, limits = self.state, self.state.limits
        reserved, failing = state.largest[0], state.failing
        use = np.floor(limits.high_spindles) + 1.0 + self.free_use
        has = {
            "disk": state.free_disk, "memory": state.unallocated, "use": use - state.used_spindles,
            "spare": state.unallocated - reserved, "cpus": limits.most_cpus - state.used_cpus + 1.0,
            "memory forth": state.free_memory_forth, "reserved": state.unallocated,
            "reserved forth": state.free_memory_forth}
        # As a secondary the target must keep what it reserves for the other node below this.
        self.reserve_limit = np.where(state.unallocated <= reserved, -np.inf, state.unallocated)
        if failing.any():
            has["spare"][failing] = self.reserve_limit[failing] = np.inf
        if "low disk" in self.needs.place:
            has["low disk"] = state.free_disk - limits.low_disk + 1.0
        if limits.any_exclusive:
            has["spindles"] = state.free_spindles + 1.0 + self.free_spindles
        if self.forth:
            has["disk forth"] = np.minimum(state.free_disk_forth, state.free_disk_forth - limits.low_disk + 1.0)
            has["use forth"] = use - state.used_spindles_forth
            has["spindles forth"] = state.free_spindles_forth + 1.0 + self.free_spindles
            has["cpus forth"] = limits.most_cpus - state.used_cpus_forth + 1.0
        self.needs.refresh(has, self.online)
        self._stay()

    def _stay(self) -> None:
        """What holds of a node that an instance leaves and comes back to (with the other role, for example)."""
        state, limits = self.state, self.state.limits
        hard, forth = state.free_disk > 0.0, np.empty(0, dtype=np.bool_)
        soft = (state.free_disk >= limits.low_disk) & (
            limits.exclusive | (state.used_spindles <= limits.high_spindles))
        if limits.any_exclusive:
            hard &= ~limits.exclusive | (state.free_spindles >= 0.0)
        if self.forth:
            forth = (state.free_disk_forth > 0.0) & (state.free_disk_forth >= limits.low_disk) & (
                limits.exclusive | (state.used_spindles_forth <= limits.high_spindles)) & (
                ~limits.exclusive | (state.free_spindles_forth >= 0.0))
        self.stays = None if self.simple and bool((hard & soft)[:-1].all()) else (hard, soft, forth)

    def masks(self, rows: Ints, peers: Peers) -> tuple[Bools, Bools]:
        """Kind x instance x target, and for failovers by instance: whether the rules allow it."""
        state, pri, sec = self.state, peers.primary, peers.secondary
        nodes = slice(0, state.count) if peers.columns is None else peers.columns
        numbers = np.arange(state.count) if peers.columns is None else peers.columns
        forced = self._forced(rows, peers)
        swap_hard, swap_soft = self._secondary_as_primary(rows, peers)
        swap = swap_hard & (swap_soft if forced is None else swap_soft | forced[1])
        fits = np.empty((4, len(rows), len(numbers)), dtype=np.bool_)
        self._target_secondary(rows, peers, nodes, forced, fits)
        fits[0] &= self._primary_stays(rows, pri)[:, None]
        fits[1] &= swap[:, None]
        self._target_primary(rows, peers, nodes, forced, fits)
        fits[3] &= (swap if self.all_drbd else swap | ~state.amounts.drbd[rows])[:, None]
        elsewhere = (numbers != pri[:, None]) & (numbers != sec[:, None])
        fits &= elsewhere if self.online is None else elsewhere & state.limits.online[nodes]
        failover = swap & self._primary_as_secondary(rows, peers)
        self._migrations(rows, peers, nodes, fits)
        migration = state.tags.migration
        return fits, failover if migration is None else failover & migration[pri, sec]

    def _forced(self, rows: Ints, peers: Peers) -> tuple[Bools, Bools] | None:
        """Which instances soft limits do not count for because of their secondary, and of their primary; None when
        they count for all.
        """
        if not self.lenient:
            return None
        online, ignore = self.state.limits.online, self.rules.ignore_soft_errors
        return (~online[peers.secondary] & self.state.amounts.drbd[rows]) | ignore, ~online[peers.primary] | ignore

    def _target_secondary(self, rows: Ints, peers: Peers, nodes: Ints | slice, forced: tuple[Bools, Bools] | None,
                          fits: Bools) -> None:
        """r:t and f r:t: the target as secondary of the primary, or of the secondary."""
        np.less(peers.kept[:2], self.reserve_limit[nodes], out=fits[:2])
        if not self.all_real:
            fits[:2] |= ~self.state.amounts.real[rows][:, None]
        met = self.needs.met(SECONDARY, rows, nodes)
        if met is not None:
            fits[:2] &= met
        if forced is not None and (forced[0].any() or forced[1].any()):
            hard = self.needs.met(HARD_SECONDARY, rows, nodes)
            for kind in (0, 1):
                fits[kind] |= forced[kind][:, None] if hard is None else hard & forced[kind][:, None]

    def _target_primary(self, rows: Ints, peers: Peers, nodes: Ints | slice, forced: tuple[Bools, Bools] | None,
                        fits: Bools) -> None:
        """r:t f, f r:t f and fa:t: the target as primary, the primary or the secondary as its secondary."""
        state = self.state
        self._target_other(rows, peers, forced, fits)
        met = self.needs.met(PRIMARY, rows, nodes)
        if state.tag_counts is not None and state.tags.exclusion is not None:
            taken = state.tags.exclusion[rows] @ (state.tag_counts[nodes] > 0).T.astype(np.float64)
            free = (taken == 0.0) | ~state.amounts.real[rows][:, None]
            met = free if met is None else met & free
        if met is None:
            return
        if forced is None:
            fits[2:] &= met
            return
        hard = self.needs.met(HARD_PRIMARY, rows, nodes)
        least = np.ones_like(met) if hard is None else hard
        fits[2] &= least if self.rules.ignore_soft_errors else met
        fits[3] &= np.where(forced[1][:, None], least, met)

    def _target_other(self, rows: Ints, peers: Peers, forced: tuple[Bools, Bools] | None, fits: Bools) -> None:
        """For the same moves, what is asked of the node that becomes, or stays, the secondary."""
        state, amounts, pri, sec = self.state, self.state.amounts, peers.primary, peers.secondary
        kept_forth = amounts.reserved_forth[rows]
        for kind, node, free, reserved, forth in (
                (2, pri, state.unallocated[pri] + amounts.memory[rows], state.largest[0, pri],
                 state.free_memory_forth[pri] + amounts.memory_forth[rows]),
                (3, sec, state.unallocated[sec], peers.after_loss, state.free_memory_forth[sec])):
            limit, enough = np.where(free <= reserved, np.inf, free), peers.wanted < free
            if not self.all_real:
                limit[~amounts.real[rows]], enough = np.inf, enough | ~amounts.real[rows]
            hard, soft = self._stays(rows, node)
            good = soft & enough & (kept_forth < forth)
            if not self.all_drbd:
                good |= ~amounts.drbd[rows]
            limit[~(hard & good)] = -np.inf
            np.less(peers.kept[kind], limit[:, None], out=fits[kind])
            if forced is not None:
                fits[kind] |= (hard & forced[kind - 2])[:, None]

    def _stays(self, rows: Ints, nodes: Ints) -> tuple[Bools | np.bool, Bools | np.bool]:
        """Hard and soft limits of disk and spindles for an instance on a node that it has just left."""
        if self.stays is None:
            return np.True_, np.True_
        stay_hard, stay_soft, stay_forth = self.stays
        if self.simple:
            return stay_hard[nodes], stay_soft[nodes]
        amounts = self.state.amounts
        local, real = amounts.local[rows], amounts.real[rows]
        known = amounts.spindles_known[rows] | ~self.state.limits.exclusive[nodes]
        hard = ~(local & real) | (stay_hard[nodes] & known)
        soft = ~(local & real) | stay_soft[nodes]
        if self.forth:
            soft = soft & (~local | (stay_forth[nodes] & known))
        return hard, soft

    def _secondary_as_primary(self, rows: Ints, peers: Peers) -> tuple[Bools, Bools]:
        """The secondary takes the primary's role, having been relieved of its own."""
        state, limits, amounts, sec = self.state, self.state.limits, self.state.amounts, peers.secondary
        stay_hard, stay_soft = self._stays(rows, sec)
        free, memory = state.unallocated[sec], amounts.memory[rows]
        fits, keeps = memory < free, (free - memory > peers.after_loss) | (free <= peers.after_loss)
        keeps &= state.used_cpus[sec] + amounts.cpus[rows] <= limits.most_cpus[sec]
        if not self.all_real:
            fits |= ~amounts.real[rows]
            keeps |= ~amounts.real[rows]
        soft = stay_soft & keeps & (amounts.memory_forth[rows] < state.free_memory_forth[sec])
        if self.forth:
            soft &= state.used_cpus_forth[sec] + amounts.cpus_forth[rows] <= limits.most_cpus[sec]
        if state.tag_counts is not None and state.tags.exclusion is not None:
            taken = (state.tags.exclusion[rows] * (state.tag_counts[sec] > 0)).sum(axis=1)
            soft &= (taken == 0) | ~amounts.real[rows]
        return stay_hard & fits, soft

    def _primary_as_secondary(self, rows: Ints, peers: Peers) -> Bools:
        """The last part of a failover: the old primary as secondary of the old secondary."""
        state, amounts, pri = self.state, self.state.amounts, peers.primary
        hard, soft = self._stays(rows, pri)
        free, reserved = state.unallocated[pri] + amounts.memory[rows], state.largest[0, pri]
        keeps = (free > np.maximum(reserved, peers.swapped)) | (free <= reserved)
        keeps &= peers.wanted < free
        if not self.all_real:
            keeps |= ~amounts.real[rows]
        good = soft & keeps & (
            amounts.reserved_forth[rows] < state.free_memory_forth[pri] + amounts.memory_forth[rows])
        result: Bools = hard & (good | self.rules.ignore_soft_errors)
        if self.online is not None:
            spindles = ~state.limits.exclusive[pri] | ~amounts.real[rows] | (
                amounts.spindles_known[rows] & (state.free_spindles[pri] >= 0.0))
            result |= ~state.limits.online[pri] & spindles
        return result

    def _primary_stays(self, rows: Ints, pri: Ints) -> Bools:
        """r:t puts the primary back on its node: only the hard limits count."""
        hard, _ = self._stays(rows, pri)
        some = self.state.unallocated[pri] > 0.0
        result: Bools = hard & (some if self.all_real else some | ~self.state.amounts.real[rows])
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
