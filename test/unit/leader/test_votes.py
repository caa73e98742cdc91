# SPDX-License-Identifier: BSD-2-Clause
"""Who becomes master, who stays it, who is told no and why."""

import asyncio

import pytest

from gantry.errors import WrongState
from gantry.leader import promise
from gantry.leader.votes import Local, Votes
from gantry.objects.node import InSync, StoreStatus
from gantry.store import database as files
from gantry.store.record import Record
from support.copies import FakeNodes


class Cluster:
    """Nodes that obey `a` in term 3; `a`, `b` and `c` have copies of the store and are in sync."""

    def __init__(self, root, names="abcde"):
        self.root, self.names = root, {name: f"node-{name}" for name in names}
        self.deposed = []
        self.network = FakeNodes(root, names, lambda: (0, ""))
        for name in names:
            with self.network.on(name):
                promise.accept(3, "a")
                promise.remember(InSync(term=3, number=7, nodes=tuple(set(names) & set("abc"))))
        for name in set(names) & set("abc"):
            with self.network.on(name) as here:
                files.create(here.store, "uuid", term=3).close()

    def on(self, name, function, *args):
        with self.network.on(name):
            return function(*args)

    def status(self, name):
        with self.network.on(name) as here:
            if not here.store.exists():
                return StoreStatus(term=0, serial=-1)
            database = files.open_database(here.store)
            try:
                return database.status()
            finally:
                database.close()

    def append(self, name):
        with self.network.on(name) as here:
            database = files.open_database(here.store)
            status = database.status()
            database.append([Record(term=3, serial=status.serial + 1, time=0.0, prev=status.digest, rows="[]")])
            database.close()

    def votes(self, name, **options):
        local = Local(own=name, names=lambda: self.names,
                      promised=lambda: self.on(name, promise.read),
                      accept=lambda term, master: self.on(name, promise.accept, term, master),
                      known=lambda: self.on(name, promise.read_all).in_sync,
                      remember=lambda known: self.on(name, promise.remember, known),
                      status=lambda: self.status(name))
        return Votes(self.network, local, pause=0, on_deposed=self.deposed.append, **options)

    def promises(self):
        return {name: self.on(name, promise.read) for name in self.names}


@pytest.fixture
def cluster(tmp_path):
    return Cluster(tmp_path)


def run(work):
    return asyncio.run(work)


def test_a_master_starts_with_a_majority(cluster):
    votes = cluster.votes("a")
    assert not votes.has_quorum
    cluster.network.down.update("bc")
    assert run(votes.confirm()) == 3
    assert votes.has_quorum
    assert votes.term == 3


def test_a_master_alone_does_not_start(cluster):
    cluster.network.down.update("bcd")
    votes = cluster.votes("a")
    with pytest.raises(WrongState, match=r"only 2 of 5 nodes confirm .* from node-b, node-c, node-d; .*no-voting"):
        run(votes.confirm(rounds=2))
    assert not votes.has_quorum
    assert run(cluster.votes("a", voting=False).confirm()) == 3


def test_a_cluster_of_one_needs_nobody(tmp_path):
    assert run(Cluster(tmp_path, "a").votes("a").confirm()) == 3


def test_another_node_is_no_master(cluster):
    with pytest.raises(WrongState, match="the master of term 3 is node-a"):
        run(cluster.votes("b").confirm())


def test_an_old_master_does_not_start(cluster):
    cluster.network.down.add("a")
    assert run(cluster.votes("b").campaign()) == 4
    cluster.network.down.clear()
    for voting in (True, False):
        with pytest.raises(WrongState, match="no longer master: node node-b obeys node-b in term 4"):
            run(cluster.votes("a", voting=voting).confirm())


def test_a_candidate_is_elected(cluster):
    cluster.network.down.add("a")
    votes = cluster.votes("b")
    assert run(votes.campaign()) == 4
    assert votes.has_quorum
    assert cluster.promises() == {"a": (3, "a")} | dict.fromkeys("bcde", (4, "b"))
    assert run(cluster.votes("b").confirm()) == 4
    # the next one finds the next term
    assert run(cluster.votes("c").campaign()) == 5


def test_no_majority_changes_nothing(cluster):
    cluster.network.down.update("acd")
    with pytest.raises(WrongState, match="only 2 of 5 nodes can be reached"):
        run(cluster.votes("b").campaign())
    assert cluster.promises() == dict.fromkeys("abcde", (3, "a"))
    assert run(cluster.votes("b", voting=False).campaign()) == 4


def test_two_nodes_need_the_operators_word(tmp_path):
    cluster = Cluster(tmp_path, "ab")
    cluster.network.down.add("a")
    with pytest.raises(WrongState, match="--no-voting"):
        run(cluster.votes("b").campaign())
    assert run(cluster.votes("b", voting=False).campaign()) == 4


@pytest.mark.parametrize("known_by", ["c", "e", "de"])
def test_a_copy_that_left_the_set_is_refused(cluster, known_by):
    """Whoever of a majority has heard of it is enough."""
    for name in known_by:
        cluster.on(name, promise.remember, InSync(term=3, number=8, nodes=("a", "c")))
    cluster.network.down.add("a")
    with pytest.raises(WrongState, match="out of date; up to date are: node-a, node-c"):
        run(cluster.votes("b").campaign())
    assert cluster.promises() == dict.fromkeys("abcde", (3, "a"))
    assert run(cluster.votes("c").campaign()) == 4


def test_the_newest_copy_wins(cluster):
    cluster.append("c")
    cluster.network.down.add("a")
    with pytest.raises(WrongState, match=r"node node-c holds a newer copy .*make that node the master"):
        run(cluster.votes("b").campaign())
    assert run(cluster.votes("c").campaign()) == 4


def test_a_node_without_a_copy_is_refused(cluster):
    with pytest.raises(WrongState, match=r"no copy .* nodes that can: node-a, node-b, node-c"):
        run(cluster.votes("d").campaign())


def test_quorum_is_lost_and_found(cluster):
    votes = cluster.votes("a")
    run(votes.confirm())
    cluster.network.down.update("bc")
    run(votes.look())
    assert votes.has_quorum
    cluster.network.down.add("d")
    run(votes.look())
    assert not votes.has_quorum
    assert "only 2 of 5 nodes can be reached, 3 are needed" in votes.problem
    cluster.network.down.clear()
    run(votes.look())
    assert votes.has_quorum


def test_of_two_nodes_the_running_master_goes_on(tmp_path):
    cluster = Cluster(tmp_path, "ab")
    votes = cluster.votes("a")
    run(votes.confirm())
    cluster.network.down.add("b")
    run(votes.look())
    assert votes.has_quorum


@pytest.mark.parametrize("seen_on", ["a", "d"])
def test_a_higher_term_deposes_once(cluster, seen_on):
    votes = cluster.votes("a")
    run(votes.confirm())
    cluster.on(seen_on, promise.accept, 4, "b")
    run(votes.look())
    run(votes.look())
    run(votes.watch())
    assert not votes.has_quorum
    assert len(cluster.deposed) == 1
    assert "node-b in term 4" in cluster.deposed[0]


def test_resigning_ends_the_quorum(cluster):
    votes = cluster.votes("a")
    run(votes.confirm())
    run(votes.resign())
    run(votes.watch())
    assert not votes.has_quorum
    assert cluster.deposed == []


def test_nodes_that_answer_again_are_told_of_once(cluster):
    back = []
    votes = cluster.votes("a", on_return=back.append)
    run(votes.confirm())
    for down in ("", "b", "bc", "c", "c", ""):
        cluster.network.down.clear()
        cluster.network.down.update(down)
        run(votes.look())
    assert back == [{"b"}, {"c"}]
