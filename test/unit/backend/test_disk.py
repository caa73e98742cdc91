# SPDX-License-Identifier: BSD-2-Clause
"""Several disks at once: all or none is opened, and what was open before stays open."""

import uuid

import pytest

from gantry.backend import disk, drbd
from gantry.constants import DiskTemplate
from gantry.errors import StorageError
from gantry.objects.instance import Disk, FileLocation, LvmLocation
from support.fakedisks.inside import Inside


def quiet(fraction, message):
    pass


@pytest.fixture(autouse=True)
def node(tmp_path, monkeypatch):
    (tmp_path / "etc/gantry").mkdir(parents=True)
    (tmp_path / "etc/hostname").write_text("node1\n")
    (tmp_path / "etc/gantry/file-storage-paths").write_text(f"{tmp_path}/disks\n")
    (tmp_path / "disks").mkdir()
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    return Inside(tmp_path / "fake", monkeypatch)


def plain(number):
    return Disk(uuid=str(uuid.UUID(int=number)), name="", dev_type=DiskTemplate.PLAIN, size=8,
                lvm=LvmLocation(vg="xenvg", lv=f"d{number}"))


def make(*disks):
    for one in disks:
        disk.disk_create(disk=one, owner_epoch=1, wipe=False, progress=quiet)


def are_open(*disks):
    return [state["open"] for state in disk.disks_status(disks=list(disks))]


@pytest.mark.parametrize("call", [disk.disks_open, disk.disks_force])
def test_all_or_none(call):
    make(plain(1), plain(2))
    with pytest.raises(StorageError, match="xenvg/d3 is not there"):
        call(disks=[plain(1), plain(2), plain(3)], instance="web1", owner_epoch=1)
    assert are_open(plain(1), plain(2)) == [False, False]
    call(disks=[plain(1), plain(2)], instance="web1", owner_epoch=1)
    assert are_open(plain(1), plain(2)) == [True, True]


def test_what_was_open_before_stays_open():
    make(plain(1), plain(2))
    disk.disks_open(disks=[plain(1)], instance="web1", owner_epoch=1)
    with pytest.raises(StorageError):
        disk.disks_open(disks=[plain(1), plain(2), plain(3)], instance="web1", owner_epoch=1)
    assert are_open(plain(1), plain(2)) == [True, False]


def test_states_of_several_templates_come_in_the_order_asked(tmp_path):
    file = Disk(uuid="f", name="", dev_type=DiskTemplate.FILE, size=1,
                file=FileLocation(path=f"{tmp_path}/disks/web1/f"))
    make(plain(1), file, plain(2))
    found = disk.disks_status(disks=[plain(2), file, plain(9), plain(1)])
    assert [(state["size"], state["exists"]) for state in found] == [(8, True), (1, True), (0, False), (8, True)]
    assert {state["mirror"] for state in found} == {None}


def test_what_is_not_mirrored_has_no_connection():
    for call in (lambda: drbd.drbd_disconnect(disks=[plain(1)]),
                 lambda: drbd.drbd_wait_synced(disks=[plain(1)], progress=quiet)):
        with pytest.raises(StorageError, match="is not mirrored"):
            call()


def test_waiting_for_nothing_ends():
    drbd.drbd_wait_synced(disks=[], progress=quiet)
    drbd.drbd_wait_connected(disks=[], progress=quiet)
