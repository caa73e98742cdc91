# SPDX-License-Identifier: BSD-2-Clause
"""Sets of nodes whose guests all find room elsewhere while the nodes are down together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hbal.alloc import checks
from hbal.alloc.checks import FITS
from hbal.alloc.places import as_primary, as_secondary, online
from hbal.core.arrays import State
from hbal.core.instances import Bools, Ints
from hbal.errors import Error


class Guests(NamedTuple):
    """Where the guests are, and which were moved, the last one last."""

    state: State
    moved: tuple[int, ...] = ()

    def copy(self) -> "Guests":
        return Guests(self.state.copy(), self.moved)

    def to(self, index: int, primary: int, secondary: int) -> "Guests":
        """The guest has been taken off its nodes: put it on these."""
        self.state.move(index, primary, secondary)
        return Guests(self.state, (*self.moved, index))

    def latest_first(self, chosen: Bools) -> list[int]:
        """The instances, those that were moved last first; forthcoming ones have nothing to be moved."""
        arrival = {index: place for place, index in enumerate(self.moved)}
        rows = np.flatnonzero(chosen & self.state.amounts.real)
        return sorted(map(int, rows), key=lambda row: (arrival.get(row, -1), row), reverse=True)


class Reboot(NamedTuple):
    """Nodes that go down together, and their guests moved away."""

    nodes: list[int]
    guests: Guests


def without_moves(state: State, nodes: Sequence[int]) -> list[Reboot]:
    return [Reboot([*nodes], Guests(state))] if nodes else []


def with_primaries(state: State, nodes: Sequence[int]) -> list[Reboot]:
    """The nodes in sets, each so that its primaries without a second copy fit elsewhere.

    A set comes back before the next one goes, so each starts from the state as it is.
    """
    return _parts(Guests(state), nodes, secondaries=False,
                  complaint="Not enough capacity to move non-redundant instances")


def migrated(reboot: Reboot) -> Reboot:
    """The set with its mirrored primaries on their secondaries."""
    guests = reboot.guests.copy()
    for node in reboot.nodes:
        guests = _migrate(guests, node)
    return Reboot(reboot.nodes, guests)


def fully(reboot: Reboot) -> list[Reboot]:
    """The set, after `migrated`, in parts, each so that new secondaries are found for all guests."""
    return _parts(reboot.guests, reboot.nodes, secondaries=True, complaint="Not enough capacity to move secondaries")


def _parts(guests: Guests, nodes: Sequence[int], *, secondaries: bool, complaint: str) -> list[Reboot]:
    found: list[Reboot] = []
    waiting = [*nodes]
    while waiting:
        one = _as_many(guests, waiting, secondaries=secondaries)
        if not one.nodes:
            raise Error(complaint)
        found.append(one)
        waiting = [node for node in waiting if node not in one.nodes]
    return found


def _as_many(guests: Guests, nodes: Sequence[int], *, secondaries: bool) -> Reboot:
    """Those of the nodes, one after the other, whose guests find a place while the ones before are down."""
    taken: list[int] = []
    for node in nodes:
        moved = _away(guests, node, {*taken, node}, secondaries=secondaries)
        if moved is not None:
            guests, taken = moved, [*taken, node]
    return Reboot(taken, guests)


def _migrate(guests: Guests, node: int) -> Guests:
    state = guests.state
    for index in guests.latest_first((state.primary == node) & state.amounts.drbd):
        secondary = int(state.secondary[index])
        state.move(index, state.count, state.count)
        modes = checks.primary_modes(state, index, as_primary(state, index), forced=True)
        back = checks.secondary_modes(state, index, as_secondary(state, index), np.array([secondary]), forced=True)[0]
        if modes[secondary] != FITS or back[node] != FITS:
            raise Error("Failed to migrate instances off nodes")
        guests = guests.to(index, secondary, node)
    return guests


def _away(guests: Guests, node: int, down: set[int], *, secondaries: bool) -> Guests | None:
    """The node's guests (secondaries, or primaries without one) on the first nodes that can have them.

    None where one finds no place.  `down`: the nodes that take nothing.
    """
    trial = guests.copy()
    state = trial.state
    places = state.secondary if secondaries else state.primary
    group = state.nodes[node].group
    targets = np.array([one for one in online(state) if one not in down and state.nodes[one].group == group],
                       dtype=np.int64)
    for index in trial.latest_first((places == node) & (state.amounts.drbd == secondaries)):
        primary = int(state.primary[index])
        state.move(index, state.count, state.count)
        target = _first(state, index, targets, primary if secondaries else None)
        if target is None:
            return None
        trial = trial.to(index, *((primary, target) if secondaries else (target, state.count)))
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
