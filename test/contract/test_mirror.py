# SPDX-License-Identifier: BSD-2-Clause
"""What the driver of mirrored disks promises, on DRBD without a kernel: nodes take turns in this process."""

import itertools
import os
import uuid
from dataclasses import replace

import pytest

from gantry.constants import OF_INSTANCE, DiskTemplate
from gantry.errors import StaleOwner, StorageError
from gantry.objects.instance import LvmLocation
from gantry.storage import drbd_device, drbd_watch
from gantry.storage.base import load
from support.mirror_pair import ADDRESS, SIZE, quiet


def test_a_new_pair_is_in_sync_and_of_its_exact_size(pair):
    disk = pair.make()
    for node, role in (("node1", "Primary"), ("node2", "Secondary")):
        status = pair.at(node).driver.status(disk)
        assert (status.exists, status.size, status.open) == (True, SIZE, role == "Primary")
        assert (status.mirror.status, status.mirror.role, status.mirror.problem) == ("ok", role, "")


def test_every_step_may_be_repeated(pair):
    disk = pair.make()
    pair.create("node1", disk)
    for _ in range(2):
        path = pair.open("node1", disk)
        pair.assemble("node2", disk)
    assert pair.mirror("node1", disk).status == "ok"
    assert os.path.exists(path)


def test_what_the_primary_writes_is_at_the_other_end(pair):
    disk = pair.make()
    pair.write(pair.open("node1", disk), "data")
    pair.demote("node1", disk)
    with open(pair.open("node2", disk), "rb") as file:
        assert file.read(4) == b"data"


def test_no_old_contents_are_left_at_the_edges(pair):
    disk = pair.make()
    with open(pair.open("node1", disk), "rb") as file:
        assert file.read(1024) == bytes(1024)


def test_making_it_again_keeps_the_data(pair):
    disk = pair.make()
    pair.write(pair.open("node1", disk), "data")
    pair.at("node1").driver.close(disk, instance="web1")
    pair.create("node1", disk)
    with open(pair.open("node1", disk), "rb") as file:
        assert file.read(4) == b"data"


def test_metadata_of_data_that_are_gone_do_not_vouch_for_new_ones(pair):
    disk = pair.make()
    for node in ("node1", "node2"):
        pair.at(node).driver.close(disk, instance="web1")
        with pair.world.changing() as state:
            del state["nodes"][str(pair.root / node)]["lvs"]["xenvg/a.disk0_data"]
        assert not pair.at(node).driver.status(disk).remains
    for node in ("node1", "node2"):
        pair.create(node, disk)
        pair.assemble(node, disk)
    with pytest.raises(StorageError, match="Inconsistent"):
        pair.open("node1", disk)


def test_people_see_whose_volumes_they_are(pair):
    disk = pair.make(pair.disk(params={OF_INSTANCE: "web1"}))
    pair.at("node2").driver.rename(disk, replace(disk, params={OF_INSTANCE: "db1"}))
    assert {(node, name): tag for node in disk.nodes
            for name, volume in pair.world.node(pair.root / node)["lvs"].items() for tag in volume["tags"]} == {
        ("node1", "xenvg/a.disk0_data"): "originstname+web1", ("node1", "xenvg/a.disk0_meta"): "originstname+web1",
        ("node2", "xenvg/a.disk0_data"): "originstname+db1", ("node2", "xenvg/a.disk0_meta"): "originstname+db1"}


def test_data_without_metadata_are_what_is_left_of_a_disk(pair):
    disk = pair.make()
    driver = pair.at("node1").driver
    driver.close(disk, instance="web1")
    with pair.world.changing() as state:
        del state["nodes"][str(pair.root / "node1")]["lvs"]["xenvg/a.disk0_meta"]
    status = driver.status(disk)
    assert (status.exists, status.remains) == (False, True)


def test_a_create_that_fails_leaves_no_volume(pair):
    pair.programs.broken = {"drbdmeta": "broken"}
    with pytest.raises(StorageError, match="broken"):
        pair.create("node1", pair.disk())
    assert pair.world.volumes(pair.root / "node1") == set()


def test_a_create_that_fails_leaves_the_volume_that_was_there(pair):
    """A plain disk that becomes a mirrored one."""
    disk = pair.disk()
    pair.create("node1", disk)
    pair.world.node(pair.root / "node1")
    with pair.world.changing() as state:
        one = state["nodes"][str(pair.root / "node1")]
        del one["lvs"]["xenvg/a.disk0_meta"], one["meta"]["xenvg/a.disk0_meta"]
    pair.programs.broken = {"drbdmeta": "broken"}
    with pytest.raises(StorageError):
        pair.create("node1", disk)
    assert pair.world.volumes(pair.root / "node1") == {"xenvg/a.disk0_data"}


def test_an_end_that_was_never_in_sync_is_not_promoted_without_force(pair):
    disk = pair.disk()
    for node in ("node1", "node2"):
        pair.create(node, disk)
        pair.assemble(node, disk)
    with pytest.raises(StorageError, match="Inconsistent"):
        pair.open("node1", disk)


def test_an_end_that_is_still_filled_is_not_promoted(pair):
    disk = pair.disk()
    pair.world.pace(1)
    for node in ("node1", "node2"):
        pair.create(node, disk)
        pair.assemble(node, disk)
    pair.at("node1").driver.force(disk, instance="web1", owner_epoch=1)
    status = pair.mirror("node2", disk)
    assert (status.status, status.connection) == ("sync", "SyncTarget")
    assert status.percent < 1
    assert status.out_of_sync > 30000
    assert status.eta_seconds > 20000
    pair.demote("node1", disk)
    with pytest.raises(StorageError, match="wait for the synchronisation"):
        pair.open("node2", disk)


def test_two_primaries_are_refused_until_they_are_allowed(pair):
    disk = pair.make()
    with pytest.raises(StorageError, match="the other node is primary"):
        pair.open("node2", disk)
    pair.at("node1").driver.connect(disk, instance="web1", dual_primary=True)
    pair.at("node2").driver.connect(disk, instance="web1", dual_primary=True)
    pair.open("node2", disk)
    with pytest.raises(StorageError, match="both nodes are primary"):
        pair.driver.connect(disk, instance="web1", dual_primary=False)
    pair.demote("node1", disk)
    pair.driver.connect(disk, instance="web1", dual_primary=False)
    with pytest.raises(StorageError, match="the other node is primary"):
        pair.open("node1", disk)


def test_settings_change_without_a_moment_without_mirror(pair):
    disk = pair.make(pair.disk(params={"protocol": "A"}))
    serial = pair.world.minors(pair.root / "node1")[0]
    assert serial["protocol"] == "A"
    pair.at("node1").driver.connect(disk, instance="web1", dual_primary=True)
    now = pair.world.minors(pair.root / "node1")[0]
    assert (now["protocol"], now["connection"], now["allow_two"]) == ("C", "Connected", True)
    pair.driver.connect(disk, instance="web1", dual_primary=False)
    assert pair.world.minors(pair.root / "node2")[5]["protocol"] == "A"


def test_an_older_owner_is_refused_on_each_end(pair):
    disk = pair.make()
    pair.epoch = 3
    pair.assemble("node2", disk)
    pair.epoch = 2
    with pytest.raises(StaleOwner):
        pair.assemble("node2", disk)
    assert pair.at("node2").driver.status(disk).owner_epoch == 3


def test_a_dead_peer_does_not_keep_the_other_end_from_the_role(pair):
    disk = pair.make()
    pair.write(pair.open("node1", disk), "data")
    pair.assemble("node2", disk)
    pair.world.reboot(pair.root / "node1")
    assert pair.mirror("node2", disk).status == "degraded"
    with open(pair.open("node2", disk), "rb") as file:
        assert file.read(4) == b"data"


def test_the_old_primary_comes_back_as_secondary_and_takes_the_new_data(pair):
    disk = pair.make()
    pair.world.reboot(pair.root / "node1")
    pair.write(pair.open("node2", disk), "news")
    pair.assemble("node1", disk)
    pair.driver.wait_synced([disk], progress=quiet)
    assert pair.mirror("node1", disk).status == "ok"
    pair.demote("node2", disk)
    with open(pair.open("node1", disk), "rb") as file:
        assert file.read(4) == b"news"


def test_a_connection_that_is_lost_is_told_and_heals(pair):
    disk = pair.make()
    pair.world.cut(ADDRESS["node1"], ADDRESS["node2"])
    status = pair.mirror("node1", disk)
    assert (status.status, status.connection) == ("degraded", "Connecting")
    assert "replication network" in status.problem
    pair.world.heal()
    pair.driver.wait_synced([disk], progress=quiet)


def test_a_split_brain_is_told_and_never_promoted_silently(pair):
    disk = pair.make()
    pair.split(disk)
    for node in ("node1", "node2"):
        assert "split brain" in pair.mirror(node, disk).problem
    with pytest.raises(StorageError, match="split brain"):
        pair.open("node2", disk)
    with pytest.raises(StorageError, match="split brain"):
        pair.at("node1").driver.wait_synced([disk], progress=quiet)


def test_an_end_that_knows_of_a_split_brain_gives_its_peer_time_to_give_in(pair, monkeypatch):
    disk = pair.make()
    pair.split(disk)
    pair.assemble("node1", disk)
    pair.at("node2").driver.disconnect(disk)
    pair.assemble("node1", disk)  # it looks for node2, which stands alone
    monkeypatch.setattr(drbd_watch, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(drbd_watch, "MEET_SECONDS", 0.2)
    for wait in (pair.driver.wait_connected, pair.driver.wait_synced):
        with pytest.raises(StorageError, match="split brain"):
            wait([disk], progress=quiet)
    monkeypatch.setattr(drbd_watch, "MEET_SECONDS", 60)
    given_in = []

    def look():
        if not given_in:
            given_in.append(1)
            pair.at("node2").driver.discard(disk, instance="web1")
            pair.at("node1")
        return really()
    really = drbd_device.look
    monkeypatch.setattr(drbd_device, "look", look)
    pair.driver.wait_connected([disk], progress=quiet)


def test_connecting_again_does_not_hide_a_split_brain(pair):
    disk = pair.make()
    pair.split(disk)
    for node in ("node1", "node2", "node1"):
        pair.assemble(node, disk)
    assert "split brain" in pair.mirror("node1", disk).problem


def test_a_split_brain_ends_when_one_end_gives_its_data_up(pair):
    disk = pair.make()
    pair.write(pair.open("node1", disk), "good")
    pair.split(disk)
    with pytest.raises(StorageError, match="it is primary"):
        pair.at("node1").driver.discard(disk, instance="web1")
    pair.at("node2").driver.discard(disk, instance="web1")
    pair.assemble("node1", disk)
    pair.driver.wait_synced([disk], progress=quiet)
    pair.demote("node1", disk)
    with open(pair.open("node2", disk), "rb") as file:
        assert file.read(4) == b"good"


def test_a_wrong_secret_is_told(pair):
    disk = pair.make()
    other = replace(disk, drbd=replace(disk.drbd, secret="other"))
    pair.at("node2").driver.disconnect(disk)
    pair.assemble("node2", other)
    assert "same secret" in pair.mirror("node2", other).problem


def test_a_device_in_use_is_not_taken_down(pair):
    disk = pair.make()
    with pair.world.changing() as state:
        state["nodes"][str(pair.root / "node1")]["held"].append("drbd0")
    for action in (lambda: pair.driver.demote(disk, instance="web1"), lambda: pair.driver.remove(disk),
                   lambda: pair.driver.close(disk, instance="web1")):
        with pytest.raises(StorageError, match="something uses it"):
            action()
    assert pair.mirror("node1", disk).status == "ok"


def test_removing_ends_the_device_and_leaves_nothing(pair):
    disk = pair.make()
    for node in ("node1", "node2"):
        for _ in range(2):
            pair.at(node).driver.remove(disk)
        root = pair.root / node
        assert (pair.world.volumes(root), pair.world.minors(root)) == (set(), {})
        assert not list((root / "var/lib/gantry/owners").iterdir())


def test_growing_both_ends_makes_the_device_larger(pair):
    disk = pair.make()
    for node in ("node1", "node2"):
        for _ in range(2):
            pair.at(node).driver.grow(disk, size=SIZE + 10)
    for _ in range(2):
        pair.at("node1").driver.resize(disk, size=SIZE + 10)
    pair.driver.wait_synced([disk], progress=quiet)
    assert pair.at("node2").driver.status(disk).size == SIZE + 10


def test_a_device_that_has_grown_is_never_cut_off_again(pair):
    """The node goes down before the configuration knows of the new size."""
    disk = pair.make()
    for node in ("node1", "node2"):
        pair.at(node).driver.grow(disk, size=SIZE + 10)
    pair.at("node1").driver.resize(disk, size=SIZE + 10)
    pair.world.reboot(pair.root / "node1")
    pair.assemble("node1", disk)
    assert pair.at("node1").driver.status(disk).size == SIZE + 10


def test_a_minor_that_something_else_has_is_left_alone(pair):
    pair.make()
    other = pair.disk(lvs="z", uuid=str(uuid.UUID(int=8)))
    pair.create("node1", other)
    with pytest.raises(StorageError, match="its minor is in use"):
        pair.assemble("node1", other)
    for action in (pair.driver.demote, pair.driver.close):
        action(other, instance="web2")
    pair.driver.remove(other)
    assert pair.world.minors(pair.root / "node1")[0]["role"] == "Primary"


def test_waiting_for_a_connection_has_an_end(pair, monkeypatch):
    disk = pair.make()
    pair.world.cut(ADDRESS["node1"], ADDRESS["node2"])
    monkeypatch.setattr(drbd_watch, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(drbd_watch, "LOOK_SECONDS", 0.1)
    with pytest.raises(StorageError, match=r"198\.51\.100\.2 port 11000"):
        pair.driver.wait_connected([disk], progress=quiet)


def test_a_stall_is_kicked_once_and_then_told(pair, monkeypatch):
    disk = pair.make()
    pair.world.cut(ADDRESS["node1"], ADDRESS["node2"])
    monkeypatch.setattr(drbd_watch, "STALL_SECONDS", 0.1)
    monkeypatch.setattr(drbd_watch, "LOOK_SECONDS", 0.1)
    kicks = []
    really = drbd_watch._kick
    monkeypatch.setattr(drbd_watch, "_kick", lambda one: kicks.append(one.minor) or really(one))
    with pytest.raises(StorageError, match="makes no progress"):
        pair.driver.wait_synced([disk], progress=quiet)
    assert kicks == [0]


def test_what_is_written_meanwhile_is_no_progress(pair, monkeypatch):
    disk = pair.make()
    pair.world.cut(ADDRESS["node1"], ADDRESS["node2"])
    monkeypatch.setattr(drbd_watch, "STALL_SECONDS", 0.1)
    monkeypatch.setattr(drbd_watch, "LOOK_SECONDS", 0.02)
    really, written = drbd_watch._look, itertools.count(1)
    monkeypatch.setattr(drbd_watch, "_look", lambda sides: {
        minor: replace(end, out_of_sync=next(written)) for minor, end in really(sides).items()})
    with pytest.raises(StorageError, match="makes no progress"):
        pair.driver.wait_synced([disk], progress=quiet)


def test_a_stall_that_a_new_connection_ends(pair, monkeypatch):
    disk = pair.make()
    pair.world.cut(ADDRESS["node1"], ADDRESS["node2"])
    monkeypatch.setattr(drbd_watch, "STALL_SECONDS", 0.1)
    monkeypatch.setattr(drbd_watch, "LOOK_SECONDS", 0.1)
    really = drbd_watch._kick

    def mend(one):
        pair.world.heal()
        really(one)
    monkeypatch.setattr(drbd_watch, "_kick", mend)
    pair.driver.wait_synced([disk], progress=quiet)
    assert pair.mirror("node1", disk).status == "ok"


def test_what_is_down_is_told_as_down(pair):
    disk = pair.make()
    pair.at("node2").driver.close(disk, instance="web1")
    status = pair.driver.status(disk)
    assert (status.exists, status.size, status.mirror.status) == (True, SIZE, "down")
    with pytest.raises(StorageError, match="activate-disks"):
        pair.driver.connect(disk, instance="web1", dual_primary=False)


def test_a_snapshot_of_one_end_is_a_plain_disk(pair):
    disk = pair.make()
    snap = replace(disk, uuid="d9", dev_type=DiskTemplate.PLAIN, drbd=None, nodes=("node1",),
                   lvm=LvmLocation(vg="xenvg", lv="snap"))
    here = pair.at("node1").driver
    here.snapshot(disk, snap, size=8, progress=quiet)
    load("plain").remove(snap)
    assert pair.mirror("node1", disk).status == "ok"
    here.close(disk, instance="web1")
    with pytest.raises(StorageError, match="not up on this node"):
        here.snapshot(disk, snap, size=8, progress=quiet)
