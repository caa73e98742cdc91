# SPDX-License-Identifier: BSD-2-Clause
"""What the driver of plain disks promises, on LVM without a kernel."""

import os
import uuid
from dataclasses import replace

import pytest

from gantry.backend import volumes
from gantry.constants import OF_INSTANCE, DiskTemplate
from gantry.errors import CommandFailed, NotFound, StaleOwner, StorageError, WrongInput
from gantry.objects.instance import Disk, LvmLocation
from gantry.storage import lvm_commands, lvm_volumes
from gantry.storage.base import load
from support.fakedisks.inside import Inside

MIB = 1 << 20


class Canceled(Exception):
    pass


def quiet(fraction, message):
    assert 0.0 <= fraction <= 1.0
    assert message


def cancel(fraction, message):
    raise Canceled


@pytest.fixture
def programs(tmp_path, monkeypatch):
    (tmp_path / "node1/etc").mkdir(parents=True)
    (tmp_path / "node1/etc/hostname").write_text("node1\n")
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path / "node1"))
    return Inside(tmp_path / "fake", monkeypatch)


@pytest.fixture
def node(programs, tmp_path):
    """The state of the node, for looking and changing."""
    class Node:
        @property
        def lvs(self):
            return programs.world.node(tmp_path / "node1")["lvs"]

        def hold(self, *names):
            with programs.world.changing() as state:
                state["nodes"][str(tmp_path / "node1")]["held"] = list(names)
    return Node()


def disk(number=1, *, lv=None, **facts):
    return Disk(**{"uuid": str(uuid.UUID(int=number)), "name": "", "dev_type": DiskTemplate.PLAIN, "size": 12,
                   "lvm": LvmLocation(vg="xenvg", lv=lv or f"d{number}")} | facts)


@pytest.fixture
def driver(programs):
    return load("plain")


def create(driver, made, **how):
    driver.create(made, **{"owner_epoch": 1, "wipe": False, "progress": quiet} | how)


@pytest.mark.parametrize("wipe", [False, True])
def test_it_has_its_size_and_no_old_contents_where_it_begins_and_ends(driver, wipe):
    create(driver, disk(), wipe=wipe)
    with open(driver.open(disk(), instance="web1", owner_epoch=1), "rb") as file:
        text = file.read()
    assert len(text) == 12 * MIB
    assert text[:4 * MIB] == text[-4 * MIB:] == bytes(4 * MIB)


def test_making_it_twice_keeps_what_is_in_it(driver):
    create(driver, disk())
    with open(driver.open(disk(), instance="web1", owner_epoch=1), "r+b") as file:
        file.write(b"data")
    create(driver, disk(), wipe=True)
    with open(driver.open(disk(), instance="web1", owner_epoch=1), "rb") as file:
        assert file.read(4) == b"data"


def test_a_cancelled_create_leaves_nothing(driver, node):
    with pytest.raises(Canceled):
        create(driver, disk(), progress=cancel)
    assert node.lvs == {}


def test_what_a_crash_left_half_made_is_no_disk_and_is_made_anew(driver, node, monkeypatch):
    monkeypatch.setattr(lvm_volumes, "_drop_half_made", lambda where: None)
    with pytest.raises(Canceled):
        create(driver, disk(), progress=cancel)
    assert not driver.status(disk()).exists
    create(driver, disk())
    assert driver.status(disk()).exists
    assert node.lvs["xenvg/d1"]["tags"] == []


def test_a_smaller_volume_of_that_name_is_refused(driver):
    create(driver, disk())
    with pytest.raises(StorageError, match="with 12 MiB instead of 40"):
        create(driver, disk(size=40))


def test_no_room_is_told_with_what_is_free(driver, node):
    with pytest.raises(StorageError, match="volume group xenvg has 40960 MiB free"):
        create(driver, disk(size=50000))
    assert node.lvs == {}


def test_a_missing_group_is_told(driver):
    with pytest.raises(StorageError, match="there is no volume group other"):
        create(driver, disk(lvm=LvmLocation(vg="other", lv="d1")))


def test_stripes_as_many_as_there_is_room_for(driver, node):
    create(driver, disk(params={"stripes": 2}))
    assert len(node.lvs["xenvg/d1"]["shares"]) == 2
    create(driver, disk(2, params={"stripes": 4}))
    assert len(node.lvs["xenvg/d2"]["shares"]) == 2


def test_exclusive_disks_share_no_physical_volume(driver, node):
    own = {"params": {"exclusive_storage": True}}
    create(driver, disk(1, **own))
    create(driver, disk(2, **own))
    assert not node.lvs["xenvg/d1"]["shares"].keys() & node.lvs["xenvg/d2"]["shares"].keys()
    with pytest.raises(StorageError, match="needs 1 empty physical volumes"):
        create(driver, disk(3, **own))
    driver.grow(disk(1, **own), size=100)
    assert len(node.lvs["xenvg/d1"]["shares"]) == 1


def test_exclusive_disks_take_as_many_spindles_as_they_are_given(driver, node):
    with pytest.raises(StorageError, match="hold 20480 MiB"):
        create(driver, disk(size=30000, spindles=1, params={"exclusive_storage": True}))
    create(driver, disk(size=30000, spindles=2, params={"exclusive_storage": True}))
    assert len(node.lvs["xenvg/d1"]["shares"]) == 2


def test_removing_twice_is_harmless(driver, node):
    create(driver, disk())
    driver.remove(disk())
    driver.remove(disk())
    assert node.lvs == {}


def test_a_volume_in_use_is_not_removed(driver, node, monkeypatch):
    monkeypatch.setattr(lvm_volumes, "REMOVE_SECONDS", 0.1)
    create(driver, disk())
    node.hold("xenvg/d1")
    with pytest.raises(StorageError, match="in use"):
        driver.remove(disk())
    assert driver.status(disk()).used
    assert driver.status(disk()).exists


def test_an_older_owner_is_refused(driver):
    create(driver, disk())
    driver.open(disk(), instance="web1", owner_epoch=3)
    with pytest.raises(StaleOwner) as caught:
        driver.open(disk(), instance="web1", owner_epoch=2)
    assert caught.value.facts["theirs"] == 3
    assert str(caught.value).startswith(f"disk {disk().uuid} was opened by a newer owner")
    driver.close(disk(), instance="web1")
    status = driver.status(disk())
    assert (status.open, status.owner_epoch) == (False, 3)


def test_what_is_not_there_is_told(driver):
    with pytest.raises(StorageError, match="xenvg/d1 is not there"):
        driver.open(disk(), instance="web1", owner_epoch=1)
    assert not driver.status(disk()).exists


def test_after_a_reboot_it_is_brought_up_again(driver, programs, tmp_path):
    create(driver, disk())
    programs.world.reboot(tmp_path / "node1")
    path = driver.open(disk(), instance="web1", owner_epoch=1)
    assert os.path.exists(path)


def test_growing_never_shrinks(driver):
    create(driver, disk())
    for size in (20, 20, 8):
        driver.grow(disk(), size=size)
    assert driver.status(disk()).size == 20
    with pytest.raises(StorageError, match="cannot grow from 20 to 50000 MiB"):
        driver.grow(disk(), size=50000)


def test_a_volume_that_was_there_is_taken_over_and_given_back(driver, node):
    create(driver, disk(lv="mine"))
    for _ in range(2):
        driver.rename(disk(lv="mine"), disk(lv="new"))
    assert set(node.lvs) == {"xenvg/new"}
    driver.rename(disk(lv="new"), disk(lv="mine"))
    assert set(node.lvs) == {"xenvg/mine"}


def test_the_owner_goes_with_the_disk(driver):
    create(driver, disk(1, lv="old"))
    driver.open(disk(1, lv="old"), instance="web1", owner_epoch=4)
    driver.rename(disk(1, lv="old"), disk(2, lv="new"))
    with pytest.raises(StaleOwner):
        driver.open(disk(2, lv="new"), instance="web2", owner_epoch=3)


@pytest.mark.parametrize(("new", "why"), [("d2", "there already"), ("other/x", "cannot move to volume group other")])
def test_renaming_where_it_cannot_go_is_refused(driver, new, why):
    create(driver, disk(1))
    create(driver, disk(2))
    vg, _, lv = new.rpartition("/")
    with pytest.raises(StorageError, match=why):
        driver.rename(disk(1), disk(1, lvm=LvmLocation(vg=vg or "xenvg", lv=lv)))


def test_a_snapshot_is_a_disk_of_its_own(driver, node):
    create(driver, disk())
    snap = disk(2, lvm=LvmLocation(vg="xenvg", lv="snap"))
    for _ in range(2):
        driver.snapshot(disk(), snap, size=8, progress=quiet)
    assert driver.status(snap).exists
    driver.remove(snap)
    assert set(node.lvs) == {"xenvg/d1"}
    assert driver.status(disk()).owner_epoch == 1


def test_a_name_that_is_no_snapshot_of_the_disk_is_refused(driver):
    create(driver, disk(1))
    create(driver, disk(2))
    with pytest.raises(StorageError, match="no snapshot of d1"):
        driver.snapshot(disk(1), disk(2), size=8, progress=quiet)


def test_a_report_that_comes_with_complaints_counts(driver, programs):
    create(driver, disk())
    programs.said = {"lvs": '{"report": [{"lv": []}]}'}
    programs.broken = {"lvs": "WARNING: VG xenvg is missing PV"}
    assert not driver.status(disk()).exists
    programs.said = {}
    with pytest.raises(CommandFailed, match="missing PV"):
        driver.status(disk())


# --- whose it is ---

def of(instance, **facts):
    return disk(params={OF_INSTANCE: instance} if instance else {}, **facts)


def test_people_see_whose_volume_it_is(driver, node):
    create(driver, of("web1"))
    assert node.lvs["xenvg/d1"]["tags"] == ["originstname+web1"]
    for _ in range(2):
        driver.rename(of("web1"), of("db1.example.org"))
        assert node.lvs["xenvg/d1"]["tags"] == ["originstname+db1.example.org"]


def test_an_adopted_volume_is_tagged_and_one_that_is_given_back_is_not(driver, node):
    create(driver, disk(lv="theirs"))
    driver.rename(of("", lv="theirs"), of("web1"))
    assert {name: volume["tags"] for name, volume in node.lvs.items()} == {"xenvg/d1": ["originstname+web1"]}
    driver.rename(of("web1"), of("", lv="theirs"))
    assert {name: volume["tags"] for name, volume in node.lvs.items()} == {"xenvg/theirs": []}


# --- storage units ---

def test_volumes_are_listed_with_where_they_lie(driver):
    create(driver, disk())
    assert volumes.volumes_list() == [
        {"vg": "xenvg", "name": "d1", "size": 12, "devices": ["/dev/fakea"], "online": True}]


def test_a_physical_volume_that_no_group_has_yet_is_listed(monkeypatch):
    own = [lvm_commands.Physical(name=f"/dev/{name}", vg=vg, size=100 * MIB, free=40 * MIB, allocatable=bool(vg),
                                 missing=False) for name, vg in (("sdb", "xenvg"), ("sdc", ""))]
    monkeypatch.setattr(lvm_volumes, "physical", lambda: own)
    assert [(row["name"], row["used"], row["allocatable"]) for row in volumes.storage_list(kind="lvm-pv", name="")] == [
        ("/dev/sdb", 60, True), ("/dev/sdc", 60, False)]
    assert [row["name"] for row in volumes.storage_list(kind="lvm-pv", name="xenvg")] == ["/dev/sdb"]


def test_space_is_listed(driver, tmp_path):
    create(driver, disk())
    assert volumes.storage_list(kind="lvm-vg", name="") == [
        {"name": "xenvg", "size": 40960, "used": 12, "free": 40948, "allocatable": True}]
    assert [row["free"] for row in volumes.storage_list(kind="lvm-pv", name="xenvg")] == [20468, 20480]
    assert volumes.storage_list(kind="lvm-vg", name="other") == []
    assert volumes.storage_list(kind="file", name=str(tmp_path))[0]["free"] > 0
    with pytest.raises(WrongInput, match="rados"):
        volumes.storage_list(kind="rados", name="")


def test_a_physical_volume_is_closed_to_new_disks(driver, node):
    for _ in range(2):
        volumes.storage_modify(kind="lvm-pv", name="/dev/fakea", changes={"allocatable": False})
    create(driver, disk())
    assert set(node.lvs["xenvg/d1"]["shares"]) == {"/dev/fakeb"}
    with pytest.raises(NotFound):
        volumes.storage_modify(kind="lvm-pv", name="/dev/nope", changes={"allocatable": False})
    with pytest.raises(WrongInput, match="size"):
        volumes.storage_modify(kind="lvm-pv", name="/dev/fakea", changes={"size": 1})


def test_a_group_is_repaired_unless_a_volume_would_be_lost(driver, programs, tmp_path):
    create(driver, disk())
    with programs.world.changing() as state:
        pvs = state["nodes"][str(tmp_path / "node1")]["pvs"]
        pvs["/dev/fakea"]["missing"] = pvs["/dev/fakeb"]["missing"] = True
    with pytest.raises(StorageError, match="d1 lie on missing"):
        volumes.storage_repair(vg="xenvg")
    status = driver.status(disk())
    assert (status.exists, status.remains) == (False, True)
    driver.remove(disk())
    assert not driver.status(disk()).remains
    volumes.storage_repair(vg="xenvg")
    with pytest.raises(NotFound):
        volumes.storage_repair(vg="nope")


def test_measured_units(driver):
    create(driver, disk(params={"exclusive_storage": True}))
    [group] = volumes.measure("lvm-vg", "xenvg")
    assert (group.total, group.free) == (40960, 40948)
    [spindles] = volumes.measure("lvm-pv", "xenvg")
    assert (spindles.total, spindles.free) == (2, 1)
    assert list(volumes.measure("lvm-vg", "nope")) == []


def test_statuses_come_in_the_order_asked(driver):
    create(driver, disk(2))
    found = driver.statuses([disk(1), disk(2), replace(disk(2), uuid=str(uuid.UUID(int=9)))])
    assert [status.exists for status in found] == [False, True, True]
