# SPDX-License-Identifier: BSD-2-Clause
"""Guests and their disks on a node, with fake guests and real files."""

from dataclasses import replace
from pathlib import Path

import pytest

from gantry import paths
from gantry.backend import disk as disk_calls
from gantry.backend import instance, migration
from gantry.constants import DiskTemplate, HypervisorName
from gantry.errors import HypervisorError, NotFound, StaleOwner, StorageError
from gantry.hypervisor import exchanged, hv_fake
from gantry.objects.instance import Disk, FileLocation
from gantry.objects.vm import VmDisk, VmSpec

GUEST = "11111111-2222-4333-8444-555555555555"


def quiet(fraction: float, message: str) -> None:
    """No progress is shown."""


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`on("n1")`: from now on this is node n1; two nodes share the folder of the disks."""
    shared = tmp_path / "shared"
    shared.mkdir()

    def be(node: str) -> None:
        monkeypatch.setenv("GANTRY_ROOT", str(tmp_path / node))
        here = paths.here()
        here.file_storage_paths.parent.mkdir(parents=True, exist_ok=True)
        here.file_storage_paths.write_text(f"{shared}\n")
        here.hostname.write_text(node + "\n")
    be("n1")
    return be


@pytest.fixture
def disk(on, tmp_path: Path) -> Disk:
    made = Disk(uuid="aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", name="", dev_type=DiskTemplate.SHAREDFILE, size=4,
                file=FileLocation(path=str(tmp_path / "shared" / "web1" / "disk0")))
    disk_calls.disk_create(disk=made, owner_epoch=1, wipe=False, progress=quiet)
    return made


def spec(disk: Disk, epoch: int = 1) -> VmSpec:
    return VmSpec(uuid=GUEST, name="web1", hypervisor=HypervisorName.FAKE, owner_epoch=epoch, memory=128, vcpus=1,
                  disks=(VmDisk(disk=disk, pci=12),))


def is_open(disk: Disk) -> bool:
    return bool(disk_calls.disks_status(disks=[disk])[0]["open"])


def test_disks_are_open_while_the_guest_runs(disk):
    instance.instance_start(spec=spec(disk), paused=False)
    assert is_open(disk)
    assert instance.instance_spec(instance=GUEST) == spec(disk)
    assert [status.name for status in instance.instances_info(hypervisors=["fake"])] == ["web1"]
    for _ in range(2):
        instance.instance_stop(instance=GUEST, hypervisor="fake", timeout=5.0, force=False, progress=quiet)
        assert not is_open(disk)
        assert instance.instance_spec(instance=GUEST) is None


def test_starting_again_starts_once(disk):
    for _ in range(3):
        instance.instance_start(spec=spec(disk), paused=False)
    assert hv_fake.starts(GUEST) == 1


def test_a_disk_that_the_guest_has_left_is_not_started_from(disk, tmp_path):
    """The node was cut off before the master heard that the guest had gone over to another disk."""
    other = replace(disk, file=FileLocation(path=str(tmp_path / "shared" / "web1" / "disk1")))
    disk_calls.disk_create(disk=replace(other, uuid=GUEST), owner_epoch=1, wipe=False, progress=quiet)
    exchanged.remember(other, instead=disk)
    with pytest.raises(HypervisorError, match=r"out of date: its guest went over from .*disk0 to .*disk1, which has"):
        instance.instance_start(spec=spec(disk), paused=False)
    assert not is_open(disk)
    exchanged.remember(disk, instead=other)  # it went back
    instance.instance_start(spec=spec(replace(disk, name="data", mode="rw")), paused=False)
    assert is_open(disk)
    assert exchanged.known(disk.uuid) is None


def test_an_owner_of_before_cannot_start(disk, on):
    instance.instance_start(spec=spec(disk, 2), paused=False)
    on("n2")
    with pytest.raises(StaleOwner):
        instance.instance_start(spec=spec(disk, 1), paused=False)
    assert instance.instances_info(hypervisors=["fake"]) == []
    on("n1")
    assert is_open(disk), "the refused one took nothing away"


def test_a_start_that_fails_closes_the_disks(disk):
    Path(disk.file.path).unlink()
    with pytest.raises(StorageError):
        instance.instance_start(spec=spec(disk), paused=False)
    assert instance.instances_info(hypervisors=["fake"]) == []


def test_a_migration_moves_guest_and_disks(disk, on):
    instance.instance_start(spec=spec(disk, 1), paused=False)
    on("n2")
    moved = spec(disk, 2)
    target = migration.migration_accept(spec=moved, listen="127.0.0.2")
    on("n1")
    done = migration.migration_send(instance=GUEST, hypervisor="fake", target=target, live=True, bandwidth=32,
                                    downtime=30, progress=quiet)
    assert done.status == "completed"
    on("n2")
    assert migration.migration_finish_target(spec=moved, success=True)
    on("n1")
    migration.migration_finish_source(instance=GUEST, hypervisor="fake", success=True)
    assert instance.instances_info(hypervisors=["fake"]) == []
    on("n2")
    assert is_open(disk)
    assert hv_fake.starts(GUEST) == 0, "it arrived, it was not started"
    assert [status.owner_epoch for status in instance.instances_info(hypervisors=["fake"])] == [2]


def test_a_migration_that_is_called_off_closes_the_target(disk, on):
    instance.instance_start(spec=spec(disk, 1), paused=False)
    on("n2")
    migration.migration_accept(spec=spec(disk, 2), listen="127.0.0.2")
    assert not migration.migration_finish_target(spec=spec(disk, 2), success=False)
    assert not is_open(disk)
    on("n1")
    migration.migration_finish_source(instance=GUEST, hypervisor="fake", success=False)
    assert [status.state for status in instance.instances_info(hypervisors=["fake"])] == ["running"]
    instance.instance_start(spec=spec(disk, 2), paused=False)
    assert hv_fake.starts(GUEST) == 1
    assert is_open(disk)


def test_calls_about_a_guest_that_is_not_here(disk):
    with pytest.raises(HypervisorError, match="does not run"):
        instance.instance_reset(instance=GUEST, hypervisor="fake")
    with pytest.raises(HypervisorError, match="does not run"):
        instance.instance_console(instance=GUEST, hypervisor="fake", name="web1", host="n1")
    with pytest.raises(NotFound):
        instance.instance_reset(instance=GUEST, hypervisor="xen")
