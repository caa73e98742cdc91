# SPDX-License-Identifier: BSD-2-Clause
"""Copies of the store: whatever the network and the nodes do, what was acknowledged is on every copy that
counts as in sync."""

import asyncio
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry import paths
from gantry.errors import StoreFailed
from gantry.leader import promise
from gantry.objects.node import InSync
from gantry.store import database as files
from gantry.store import snapshot
from gantry.store import store as stores
from gantry.store.replicate import Replicator, Surroundings, newest, recorded
from gantry.store.store import open_store
from support.copies import FakeNodes

NAMES = ("a", "b", "c", "d", "e")


class Cluster:
    """Node `a` is master; `b` and `c` are candidates as well, unless told otherwise."""

    def __init__(self, root, *, members=NAMES):
        self.root, self.members = root, members
        self.candidates = {"a", "b", "c"} & set(members)
        self.term = 1
        self.nodes = FakeNodes(root, members, lambda: (self.term, "a"))
        self.acknowledged = {}
        self.store = self.replicator = None
        self.failures = []
        with self.nodes.on("a") as here:
            files.create(here.store, "uuid").close()
        for name in members:
            with self.nodes.on(name):
                promise.accept(1, "a")

    async def start(self):
        with self.nodes.on("a") as here:
            known = promise.read_all().in_sync
        self.store = await open_store(here.store, term=self.term, cluster="uuid", on_failure=self.failures.append)
        known = newest(known, recorded(self.store.tables()))
        around = Surroundings(own="a", candidates=lambda: self.candidates, members=lambda: self.members,
                              remember=self.remember)
        self.replicator = Replicator(self.store, self.nodes, around, known or InSync(), answer_seconds=5,
                                     pauses=lambda: itertools.repeat(0.001))
        self.replicator.start()

    def remember(self, known):
        # runs in a thread: the folder is named outright, the environment belongs to the loop
        return promise.remember(known, paths.below(str(self.root / "a")).term)

    async def put(self, key, value):
        serial = await self.store.put([("jobs", key, value)])
        self.acknowledged[key] = value
        return serial

    async def settle(self):
        """Wait until every candidate that answers is in sync."""
        wanted = {name for name in self.candidates if name not in self.nodes.down | self.nodes.deaf} | {"a"}
        for _ in range(3000):
            if wanted <= set(self.replicator.in_sync):
                return
            await asyncio.sleep(0.001)
        raise AssertionError(f"{wanted} expected, {self.replicator.in_sync} are in sync; {self.store.failed}")

    async def stop(self):
        await self.replicator.close()
        await self.store.close(seconds=0.2)

    async def crash(self):
        """As kill -9: what was under way is lost."""
        await self.replicator.close()
        self.store.failed = "killed"
        if self.store._pump is not None:
            self.store._pump.cancel()
            await asyncio.wait([self.store._pump])
        await self.store.close(seconds=0)

    def rows(self, name):
        with self.nodes.on(name) as here:
            database = files.open_database(here.store)
        try:
            return {(table, key): value for table, key, value in database.rows()}, database.status()
        finally:
            database.close()

    def check(self):
        """Every acknowledged row is on each node that some majority takes for in sync: any of them may be asked
        when the next master is chosen."""
        told = {}
        for name in self.members:
            with self.nodes.on(name):
                told[name] = promise.read_all().in_sync
        believed = {"a"}
        for majority in itertools.combinations(self.members, len(self.members) // 2 + 1):
            believed.update(newest(*(told[name] for name in majority)).nodes)
        for name in believed:
            rows, _ = self.rows(name)
            for key, value in self.acknowledged.items():
                assert rows.get(("jobs", key)) == str(value), (name, key, told)


def run(root, scenario, **options):
    async def go():
        cluster = Cluster(Path(root), **options)
        await cluster.start()
        try:
            await scenario(cluster)
        finally:
            await cluster.stop()
        cluster.check()
    asyncio.run(go())


def test_copies_join_and_follow(tmp_path):
    async def scenario(cluster):
        await cluster.put("1", 1)
        await cluster.settle()
        await asyncio.gather(*(cluster.put(str(number), number) for number in range(50)))
        assert set(cluster.replicator.in_sync) == {"a", "b", "c"}
        rows = [cluster.rows(name)[0] for name in "abc"]
        assert rows[0] == rows[1] == rows[2]
        appends = sum(call == ("b", "store_append") for call in cluster.nodes.calls)
        assert appends < 20, "puts at the same time go in one record"
    run(tmp_path, scenario)


def test_a_lost_copy_leaves_the_set_and_comes_back_by_tail(tmp_path):
    async def scenario(cluster):
        await cluster.put("1", 1)
        await cluster.settle()
        cluster.nodes.down.add("b")
        await cluster.put("2", 2)
        assert set(cluster.replicator.in_sync) == {"a", "c"}
        with cluster.nodes.on("e"):
            assert promise.read_all().in_sync.nodes == ("a", "c")
        cluster.nodes.calls.clear()
        cluster.nodes.down.clear()
        await cluster.settle()
        assert ("b", "store_snapshot") not in cluster.nodes.calls
        await cluster.put("3", 3)
        assert cluster.rows("b")[0] == cluster.rows("a")[0]
    run(tmp_path, scenario)


def test_a_copy_is_brought_up_as_soon_as_its_node_is_heard_of(tmp_path):
    async def scenario(cluster):
        cluster.replicator._pauses = lambda: itertools.repeat(3600)
        await cluster.settle()
        cluster.nodes.down.add("b")
        await cluster.put("1", 1)
        assert "b" not in cluster.replicator.in_sync
        while "b" not in cluster.replicator._patient:
            await asyncio.sleep(0.001)
        cluster.nodes.down.clear()
        cluster.replicator.heard({"b", "c", "nobody"})
        await cluster.settle()
        assert not cluster.replicator._patient
    run(tmp_path, scenario)


def test_nothing_is_acknowledged_while_no_majority_can_be_told(tmp_path):
    async def scenario(cluster):
        await cluster.put("1", 1)
        await cluster.settle()
        cluster.nodes.down.update("bcde")
        waiting = asyncio.ensure_future(cluster.put("2", 2))
        async with asyncio.timeout(30):
            while "3 are needed" not in cluster.replicator.problem:
                await asyncio.sleep(0.01)
        assert not waiting.done()
        cluster.nodes.down.difference_update("de")
        await waiting
        assert cluster.replicator.problem == ""
        assert cluster.replicator.in_sync == ("a",)
    run(tmp_path, scenario)


def test_of_two_nodes_the_master_goes_on_alone(tmp_path):
    async def scenario(cluster):
        await cluster.put("1", 1)
        await cluster.settle()
        cluster.nodes.down.add("b")
        await cluster.put("2", 2)
        assert cluster.replicator.in_sync == ("a",)
    run(tmp_path, scenario, members=("a", "b"))


def test_a_snapshot_of_many_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot, "MOST", 3000)
    monkeypatch.setattr(files, "JOURNAL_KEPT", 5)
    monkeypatch.setattr(files, "_TRIM_EVERY", 2)

    async def scenario(cluster):
        await cluster.put("1", 1)
        await cluster.settle()
        cluster.nodes.down.add("c")
        for number in range(100):
            await cluster.put(str(number), "9" * 100)
            cluster.acknowledged[str(number)] = '"' + "9" * 100 + '"'
        cluster.nodes.calls.clear()
        cluster.nodes.down.clear()
        await cluster.settle()
        assert cluster.nodes.calls.count(("c", "store_snapshot")) > 3
        await cluster.put("1", 1)
        assert cluster.rows("c")[0] == cluster.rows("a")[0]
    run(tmp_path, scenario)


def test_who_is_no_candidate_any_more_forgets(tmp_path):
    async def scenario(cluster):
        await cluster.put("1", 1)
        await cluster.settle()
        cluster.candidates = {"a", "b"}
        await cluster.put("2", 2)
        for _ in range(1000):
            with cluster.nodes.on("c") as here:
                if not here.store.exists():
                    break
            await asyncio.sleep(0.001)
        assert not here.store.exists()
        assert set(cluster.replicator.in_sync) == {"a", "b"}
        cluster.candidates = {"a", "b", "c"}
        cluster.replicator.look()
        await cluster.settle()
    run(tmp_path, scenario)


def test_a_higher_term_ends_the_master(tmp_path):
    async def scenario(cluster):
        await cluster.put("1", 1)
        await cluster.settle()
        with cluster.nodes.on("b"):
            assert promise.accept(2, "b")
        with pytest.raises(StoreFailed, match="no longer master"):
            await cluster.put("2", 2)
        with pytest.raises(StoreFailed):
            cluster.store.put([("jobs", "3", 3)])
        assert len(cluster.failures) == 1
    run(tmp_path, scenario)


def test_a_master_that_lost_its_last_record_does_not_mix_histories(tmp_path):
    """The record reached the copy and not the master's own disk: power was cut in between."""
    async def scenario(cluster):
        await cluster.put("1", 1)
        await cluster.settle()
        await cluster.put("2", 2)
        await cluster.crash()
        here = cluster.root / "b" / "var/lib/gantry/cluster.db"
        database = files.open_database(here)
        status = database.status()
        database.append([stores.Record(term=1, serial=status.serial + 1, time=0.0, prev=status.digest,
                                       rows='[["jobs","ghost","1"]]')])
        database.close()
        await cluster.start()
        await cluster.put("3", 3)
        await cluster.settle()
        assert cluster.rows("b")[0] == cluster.rows("a")[0]
        assert ("jobs", "ghost") not in cluster.rows("b")[0]
    run(tmp_path, scenario)


ACTIONS = st.lists(st.tuples(st.sampled_from(
    ("put", "put", "put", "burst", "down", "deaf", "twice", "heal", "replay", "crash", "reopen", "candidates", "wait")),
    st.integers(0, 50)), max_size=25)


@settings(max_examples=40, deadline=None)
@given(ACTIONS)
def test_acknowledged_is_on_every_copy_in_sync(actions):
    async def scenario(cluster):
        for number, (action, choice) in enumerate(actions):
            await act(cluster, action, choice, number)
            cluster.check()
        cluster.nodes.down.clear()
        cluster.nodes.deaf.clear()
        await cluster.put("last", 1)
        await cluster.settle()
        while cluster.store._pump is not None:  # the in-sync set is being recorded
            await asyncio.sleep(0.001)
        rows = [cluster.rows(name)[0] for name in sorted(cluster.candidates)]
        assert all(found == rows[0] for found in rows)
    with tempfile.TemporaryDirectory() as root:
        run(root, scenario)


async def act(cluster, action, choice, number):
    """At most two of five nodes are unreachable at a time, so that work goes on."""
    if action in ("crash", "reopen", "burst"):
        await act_on_master(cluster, action, choice, number)
        return
    nodes, name = cluster.nodes, "bcde"[choice % 4]
    if action == "put":
        await cluster.put(str(choice % 7), number)
    elif action in ("down", "deaf") and len(nodes.down | nodes.deaf | {name}) <= 2:
        getattr(nodes, action).add(name)
    elif action == "twice":
        nodes.twice ^= {name}
    elif action == "heal":
        nodes.down.discard(name)
        nodes.deaf.discard(name)
    elif action == "replay":
        nodes.replay(choice)
    elif action == "candidates":
        cluster.candidates = {"a", *"bc"[: choice % 3]}
        cluster.replicator.look()
    elif action == "wait":
        await asyncio.sleep(0.002 * (choice % 5))


async def act_on_master(cluster, action, choice, number):
    if action == "burst":
        await asyncio.gather(*(cluster.put(f"b{index}", number) for index in range(choice)))
        return
    if action == "crash":
        keys = [f"c{index}" for index in range(3)]
        for key in keys:  # from here on it may be the old value or the new one; nobody was told
            cluster.acknowledged.pop(key, None)
        pending = asyncio.gather(*(cluster.put(key, number) for key in keys), return_exceptions=True)
        for _ in range(choice):
            await asyncio.sleep(0.0002)
        await cluster.crash()
        await pending
    else:
        await cluster.stop()
    await cluster.start()
