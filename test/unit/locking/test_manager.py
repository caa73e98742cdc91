# SPDX-License-Identifier: BSD-2-Clause
"""Locks: who may hold what at once, in which order waiters get them, and that nothing is lost."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.locking.manager import LockManager
from gantry.locking.modes import ALL, Wanted

A, B, AB = frozenset({"a"}), frozenset({"b"}), frozenset({"a", "b"})


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Holder:
    """A task that holds locks until told to stop."""

    def __init__(self, locks: LockManager, owner: int, order: list[int], priority: int = 0, **wanted: Any) -> None:
        self.owner, self.has = owner, False
        self._end = asyncio.Event()
        self.task = asyncio.ensure_future(self._run(locks, order, priority, Wanted(**wanted)))

    async def _run(self, locks: LockManager, order: list[int], priority: int, wanted: Wanted) -> None:
        async with locks.hold(self.owner, wanted, priority=priority) as claim:
            self.has, self.claim = True, claim
            order.append(self.owner)
            await self._end.wait()
        self.has = False

    async def end(self) -> None:
        self._end.set()
        await settle()


def test_shared_together_exclusive_alone():
    async def main() -> None:
        locks, order = LockManager(), []
        first = Holder(locks, 1, order, shared={"node": A})
        second = Holder(locks, 2, order, shared={"node": A})
        third = Holder(locks, 3, order, exclusive={"node": A})
        other = Holder(locks, 4, order, exclusive={"node": B})
        await settle()
        assert (first.has, second.has, third.has, other.has) == (True, True, False, True)
        await first.end()
        assert not third.has
        await second.end()
        assert third.has
        await third.end()
        await other.end()
        assert locks.rows() == []
    run(main())


def test_later_shared_does_not_pass_a_waiting_exclusive():
    async def main() -> None:
        locks, order = LockManager(), []
        holders = [Holder(locks, 1, order, shared={"node": A}), Holder(locks, 2, order, exclusive={"node": A}),
                   Holder(locks, 3, order, shared={"node": A})]
        await settle()
        assert order == [1]
        for holder in holders:
            await holder.end()
        assert order == [1, 2, 3]
    run(main())


def test_all_covers_what_does_not_exist_yet_and_names_do_not_block_each_other():
    async def main() -> None:
        locks, order = LockManager(), []
        named = Holder(locks, 1, order, exclusive={"instance": A})
        everything = Holder(locks, 2, order, shared={"instance": ALL})
        fresh = Holder(locks, 3, order, exclusive={"instance": frozenset({"new"})})
        await settle()
        assert order == [1]
        await named.end()
        assert everything.has
        assert not fresh.has
        await everything.end()
        assert fresh.has
        await fresh.end()
    run(main())


def test_exclusive_cluster_waits_for_everybody():
    async def main() -> None:
        locks, order = LockManager(), []
        anybody = Holder(locks, 1, order)
        whole = Holder(locks, 2, order, exclusive_cluster=True)
        await settle()
        assert order == [1]
        assert locks.rows() == [{"name": "cluster/BGL", "mode": "shared", "owner": [1],
                                 "pending": [["exclusive", [2]]]}]
        await anybody.end()
        assert whole.has
        await whole.end()
    run(main())


def test_priority_comes_before_age_and_can_change_while_waiting():
    async def main() -> None:
        locks, order = LockManager(), []
        first = Holder(locks, 1, order, exclusive={"node": A})
        holders = [Holder(locks, 2, order, exclusive={"node": A}), Holder(locks, 3, order, exclusive={"node": A}),
                   Holder(locks, 4, order, priority=-5, exclusive={"node": A})]
        await settle()
        locks.set_priority(3, -10)
        await first.end()
        for holder in (holders[1], holders[2], holders[0]):
            await holder.end()
        assert order == [1, 3, 4, 2]
    run(main())


def test_opportunistic_takes_what_is_free():
    async def main() -> None:
        locks, order = LockManager(), []
        first = Holder(locks, 1, order, exclusive={"node": A})
        await settle()
        second = Holder(locks, 2, order, exclusive={"node": AB}, opportunistic=frozenset({"node"}))
        await settle()
        assert second.has
        assert second.claim.names("node") == B
        await first.end()
        await second.end()
        assert locks.rows() == []
    run(main())


def test_a_cancelled_waiter_leaves_no_trace_and_lets_others_through():
    async def main() -> None:
        locks, order = LockManager(), []
        first = Holder(locks, 1, order, shared={"node": A})
        second = Holder(locks, 2, order, exclusive={"node": A})
        third = Holder(locks, 3, order, shared={"node": A})
        await settle()
        second.task.cancel()
        await settle()
        assert third.has
        await first.end()
        await third.end()
        assert locks.rows() == []
    run(main())


def test_take_now_takes_all_or_nothing():
    async def main() -> None:
        locks = LockManager()
        claim = locks.take_now(1, Wanted(exclusive={"node": A}))
        assert claim is not None
        assert locks.take_now(2, Wanted(exclusive={"node": AB})) is None
        locks.release(claim)
        locks.release(claim)
        assert locks.rows() == []
    run(main())


_names = st.one_of(st.just(frozenset()), st.just(ALL), st.frozensets(st.sampled_from("abc"), max_size=3))
_wanted = st.builds(
    lambda s1, x1, s2, x2, whole: Wanted(shared={"instance": s1, "node": s2}, exclusive={"instance": x1, "node": x2},
                                         exclusive_cluster=whole),
    _names, _names, _names, _names, st.integers(0, 9).map(lambda n: n == 0))


def _overlap(one: frozenset[str], two: frozenset[str]) -> bool:
    return bool(one & two) or (one == ALL and bool(two)) or (two == ALL and bool(one))


def conflict(one: Wanted, two: Wanted) -> bool:
    if one.exclusive_cluster or two.exclusive_cluster:
        return True
    for level in ("instance", "node"):
        mine, theirs = (one.exclusive[level], two.exclusive[level])
        if _overlap(mine, theirs | two.shared[level]) or _overlap(theirs, mine | one.shared[level]):
            return True
        if theirs | two.shared[level] >= ALL and _overlap(mine, ALL):
            return True
    return False


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_wanted, st.integers(-2, 2), st.integers(0, 5), st.booleans()), min_size=2, max_size=12))
def test_never_two_in_conflict_and_everybody_gets_a_turn(plan):
    async def main() -> None:
        locks, holding, served = LockManager(), {}, set()

        async def worker(owner: int, wanted: Wanted, priority: int, rounds: int) -> None:
            async with locks.hold(owner, wanted, priority=priority):
                assert not any(conflict(wanted, other) for other in holding.values())
                holding[owner] = wanted
                served.add(owner)
                for _ in range(rounds):
                    await asyncio.sleep(0)
                del holding[owner]

        tasks = {owner: asyncio.ensure_future(worker(owner, wanted, priority, rounds))
                 for owner, (wanted, priority, rounds, _) in enumerate(plan)}
        await asyncio.sleep(0)
        gone = {owner for owner, item in enumerate(plan) if item[3] and owner not in served}
        for owner in gone:
            locks.set_priority(owner, -3)
            tasks[owner].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks.values(), return_exceptions=True), 5)
        left = [task for owner, task in tasks.items() if owner not in gone]
        assert all(not task.cancelled() and task.exception() is None for task in left)
        assert served | gone == set(tasks)
        assert locks.rows() == []
        assert list(locks.claims()) == []
    run(main())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=30))
def test_waiters_of_one_lock_come_by_priority_then_age(priorities):
    async def main() -> None:
        locks, order = LockManager(), []
        first = Holder(locks, 0, order, exclusive={"node": A})
        await settle()

        async def worker(owner: int, priority: int) -> None:
            async with locks.hold(owner, Wanted(exclusive={"node": A}), priority=priority):
                order.append(owner)

        tasks = [asyncio.ensure_future(worker(owner, priority)) for owner, priority in enumerate(priorities, 1)]
        await settle()
        await first.end()
        await asyncio.gather(*tasks)
        assert order[1:] == [owner for _, owner in sorted((p, o) for o, p in enumerate(priorities, 1))]
    run(main())


def test_thousands_of_waiters():
    async def main() -> None:
        locks, order = LockManager(), []

        async def worker(owner: int) -> None:
            async with locks.hold(owner, Wanted(exclusive={"node": A})):
                order.append(owner)

        await asyncio.gather(*(worker(owner) for owner in range(5000)))
        assert order == list(range(5000))
        assert locks.rows() == []
    run(main())
