# SPDX-License-Identifier: BSD-2-Clause
"""Sets of nodes whose guests all find room elsewhere while the nodes are down together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hbal.alloc import checks
from hbal.alloc.checks import FITS
from hbal.alloc.places import as_primary, as_secondary, online
from hbal.core.arrays import State
from hbal.core.instances import Ints
from hbal.errors import Error


class Reboot(NamedTuple):
    """Nodes that go down together, and the state with their guests moved away."""

    nodes: list[int]
    state: State


def without_moves(state: State, nodes: Sequence[int]) -> list[Reboot]:
    return [Reboot([*nodes], state)] if nodes else []


def with_primaries(state: State, nodes: Sequence[int]) -> list[Reboot]:
    """The nodes in sets, each so that its primaries without a second copy fit elsewhere.

    A set comes back before the next one goes, so each starts from the state as it is.
    """
    found: list[Reboot] = []
    waiting = [*nodes]
    while waiting:
        one = _as_many(state, waiting, secondaries=False)
        if not one.nodes:
            raise Error("Not enough capacity to move non-redundant instances")
        found.append(one)
        waiting = [node for node in waiting if node not in one.nodes]
    return found


def _as_many(state: State, nodes: Sequence[int], *, secondaries: bool) -> Reboot:
    """Those of the nodes, one after the other, whose guests find a place while the ones before are down."""
    taken: list[int] = []
    for node in nodes:
        moved = _away(state, node, {*taken, node}, secondaries=secondaries)
        if moved is not None:
            state, taken = moved, [*taken, node]
    return Reboot(taken, state)


def fully(reboot: Reboot) -> list[Reboot]:
    """The set with all guests gone: primaries on their secondaries, and new secondaries found for all."""
    state = reboot.state.copy()
    for node in reboot.nodes:
        _migrate(state, node)
    found: list[Reboot] = []
    waiting = [*reboot.nodes]
    while waiting:
        one = _as_many(state, waiting, secondaries=True)
        if not one.nodes:
            raise Error("Not enough capacity to move secondaries")
        found.append(one)
        waiting = [node for node in waiting if node not in one.nodes]
    return found


def _migrate(state: State, node: int) -> None:
    for row in np.flatnonzero((state.primary == node) & state.amounts.drbd):
        index, secondary = int(row), int(state.secondary[row])
        state.move(index, state.count, state.count)
        modes = checks.primary_modes(state, index, as_primary(state, index), forced=True)
        if modes[secondary] != FITS:
            raise Error("Failed to migrate instances off nodes")
        state.move(index, secondary, node)


def _away(state: State, node: int, down: set[int], *, secondaries: bool) -> State | None:
    """The state with the node's guests (secondaries, or primaries without one) on the first nodes that can have them.

    None where one finds no place.  `down`: the nodes that take nothing.
    """
    trial = state.copy()
    places = trial.secondary if secondaries else trial.primary
    rows = np.flatnonzero((places == node) & (trial.amounts.drbd == secondaries))
    group = trial.nodes[node].group
    targets = np.array([one for one in online(trial) if one not in down and trial.nodes[one].group == group],
                       dtype=np.int64)
    for row in rows[::-1]:
        index, primary = int(row), int(trial.primary[row])
        trial.move(index, trial.count, trial.count)
        target = _first(trial, index, targets, primary if secondaries else None)
        if target is None:
            return None
        trial.move(index, *((primary, target) if secondaries else (target, trial.count)))
    return trial


def _first(state: State, index: int, targets: Ints, primary: int | None) -> int | None:
    """The first target that the hard limits allow; for a new secondary where `primary` is given."""
    if primary is None:
        modes = checks.primary_modes(state, index, as_primary(state, index), forced=True)
    else:
        heads = np.array([primary])
        modes = checks.secondary_modes(state, index, as_secondary(state, index), heads, forced=True)[0]
    fits = [int(node) for node in targets if modes[node] == FITS and node != primary]
    return fits[0] if fits else None
