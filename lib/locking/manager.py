# SPDX-License-Identifier: BSD-2-Clause
"""The locks of the cluster, on the master's event loop.

Why there is no deadlock: everyone takes locks in one order (level, then name) and none is added later.
Why nobody starves: a lock is granted in the order priority, age; nobody passes a waiter they conflict with.
A lock exists only while somebody holds or wants it, and granting costs what the lock's own queue costs.
"""

import asyncio
import bisect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gantry.locking.modes import CONFLICTS, LEVELS, Key, Mode, Wanted, key_name
from gantry.utils import counting

_RANK = tuple[int, int, int]


class Claim:
    """All that one owner holds and waits for.  `owner` is a job id: lower is older."""

    def __init__(self, owner: int, priority: int, number: int) -> None:
        self.owner = owner
        self.priority = priority
        self.number = number
        self.held: dict[Key, Mode] = {}
        self.waits_for: Key | None = None
        self.waited = False
        self.mode = Mode.S
        self.granted: asyncio.Future[None] | None = None

    @property
    def rank(self) -> _RANK:
        return (self.priority, self.owner, self.number)

    def names(self, level: str) -> frozenset[str]:
        """Names held at a level; the lockset is not among them."""
        wanted = LEVELS.index(level)
        return frozenset(name for place, name in self.held if place == wanted and name)


@dataclass
class _Lock:
    """`counts`: holders by mode.  `queue`: waiters by rank."""

    counts: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    holders: dict[int, Claim] = field(default_factory=dict)
    queue: list[tuple[_RANK, Claim]] = field(default_factory=list)

    def free_for(self, mode: Mode) -> bool:
        return not any(self.counts[other] for other in CONFLICTS[mode])

    def passes(self, mode: Mode, rank: _RANK) -> bool:
        """Whether taking it in `mode` would pass no conflicting waiter of a better rank."""
        conflicts = CONFLICTS[mode]
        for ahead, claim in self.queue:
            if ahead > rank:
                return True
            if claim.mode in conflicts:
                return False
        return True


class LockManager:
    """Use `async with manager.hold(...)`; all is given back when the block is left, however that happens."""

    def __init__(self) -> None:
        self._locks: dict[Key, _Lock] = {}
        self._claims: dict[int, Claim] = {}
        self._numbers = 0

    @asynccontextmanager
    async def hold(self, owner: int, wanted: Wanted, *, priority: int = 0) -> AsyncIterator[Claim]:
        """Take everything in `wanted`, waiting as long as it takes.  To give up, cancel the waiting task."""
        claim = self._claim(owner, priority)
        try:
            for key, mode, only_if_free in wanted.in_order():
                if not self._take(claim, key, mode) and not only_if_free:
                    await self._wait(claim, key, mode)
            yield claim
        finally:
            self.release(claim)

    def take_now(self, owner: int, wanted: Wanted, *, priority: int = 0) -> Claim | None:
        """Take everything at once, or nothing; the caller must `release` it."""
        claim = self._claim(owner, priority)
        for key, mode, only_if_free in wanted.in_order():
            if not self._take(claim, key, mode) and not only_if_free:
                self.release(claim)
                return None
        return claim

    def set_priority(self, owner: int, priority: int) -> None:
        """From now on the owner's claims wait with this priority."""
        for claim in [claim for claim in self._claims.values() if claim.owner == owner]:
            key = claim.waits_for
            if key is None:
                claim.priority = priority
                continue
            lock = self._locks[key]
            self._unqueue(lock, claim)
            claim.priority = priority
            bisect.insort(lock.queue, (claim.rank, claim), key=_by_rank)
            self._grant(key, lock)

    def release(self, claim: Claim) -> None:
        """Give back everything; harmless when done already."""
        self._claims.pop(claim.number, None)
        if claim.waits_for is not None:
            key, claim.waits_for = claim.waits_for, None
            self._unqueue(self._locks[key], claim)
            self._after_change(key)
        for key, mode in reversed(list(claim.held.items())):
            lock = self._locks[key]
            lock.counts[mode] -= 1
            del lock.holders[claim.number]
            self._after_change(key)
        claim.held.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Every lock that is held or wanted: `name`, `mode` (shared, exclusive or None), `owner` (job ids),
        `pending` (list of [mode, [job ids]] in the order of granting)."""
        return [self._row(key, lock) for key, lock in sorted(self._locks.items())]

    def _row(self, key: Key, lock: _Lock) -> dict[str, Any]:
        mode = None
        if lock.holders:
            mode = "exclusive" if lock.counts[Mode.X] or lock.counts[Mode.IX] else "shared"
        return {"name": key_name(key), "mode": mode,
                "owner": sorted(claim.owner for claim in lock.holders.values()),
                "pending": [[claim.mode.word, [claim.owner]] for _, claim in lock.queue]}

    def claims(self) -> Iterator[Claim]:
        return iter(self._claims.values())

    # --- within -----------------------------------------------------------------------------------------

    def _claim(self, owner: int, priority: int) -> Claim:
        self._numbers += 1
        claim = Claim(owner, priority, self._numbers)
        self._claims[claim.number] = claim
        return claim

    def _take(self, claim: Claim, key: Key, mode: Mode) -> bool:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = _Lock()
        elif not lock.free_for(mode) or not lock.passes(mode, claim.rank):
            return False
        self._give(lock, key, claim, mode)
        return True

    async def _wait(self, claim: Claim, key: Key, mode: Mode) -> None:
        claim.granted = asyncio.get_running_loop().create_future()
        claim.waits_for, claim.mode, claim.waited = key, mode, True
        bisect.insort(self._locks[key].queue, (claim.rank, claim), key=_by_rank)
        with counting.LOCK_SECONDS.time(LEVELS[key[0]]):
            await claim.granted

    @staticmethod
    def _give(lock: _Lock, key: Key, claim: Claim, mode: Mode) -> None:
        lock.counts[mode] += 1
        lock.holders[claim.number] = claim
        claim.held[key] = mode

    @staticmethod
    def _unqueue(lock: _Lock, claim: Claim) -> None:
        place = bisect.bisect_left(lock.queue, claim.rank, key=_by_rank)
        del lock.queue[place]

    def _after_change(self, key: Key) -> None:
        lock = self._locks[key]
        if lock.queue:
            self._grant(key, lock)
        elif not lock.holders:
            del self._locks[key]

    def _grant(self, key: Key, lock: _Lock) -> None:
        """Give the lock to all waiters, best rank first, that conflict with no holder and no one ahead."""
        blocked: set[Mode] = set()
        left: list[tuple[_RANK, Claim]] = []
        for place, (rank, claim) in enumerate(lock.queue):
            if lock.counts[Mode.X] or Mode.X in blocked:
                left.extend(lock.queue[place:])
                break
            if not lock.free_for(claim.mode) or blocked.intersection(CONFLICTS[claim.mode]):
                blocked.add(claim.mode)
                left.append((rank, claim))
                continue
            self._give(lock, key, claim, claim.mode)
            claim.waits_for = None
            if claim.granted is not None and not claim.granted.done():
                claim.granted.set_result(None)
        lock.queue = left


def _by_rank(item: tuple[_RANK, Claim]) -> _RANK:
    return item[0]
