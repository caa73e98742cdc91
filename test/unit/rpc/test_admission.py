# SPDX-License-Identifier: BSD-2-Clause
"""Only candidates are heard, and only the master this node promised to obey."""

import pytest

from gantry import paths
from gantry.errors import NodeRefused, StaleTerm
from gantry.rpc import calls, credentials
from gantry.rpc.admission import Candidates, check_term


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    here = paths.here()
    here.state.mkdir(parents=True)
    return here


def write_list(here, text):
    path = here.ssconf("master_candidates_certs")
    path.write_text(text)


def nobody():
    return ()


def test_without_a_list_nobody_is_allowed(here):
    assert not Candidates().allows("AA:BB", nobody)


def test_a_changed_list_counts_at_once(here):
    candidates = Candidates()
    write_list(here, "u1=AA:BB\n")
    assert candidates.allows("AA:BB", nobody)
    write_list(here, "u2=CC:DD\nu3=ee:ff\n")
    assert not candidates.allows("AA:BB", nobody)
    assert candidates.allows("EE:FF", nobody)


def test_the_uuid_alone_is_not_enough(here):
    write_list(here, "u1=AA:BB\n")
    assert not Candidates().allows("CC:DD", lambda: ("u1",))


def test_after_issuing_its_own_certificate_a_node_knows_candidates_by_uuid_until_it_gets_a_new_list(here):
    candidates = Candidates()
    write_list(here, "u1=AA:BB\n")
    here.reissued.write_text(credentials.digest_of(here.ssconf("master_candidates_certs")))
    assert candidates.allows("CC:DD", lambda: ("u1", "node1"))
    assert not candidates.allows("CC:DD", lambda: ("u2",))
    write_list(here, "u1=CC:DD\nu2=EE:00\n")
    assert candidates.allows("CC:DD", nobody)
    assert not candidates.allows("12:34", lambda: ("u1",))


def test_the_promised_master_passes():
    check_term(calls.test_delay, "5", "m", lambda: (5, "m"))


def test_an_older_term_is_stale():
    with pytest.raises(StaleTerm) as caught:
        check_term(calls.test_delay, "4", "m", lambda: (5, "n"))
    assert caught.value.facts["ours"] == 4
    assert caught.value.facts["theirs"] == 5


def test_the_same_term_of_another_master_is_refused():
    with pytest.raises(NodeRefused, match="it obeys n, not m") as caught:
        check_term(calls.test_delay, "5", "m", lambda: (5, "n"))
    assert "promise_missing" not in caught.value.facts


def test_a_newer_term_must_have_been_promised():
    with pytest.raises(NodeRefused, match="not promised") as caught:
        check_term(calls.test_delay, "6", "m", lambda: (5, "m"))
    assert caught.value.facts["promise_missing"]


@pytest.mark.parametrize("term", ["", "x", "5.0"])
def test_a_request_without_a_term_is_refused(term):
    with pytest.raises(NodeRefused, match="no term"):
        check_term(calls.test_delay, term, "m", lambda: (5, "m"))


def test_votes_are_heard_in_any_term():
    check_term(calls.leader_accept, "1", "m", lambda: (5, "n"))
    check_term(calls.version, "", "", lambda: (5, "n"))
