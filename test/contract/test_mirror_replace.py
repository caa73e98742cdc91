# SPDX-License-Identifier: BSD-2-Clause
"""What lies below mirrored disks, or at their other end, is replaced; how fast it is filled then."""

from dataclasses import replace

import pytest

from gantry.errors import StaleOwner, StorageError
from gantry.storage import drbd_device
from support.mirror_pair import ADDRESS, MINOR, quiet


def test_the_volumes_of_one_end_are_replaced_under_the_device(pair):
    disk = pair.make()
    pair.write(pair.open("node1", disk), "data")
    new = pair.disk(lvs="b")
    pair.create("node1", new)
    for _ in range(2):
        pair.driver.replace_local(disk, new)
    pair.driver.wait_synced([new], progress=quiet)
    pair.driver.remove(disk)
    assert pair.world.volumes(pair.root / "node1") == {"xenvg/b.disk0_data", "xenvg/b.disk0_meta"}
    assert pair.mirror("node1", new).role == "Primary"
    with open(pair.open("node1", new), "rb") as file:
        assert file.read(4) == b"data"
    pair.epoch = 0
    with pytest.raises(StaleOwner):
        pair.assemble("node1", new)


def test_volumes_that_are_taken_back_hold_what_was_written_meanwhile(pair):
    disk = pair.make()
    new = pair.disk(lvs="b")
    pair.create("node2", new)
    pair.driver.replace_local(disk, new)
    pair.driver.wait_synced([new], progress=quiet)
    pair.write(pair.at("node1").open("node1", disk), "late")
    pair.at("node2").driver.replace_local(new, disk)
    pair.driver.wait_synced([disk], progress=quiet)
    pair.demote("node1", disk)
    with open(pair.open("node2", disk), "rb") as file:
        assert file.read(4) == b"late"


def test_volumes_that_were_given_up_are_not_taken_for_whole(pair):
    """Their node died while the new ones were filled, and could not be told to take the old ones back.  When it is up
    again, what was written meanwhile must come to the old ones.
    """
    disk = pair.make()
    pair.write(pair.open("node1", disk), "old!")
    new = pair.disk(lvs="b")
    pair.create("node2", new)
    pair.world.pace(1)
    pair.driver.replace_local(disk, new)
    pair.write(pair.at("node1").open("node1", disk), "late")
    pair.at("node2").driver.close(new, instance="web1")
    pair.assemble("node2", disk)
    status = pair.mirror("node2", disk)
    assert (status.status, status.disk) == ("sync", "Inconsistent")
    assert status.out_of_sync > 30000


def test_volumes_that_are_broken_are_replaced(pair):
    """Nothing can be written on the old ones any more."""
    disk = pair.make()
    with pair.world.changing() as state:
        one = state["nodes"][str(pair.root / "node2")]
        del one["lvs"]["xenvg/a.disk0_meta"], one["meta"]["xenvg/a.disk0_meta"]
    new = pair.disk(lvs="b")
    pair.create("node2", new)
    pair.driver.replace_local(disk, new)
    pair.driver.wait_synced([new], progress=quiet)


def test_volumes_that_are_lost_are_replaced_where_nothing_is_up(pair):
    disk = pair.make()
    pair.write(pair.open("node1", disk), "data")
    pair.at("node2").driver.remove(disk)
    new = pair.disk(lvs="b")
    pair.create("node2", new)
    pair.driver.replace_local(disk, new)
    pair.assemble("node2", new)
    pair.driver.wait_synced([new], progress=quiet)
    pair.demote("node1", disk)
    with open(pair.open("node2", new), "rb") as file:
        assert file.read(4) == b"data"


def test_volumes_are_not_replaced_without_a_copy_to_fill_them_from(pair):
    disk = pair.make()
    pair.world.cut(ADDRESS["node1"], ADDRESS["node2"])
    new = pair.disk(lvs="b")
    pair.create("node1", new)
    with pytest.raises(StorageError, match="no complete data"):
        pair.driver.replace_local(disk, new)
    assert pair.mirror("node1", disk).disk == "UpToDate"


def test_another_node_takes_the_place_of_the_peer(pair):
    disk = pair.make()
    pair.write(pair.open("node1", disk), "data")
    new = pair.disk(("node1", "node3"))
    pair.create("node3", new)
    pair.assemble("node3", new)
    for _ in range(2):
        pair.at("node1").driver.replace_peer(disk, new)
    pair.driver.wait_synced([new], progress=quiet)
    pair.at("node2").driver.remove(disk)
    pair.demote("node1", new)
    with open(pair.open("node3", new), "rb") as file:
        assert file.read(4) == b"data"


def lend(pair, disk):
    """The primary is with another peer for a while, and is written to."""
    new = pair.disk(("node1", "node3"))
    pair.create("node3", new)
    pair.assemble("node3", new)
    pair.at("node1").driver.replace_peer(disk, new)
    pair.driver.wait_synced([new], progress=quiet)
    pair.write(pair.open("node1", new), "late")
    pair.at("node1").driver.replace_peer(new, disk)


def test_a_former_peer_that_is_a_stranger_by_now_is_filled_anew(pair):
    disk = pair.make()
    pair.at("node2").driver.close(disk, instance="web1")
    lend(pair, disk)
    for _ in range(2):
        pair.at("node2").driver.replace_local(disk, disk)
    pair.assemble("node2", disk)
    pair.at("node1").driver.wait_synced([disk], progress=quiet)
    pair.demote("node1", disk)
    with open(pair.open("node2", disk), "rb") as file:
        assert file.read(4) == b"late"


def test_a_stranger_is_told_not_promoted_and_gives_in(pair):
    disk = pair.make()
    lend(pair, disk)
    assert "replace-disks -s" in pair.mirror("node2", disk).problem
    pair.demote("node1", disk)
    for node in ("node1", "node2"):
        with pytest.raises(StorageError, match="cannot tell what they have in common"):
            pair.open(node, disk)
    pair.driver.discard(disk, instance="web1")
    pair.at("node1").driver.connect(disk, instance="web1", dual_primary=False)
    new = pair.disk(lvs="b")
    pair.create("node2", new)
    pair.driver.replace_local(disk, new)
    pair.at("node1").driver.wait_synced([disk], progress=quiet)
    pair.open("node1", disk)


def test_a_former_peer_keeps_what_it_has_while_nobody_is_there_to_fill_it(pair):
    disk = pair.make()
    pair.write(pair.open("node1", disk), "old!")
    pair.at("node2").driver.close(disk, instance="web1")
    pair.world.cut(ADDRESS["node1"], ADDRESS["node2"])
    with pytest.raises(StorageError, match="no complete data"):
        pair.at("node2").driver.replace_local(disk, disk)
    pair.epoch = 2
    with open(pair.open("node2", disk), "rb") as file:
        assert file.read(4) == b"old!"


def rates(pair, *nodes):
    return [pair.at(node) and drbd_device.shown(MINOR[node]).disk["resync-rate"] for node in nodes]


def test_the_rate_of_synchronising_follows_the_configuration(pair):
    disk = pair.make(pair.disk(params={"resync-rate": 2000}))
    slower = replace(disk, params={"resync-rate": 1000})
    assert rates(pair, "node1", "node2") == ["2000k", "2000k"]
    pair.assemble("node1", slower)
    assert rates(pair, "node1", "node2") == ["1000k", "1000k"]


def test_a_new_peer_does_not_get_the_rate_of_before(pair):
    disk = pair.make(pair.disk(params={"resync-rate": 2000}))
    new = pair.disk(("node1", "node3"), params={"resync-rate": 1000})
    pair.create("node3", new)
    pair.assemble("node3", new)
    pair.at("node1").driver.replace_peer(disk, new)
    pair.driver.wait_synced([new], progress=quiet)
    assert rates(pair, "node1", "node3") == ["1000k", "1000k"]
