# SPDX-License-Identifier: BSD-2-Clause
"""The store on a loop: order, group commit, and what happens when the disk says no."""

import asyncio

import pytest

from gantry.errors import ConfigurationError, StoreFailed, WrongState
from gantry.store import database as files
from gantry.store import store as stores
from gantry.store.store import open_store


@pytest.fixture
def path(tmp_path):
    files.create(tmp_path / "cluster.db", "uuid").close()
    return tmp_path / "cluster.db"


def run(path, scenario, **options):
    async def go():
        store = await open_store(path, **{"term": 1, "cluster": "uuid"} | options)
        try:
            return await scenario(store)
        finally:
            await store.close()
    return asyncio.run(go())


def test_puts_in_order_in_few_records(path):
    async def scenario(store):
        first = store.put([("jobs", "1", "first")])
        rest = [store.put([("jobs", "1", number), ("steps", str(number), None)]) for number in range(100)]
        serials = await asyncio.gather(first, *rest)
        assert serials == sorted(serials)
        assert serials[-1] <= 3
        return await store.read("jobs")
    assert run(path, scenario) == {"1": 99}


def test_tables_leave_out_what_is_not_kept_in_memory(path):
    async def fill(store):
        await store.commit([("jobs", "1", {"a": [1]}), ("archive", "0", 1), ("history", "1", 2), ("nodes", "n", {})])

    async def look(store):
        assert store.tables() == {"jobs": {"1": {"a": [1]}}, "nodes": {"n": {}}}
        assert await store.read("archive", ["0", "7"]) == {"0": 1}
        assert await store.read("archive", []) == {}
        assert store.status.serial == 1
    run(path, fill)
    run(path, look)


def test_values_are_taken_as_they_are_now(path):
    async def scenario(store):
        value = {"state": "queued"}
        pending = store.put([("jobs", "1", value)])
        value["state"] = "running"
        await pending
        return await store.read("jobs")
    assert run(path, scenario) == {"1": {"state": "queued"}}


def test_a_value_that_is_no_json_harms_nobody_else(path):
    async def scenario(store):
        good = store.put([("jobs", "1", 1)])
        for bad in (object(), float("nan"), {1, 2}):
            with pytest.raises(ConfigurationError, match="jobs/2 cannot be stored"):
                store.put([("jobs", "2", bad)])
        await good
        return await store.read("jobs")
    assert run(path, scenario) == {"1": 1}


def test_a_full_disk_stops_the_store_for_good(path):
    told = []

    async def scenario(store):
        await store.commit([("jobs", "1", 1)])
        store._database.limit_pages(20)
        answers = await asyncio.gather(*(store.put([("jobs", str(number), "x" * 100_000)]) for number in range(5)),
                                       return_exceptions=True)
        assert all(isinstance(answer, StoreFailed) and "full" in str(answer) for answer in answers)
        store._database.limit_pages(1_000_000)
        with pytest.raises(StoreFailed, match="takes no more changes until it is started again"):
            store.put([("jobs", "3", 1)])
    run(path, scenario, on_failure=told.append)
    assert len(told) == 1

    async def again(store):
        await store.commit([("jobs", "2", 2)])
        return await store.read("jobs")
    assert run(path, again) == {"1": 1, "2": 2}


def test_who_stops_waiting_does_not_stop_the_rest(path):
    async def scenario(store):
        given_up = asyncio.ensure_future(store.commit([("jobs", "1", 1)]))
        await asyncio.sleep(0)
        other = store.put([("jobs", "2", 2)])
        given_up.cancel()
        await other
        await asyncio.gather(given_up, return_exceptions=True)
        return await store.read("jobs")
    assert run(path, scenario) == {"1": 1, "2": 2}


def test_closing_writes_what_waits_and_takes_nothing_more(path):
    async def scenario(store):
        pending = store.put([("jobs", "1", 1)])
        await store.close()
        assert pending.result() == 1
        with pytest.raises(StoreFailed, match="closed"):
            store.put([])

    async def go():
        await scenario(await open_store(path, term=1))
    asyncio.run(go())


def test_one_master_daemon_and_no_older_one(path):
    async def second(store):
        with pytest.raises(WrongState, match="in use"):
            await open_store(path, term=1)
        await store.commit([("jobs", "1", 1)])
    run(path, second, term=5)
    with pytest.raises(StoreFailed, match="master of term 5, this is term 4"):
        run(path, second, term=4)


def test_big_puts_do_not_share_a_record(path, monkeypatch):
    monkeypatch.setattr(stores, "MOST_TEXT", 1000)

    async def scenario(store):
        return await asyncio.gather(*(store.put([("jobs", str(number), "x" * 600)]) for number in range(4)))
    assert run(path, scenario) == [1, 2, 3, 4]


def test_the_history_is_bounded(path, monkeypatch):
    monkeypatch.setattr(stores, "HISTORY_KEPT", 20)
    monkeypatch.setattr(stores, "HISTORY_SLICE", 10)

    async def scenario(store):
        for number in range(100):
            await store.commit([("history", f"{number:05d}", number)])
        while store._trimming:
            await asyncio.sleep(0.001)
        rows = await store.read("history")
        assert 20 <= len(rows) <= 45
        assert f"{99:05d}" in rows
        assert f"{0:05d}" not in rows
    run(path, scenario)
