# SPDX-License-Identifier: BSD-2-Clause
"""A node's promise never goes back."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry import paths
from gantry.errors import ConfigurationError
from gantry.leader import promise
from gantry.objects.node import InSync


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))


def test_one_master_a_term():
    assert promise.read() == (0, "")
    assert promise.accept(1, "a")
    assert promise.accept(1, "a")
    assert not promise.accept(1, "b")
    assert promise.accept(3, "b")
    assert not promise.accept(2, "a")
    assert not promise.accept(4, "")
    assert promise.read() == (3, "b")


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("ab"))))
def test_it_only_grows(tmp_path_factory, requests):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANTRY_ROOT", str(tmp_path_factory.mktemp("node")))
        masters = {}
        for term, master in requests:
            before = promise.read()
            if promise.accept(term, master):
                assert masters.setdefault(term, master) == master
                assert promise.read() == (term, master)
            else:
                assert promise.read() == before
            assert promise.read()[0] >= before[0]


def test_many_at_once_get_one_answer():
    yes = []
    threads = [threading.Thread(target=lambda name=name: yes.append(name) if promise.accept(5, name) else None)
               for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(yes) == 1
    assert promise.read() == (5, yes[0])


def test_the_newest_word_on_the_copies():
    assert promise.remember(InSync(term=1, number=2, nodes=("a", "b")))
    assert not promise.remember(InSync(term=1, number=1, nodes=("a",)))
    assert promise.accept(2, "b")
    assert promise.read_all().in_sync == InSync(term=1, number=2, nodes=("a", "b"))
    assert promise.remember(InSync(term=2, number=1, nodes=("b",)))
    assert promise.read() == (2, "b")


def test_a_node_that_forgot_does_not_vote():
    paths.here().term.parent.mkdir(parents=True)
    paths.here().term.write_text("{")
    with pytest.raises(ConfigurationError, match="does not know which master"):
        promise.read()
    with pytest.raises(ConfigurationError):
        promise.accept(9, "a")
