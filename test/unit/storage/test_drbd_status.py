# SPDX-License-Identifier: BSD-2-Clause
"""What DRBD 8.4.11 with drbd-utils 9.22 said on real machines, and what an operator is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from gantry.storage import drbd_config, drbd_status
from gantry.storage.drbd_status import SPLIT, End

DATA = Path(__file__).parents[2] / "data/storage"


def recorded(name: str) -> End:
    return drbd_status.events((DATA / f"drbd84-{name}.txt").read_text()).ends[0]


def test_a_device_in_words() -> None:
    assert recorded("source") == End(
        resource="resource0", minor=0, role="Primary", disk="UpToDate", size=61440, connection="Connected",
        replication="SyncSource", peer_role="Secondary", peer_disk="Inconsistent", out_of_sync=55320)


def test_version_9_says_the_same_in_more_words() -> None:
    assert drbd_status.events((DATA / "drbd9-source.txt").read_text()).ends[0] == recorded("source")


def test_a_resource_without_a_device_is_known_apart() -> None:
    table = drbd_status.events((DATA / "drbd84-bare.txt").read_text())
    assert (dict(table.ends), table.bare) == ({}, {"resource0"})


def test_nothing_at_all() -> None:
    assert drbd_status.events("exists -\n") == drbd_status.Table(ends={}, bare=frozenset())


@pytest.mark.parametrize(("name", "status", "connection", "words"), [
    ("ok", "ok", "Connected", ""),
    ("source", "sync", "SyncSource", ""),
    ("target", "sync", "SyncTarget", ""),
    ("alone", "faulty", "StandAlone", "data are incomplete"),
    ("connecting", "faulty", "Connecting", "no connection to its peer"),
    ("diskless", "faulty", "Connected", "no local disk"),
    ("new", "faulty", "StandAlone", "no local disk"),
])
def test_what_an_operator_is_told(name: str, status: str, connection: str, words: str) -> None:
    found = drbd_status.judge(recorded(name), 0)
    assert (found.status, found.connection) == (status, connection)
    assert words in found.problem
    assert bool(words) == bool(found.problem)


def test_how_far_a_synchronisation_is() -> None:
    found = drbd_status.judge(recorded("source"), 0, eta=24)
    assert (found.percent, found.eta_seconds, found.out_of_sync) == (9.96, 24, 55320)
    assert drbd_status.judge(recorded("ok"), 0, eta=24).percent is None


def test_a_good_end_whose_peer_is_away_is_degraded() -> None:
    end = replace(recorded("ok"), connection="Connecting", replication="Off", peer_disk="DUnknown")
    assert drbd_status.judge(end, 0).status == "degraded"


def test_ends_are_connected_once_the_peer_has_said_what_it_has() -> None:
    """Taken for connected before, an old secondary that was to be filled anew was said to have no peer to fill it."""
    met = replace(recorded("diskless"), peer_disk="DUnknown")
    assert recorded("diskless").connected
    assert not met.connected
    assert "only just met" in drbd_status.judge(met, 0).problem


@pytest.mark.parametrize("end", [replace(recorded("ok"), connection=word) for word in ("StandAlone", "Connecting")])
def test_a_split_brain_is_told_with_what_to_do(end: End) -> None:
    problem = drbd_status.judge(end, 0, reason=SPLIT).problem
    for words in ("split brain", "replace-disks -s", "--ignore-consistency"):
        assert words in problem


@pytest.mark.parametrize("name", ["ok", "source"])
def test_good_data_may_become_primary(name: str) -> None:
    assert drbd_status.objection(replace(recorded(name), role="Secondary")) == ""


@pytest.mark.parametrize(("name", "words"), [
    ("target", "wait for the synchronisation"), ("diskless", "the peer has the good ones"),
    ("alone", "would be lost"), ("connecting", "would be lost"),
])
def test_data_that_are_not_the_best_may_not(name: str, words: str) -> None:
    assert words in drbd_status.objection(recorded(name))


@pytest.mark.parametrize("disk", ["Outdated", "Consistent", "Failed", "Diskless", "DUnknown", "Attaching"])
def test_only_up_to_date_data_may(disk: str) -> None:
    assert drbd_status.objection(replace(recorded("ok"), role="Secondary", disk=disk, peer_disk="DUnknown"))


def test_a_split_brain_may_not_even_with_good_data() -> None:
    end = replace(recorded("ok"), role="Secondary", connection="Connecting")
    assert "split brain" in drbd_status.objection(end, reason=SPLIT)


def test_what_is_primary_stays_so() -> None:
    assert drbd_status.objection(replace(recorded("diskless"), role="Primary")) == ""


def test_the_module_and_the_time_left() -> None:
    found = drbd_status.module((DATA / "proc-drbd84.txt").read_text())
    assert (found.version, found.eta) == ("8.4.11", {0: 24})


def test_the_time_left_is_that_of_its_own_minor() -> None:
    text = (DATA / "proc-drbd84.txt").read_text()
    more = " 1: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate\n 2: cs:SyncTarget\n\tfinish: 1:02:03 x\n"
    assert drbd_status.module(text + more).eta == {0: 24, 2: 3723}


def test_why_a_connection_was_lost() -> None:
    log = (DATA / "kmsg-split.txt").read_text().splitlines()
    assert drbd_status.why_alone(log, 0, "resource0") == SPLIT
    assert drbd_status.why_alone(log, 1, "resource1") == ""


@pytest.mark.parametrize("text", [
    "block drbd0: peer( Unknown -> Secondary ) conn( WFReportParams -> Connected ) pdsk( DUnknown -> UpToDate )",
    "block drbd0: peer( Unknown -> Primary ) conn( WFReportParams -> WFBitMapT ) pdsk( DUnknown -> UpToDate )",
])
def test_what_was_before_the_last_connection_does_not_count(text: str) -> None:
    log = (DATA / "kmsg-split.txt").read_text().splitlines()
    assert drbd_status.why_alone([*log, f"6,600,90000000,-;{text} "], 0, "resource0") == ""
    for state in ("Disconnecting", "NetworkFailure", "StandAlone"):
        lost = f"6,600,90000000,-;drbd resource0: conn( WFReportParams -> {state} ) "
        assert drbd_status.why_alone([*log, lost], 0, "resource0") == SPLIT
    other = [*log, "6,600,90000000,-;drbd resource1: conn( WFReportParams -> Connected ) "]
    assert drbd_status.why_alone(other, 0, "resource0") == SPLIT


def test_a_wrong_secret() -> None:
    log = ["3,1,2,-;drbd resource10: Authentication of peer failed", "6,2,3,-;drbd resource10: conn( X -> StandAlone )"]
    assert "secret" in drbd_status.why_alone(log, 10, "resource10")
    assert drbd_status.why_alone(log, 1, "resource1") == ""


# --- drbdsetup show ---

def shown(name: str) -> drbd_config.Shown:
    return drbd_config.parse((DATA / f"show84-{name}.txt").read_text())


def test_a_connected_device_as_configured() -> None:
    found = shown("connected")
    assert (found.data, found.meta) == ("/dev/xenvg/d0_data", "/dev/xenvg/d0_meta")
    assert (found.local, found.remote) == ("ipv4:10.77.0.11:11000", "ipv4:10.77.0.12:11000")
    assert found.net["shared-secret"] == "s3cret"
    assert found.disk["resync-rate"] == "2000k"
    assert "allow-two-primaries" not in found.net


def test_two_primaries_are_seen() -> None:
    assert shown("dual").net["allow-two-primaries"] == "yes"


def test_without_a_disk_or_a_connection() -> None:
    assert (shown("diskless").data, shown("diskless").remote) == ("", "ipv4:10.77.0.12:11000")
    assert (shown("disk").data, shown("disk").remote, dict(shown("disk").net)) == ("/dev/xenvg/d0_data", "", {})
