# SPDX-License-Identifier: BSD-2-Clause
"""Disks of external providers, with a provider whose volumes are files."""

from dataclasses import replace

import pytest

from gantry import paths
from gantry.backend import extstorage
from gantry.constants import DiskTemplate
from gantry.errors import BadEnvironment, NotFound, StaleOwner, StorageError
from gantry.objects.instance import Disk, ExtLocation
from gantry.storage import ext_providers
from gantry.storage.base import load
from support import provider


def quiet(fraction, message):
    assert message


@pytest.fixture
def volumes(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path / "node1"))
    (tmp_path / "node1/etc").mkdir(parents=True)
    (tmp_path / "node1/etc/hostname").write_text("node1\n")
    provider.write(paths.here().ext_search[0] / "files", tmp_path / "volumes")
    return tmp_path / "volumes"


@pytest.fixture
def driver(volumes):
    return load("ext")


def disk(**facts):
    return Disk(**{"uuid": "u1", "name": "root", "dev_type": DiskTemplate.EXT, "size": 2,
                   "params": {"colour": "red", "access": "kernelspace", ":instance": "web1", "exclusive_storage": True},
                   "ext": ExtLocation(provider="files", volume="v1.ext.disk0")} | facts)


def create(driver, made=None):
    driver.create(made or disk(), owner_epoch=1, wipe=False, progress=quiet)


def test_it_is_made_opened_closed_and_removed(driver, volumes):
    create(driver)
    path = driver.open(disk(), instance="i1", owner_epoch=1)
    status = driver.status(disk())
    assert (path, status.path, status.size, status.open) == (str(volumes / "v1.ext.disk0"), path, 2, True)
    assert (volumes / "v1.ext.disk0.info").read_text() == "originstname+web1\n"
    driver.close(disk(), instance="i1")
    assert not (volumes / "v1.ext.disk0.on").exists()
    assert not driver.status(disk()).open
    driver.remove(disk())
    assert not (volumes / "v1.ext.disk0").exists()


def test_a_volume_is_told_the_new_name_of_its_instance(driver, volumes):
    create(driver)
    driver.open(disk(), instance="i1", owner_epoch=1)
    driver.rename(disk(), disk(params=disk().params | {":instance": "db1"}))
    assert (volumes / "v1.ext.disk0.info").read_text() == "originstname+db1\n"


def test_what_is_not_for_the_provider_is_kept_from_it(driver, volumes):
    (paths.here().ext_search[0] / "files/setinfo").write_text(f"#!/bin/sh\nenv | grep ^EXTP_ > {volumes}/env\n")
    create(driver)
    driver.open(disk(), instance="i1", owner_epoch=1)
    assert (volumes / "env").read_text() == "EXTP_COLOUR=red\n"


def test_parameters_reach_the_programs_and_the_log_keeps_what_they_say(driver):
    create(driver)
    [log] = paths.here().ext_log.glob("create-files-v1.ext.disk0-*.log")
    assert log.read_text() == "red\n"


def test_what_is_done_twice_ends_alike(driver, volumes):
    for _ in range(2):
        create(driver)
    for _ in range(2):
        driver.open(disk(), instance="web1", owner_epoch=1)
    assert (volumes / "calls").read_text().count("setinfo") == 1
    for _ in range(2):
        driver.grow(disk(), size=4)
    assert driver.status(disk()).size == 4
    assert (volumes / "calls").read_text().count("grow") == 1
    for _ in range(2):
        driver.remove(disk())
    assert list(volumes.glob("v1*.on")) == []


def test_growing_leaves_it_detached_where_it_was(driver, volumes):
    create(driver)
    driver.grow(disk(), size=4)
    assert not (volumes / "v1.ext.disk0.on").exists()


def test_a_volume_of_somebody_else_is_not_taken_for_ours(driver, volumes):
    (volumes / "v1.ext.disk0").write_text("theirs")
    with pytest.raises(StorageError, match=r"v1\.ext\.disk0 exists"):
        create(driver)
    assert (volumes / "v1.ext.disk0").read_text() == "theirs"


def test_a_volume_that_cannot_be_removed_is_told(driver, volumes):
    create(driver)
    (paths.here().ext_search[0] / "files/remove").write_text("#!/bin/sh\necho busy; exit 3\n")
    with pytest.raises(StorageError, match="'remove' failed with exit status 3:\nbusy"):
        driver.remove(disk())


def test_an_older_owner_is_refused(driver):
    create(driver)
    driver.open(disk(), instance="web1", owner_epoch=2)
    with pytest.raises(StaleOwner):
        driver.open(disk(), instance="web1", owner_epoch=1)


def test_a_program_that_is_not_there_is_told(driver):
    create(driver)
    snap = replace(disk(), uuid="d2", ext=ExtLocation(provider="files", volume="snap"))
    driver.snapshot(disk(), snap, size=1, progress=quiet)
    driver.remove(snap)
    (paths.here().ext_search[0] / "files/snapshot").unlink()
    with pytest.raises(StorageError, match="no program 'snapshot'"):
        driver.snapshot(disk(), snap, size=1, progress=quiet)


def test_a_volume_without_a_block_device_is_told(driver):
    create(driver)
    (paths.here().ext_search[0] / "files/attach").write_text("#!/bin/sh\necho\necho kvm:net://x\n")
    with pytest.raises(StorageError, match="no block device"):
        driver.open(disk(), instance="web1", owner_epoch=1)


def test_it_cannot_be_renamed(driver):
    driver.rename(disk(), disk())
    with pytest.raises(StorageError, match="cannot be renamed"):
        driver.rename(disk(), replace(disk(), ext=ExtLocation(provider="files", volume="v2")))


# --- providers ---

def test_a_provider_and_its_parameters(volumes):
    [found] = extstorage.extstorage_list()
    assert (found.name, found.problem) == ("files", "")
    assert found.parameters == (("colour", "Its colour"), ("speed", ""))


@pytest.mark.parametrize("broken", ["grow", "parameters.list"])
def test_a_provider_that_lacks_something(volumes, broken):
    (paths.here().ext_search[0] / "files" / broken).unlink()
    [found] = extstorage.extstorage_list()
    assert broken in found.problem
    with pytest.raises(BadEnvironment, match="not valid on this node"):
        ext_providers.usable("files")


@pytest.mark.parametrize("name", ["nope", "", "../files", ".hidden"])
def test_a_provider_that_is_not_there(volumes, name):
    with pytest.raises(NotFound):
        ext_providers.usable(name)
