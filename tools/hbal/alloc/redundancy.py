# SPDX-License-Identifier: BSD-2-Clause
"""Global N+1: whether every node could be evacuated, soft rules ignored.

A node can be evacuated when its DRBD primaries fail over one after the other, then those that any node can open find
another node of the group, and then the rest could be made anew on other nodes of the group.  Offline nodes are not left
out: they may be back by then.  Without the last two kinds the answer is a comparison of tables, for all candidates of
an allocation at once.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from hbal.alloc import checks, values
from hbal.alloc.places import as_primary, scored
from hbal.core.arrays import State
from hbal.core.instances import Bools, Floats, Ints
from hbal.model import Template

FREE = frozenset({Template.DISKLESS, Template.SHAREDFILE, Template.RBD, Template.EXT, Template.GLUSTER})
"""Templates of instances that go to any node as they are."""


class Tolerance(NamedTuple):
    """What the test leaves out."""

    offline_nodes: bool = False
    groups: frozenset[int] = frozenset()


STRICT = Tolerance()


def redundant(state: State, tolerance: Tolerance = STRICT) -> bool:
    """Whether every node could be evacuated."""
    return next(iter(stuck(state, tolerance)), None) is None


def stuck(state: State, tolerance: Tolerance = STRICT) -> Iterable[int]:
    """The nodes that could not be evacuated."""
    fine = failovers(state).fine
    rest = _others(state)
    for node in range(state.count):
        if tolerance.offline_nodes and not state.limits.online[node]:
            continue
        if state.nodes[node].group in tolerance.groups:
            continue
        if not fine[node] or (node in rest and not _leaves(state, node, rest[node])):
            yield node


def placed(state: State) -> Bools:
    """Which instances are on nodes of the state; those that are only to come need not leave them."""
    return state.amounts.real & (state.primary < state.count)


class Failovers(NamedTuple):
    """What the failover of a node's DRBD primaries comes to.  Tables: primary x secondary."""

    fine: Bools
    """Whether all primaries of a node can fail over."""
    memory: Floats
    """Memory that comes to the secondary."""
    coming: Bools
    """Whether any instance comes."""


def failovers(state: State) -> Failovers:
    """All nodes, each for itself.  Hard limits only: memory that is left, disk and spindles not overdrawn."""
    amounts, size = state.amounts, state.count + 1
    rows = np.flatnonzero(amounts.drbd & placed(state) & (state.secondary < state.count))
    pri, sec = state.primary[rows], state.secondary[rows]
    memory, coming = np.zeros((size, size)), np.zeros((size, size), dtype=np.bool_)
    np.add.at(memory, (pri, sec), amounts.memory[rows])
    coming[pri, sec] = True
    bad = coming & (memory >= state.unallocated[None, :])
    full = (state.free_disk <= 0) | (state.limits.exclusive & (state.free_spindles < 0))
    unknown = state.limits.exclusive[sec] & ~amounts.spindles_known[rows]
    overdrawn = state.limits.exclusive & (state.free_spindles < 0)
    back = np.where(state.limits.online[pri], full[pri], overdrawn[pri])
    stopped = full[sec] | back | unknown
    fine = ~bad.any(axis=1)
    fine[pri[stopped]] = False
    migration = state.tags.migration
    if migration is not None:
        fine[pri[~migration[pri, sec]]] = False
    return Failovers(fine, memory, coming)


def closed(state: State) -> bool:
    """Whether `pairs_kept` can tell: only DRBD instances, and none that counts physical spindles."""
    return not (_others(state) or state.limits.exclusive.any())


def pairs_kept(state: State, index: int, primaries: Ints, secondaries: Ints) -> Bools:
    """Primaries x secondaries: whether the cluster is redundant with a DRBD instance on that pair, which the hard
    limits allow.  For states that are `closed`.
    """
    now = failovers(state)
    if not now.fine[:-1].all():
        return np.zeros((len(primaries), len(secondaries)), dtype=np.bool_)
    amount = float(state.amounts.memory[index])
    most = np.where(now.coming, now.memory, -np.inf).max(axis=0)
    kept = np.broadcast_to((most < state.unallocated - amount)[primaries][:, None],
                           (len(primaries), len(secondaries)))
    if state.amounts.real[index]:
        coming = now.memory[np.ix_(primaries, secondaries)] + amount
        kept = kept & (coming < state.unallocated[secondaries])
    migration = state.tags.migration
    return kept if migration is None else kept & migration[np.ix_(primaries, secondaries)]


def _others(state: State) -> dict[int, list[int]]:
    """By node its primaries that have no secondary to fail over to."""
    found: dict[int, list[int]] = {}
    for index in np.flatnonzero(~state.amounts.drbd & placed(state)):
        found.setdefault(int(state.primary[index]), []).append(int(index))
    return found


def _leaves(state: State, node: int, others: list[int]) -> bool:
    """Whether the node's primaries without a secondary find room, once the others have failed over."""
    trial = state.copy()
    for swapped in np.flatnonzero((trial.primary == node) & trial.amounts.drbd & trial.amounts.real):
        trial.move(int(swapped), int(trial.secondary[swapped]), node)
    others = others[::-1]
    free = [index for index in others if trial.instances[index].template in FREE]
    rest = sorted((index for index in others if index not in set(free)),
                  key=lambda index: -trial.instances[index].memory)
    group = trial.nodes[node].group
    targets = np.array([one for one in range(trial.count) if one != node and trial.nodes[one].group == group],
                       dtype=np.int64)
    counted, everywhere = scored(trial, group), scored(trial)
    for index in free:
        allowed = targets
        if trial.tags.migration is not None:
            allowed = targets[trial.tags.migration[node, targets]]
        if not _settle(trial, index, allowed, counted):
            return False
    for index in rest:
        policy = trial.data.groups[group].policy
        fails = [one for one in targets if checks.policy_failure(
            trial.instances[index], policy, exclusive=bool(trial.limits.exclusive[one])) is not None]
        if not _settle(trial, index, np.setdiff1d(targets, fails), everywhere):
            return False
    return True


def _settle(trial: State, index: int, targets: Ints, counted: Bools) -> bool:
    """Move an instance to the best of the targets, if any can have it."""
    trial.move(index, trial.count, trial.count)
    grown = as_primary(trial, index)
    fits = targets[checks.primary_modes(trial, index, grown, forced=True)[targets] == checks.FITS]
    if not len(fits):
        return False
    scores = values.singles(trial, index, fits, grown, counted)
    trial.move(index, int(fits[last_best(scores)]), trial.count)
    return True


def last_best(scores: Floats) -> int:
    """The place of the lowest score; of equal ones the last."""
    return len(scores) - 1 - int(np.argmin(scores[::-1]))
