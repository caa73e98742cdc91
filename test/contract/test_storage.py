# SPDX-License-Identifier: BSD-2-Clause
"""What every storage driver promises, on each driver that this machine can run."""

import os
from pathlib import Path

import pytest

from gantry.constants import DiskTemplate
from gantry.errors import StaleOwner, StorageError
from gantry.objects.instance import Disk, FileLocation
from gantry.storage.base import Storage, load

SIZE = 3


class Canceled(Exception):
    pass


def quiet(fraction: float, message: str) -> None:
    assert 0.0 <= fraction <= 1.0
    assert message


def cancel(fraction: float, message: str) -> None:
    raise Canceled


@pytest.fixture(params=["file", "sharedfile"])
def template(request) -> str:
    return request.param


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Make this process act as the node of the given name."""
    def become(name: str) -> None:
        root = tmp_path / name
        (root / "etc/gantry").mkdir(parents=True, exist_ok=True)
        (root / "etc/hostname").write_text(name + "\n")
        (root / "etc/gantry/file-storage-paths").write_text(f"{tmp_path}/disks\n")
        (tmp_path / "disks").mkdir(exist_ok=True)
        monkeypatch.setenv("GANTRY_ROOT", str(root))
    become("node1")
    return become


@pytest.fixture
def storage(template, node) -> Storage:
    return load(template)


@pytest.fixture
def disk(template, tmp_path):
    def make(name: str = "d1", instance: str = "web1", **facts) -> Disk:
        path = tmp_path / "disks" / instance / name
        return Disk(uuid=f"uuid-{name}", name="", dev_type=DiskTemplate(template), size=SIZE,
                    file=FileLocation(path=str(path)), **facts)
    return make


@pytest.mark.parametrize("params", [{}, {"preallocation": "off"}, {"preallocation": "falloc"}])
@pytest.mark.parametrize("wipe", [False, True])
def test_it_has_exactly_its_size_and_is_empty(storage, disk, params, wipe):
    made = disk(params=params)
    storage.create(made, owner_epoch=1, wipe=wipe, progress=quiet)
    path = storage.open(made, instance="web1", owner_epoch=1)
    with open(path, "rb") as file:
        assert file.read() == bytes(SIZE << 20)
    assert storage.status(made).size == SIZE


def test_making_it_twice_keeps_what_is_in_it(storage, disk):
    storage.create(disk(), owner_epoch=1, wipe=True, progress=quiet)
    with open(storage.open(disk(), instance="web1", owner_epoch=1), "r+b") as file:
        file.write(b"data")
    storage.create(disk(), owner_epoch=1, wipe=True, progress=quiet)
    with open(storage.open(disk(), instance="web1", owner_epoch=1), "rb") as file:
        assert file.read(4) == b"data"


def test_a_cancelled_create_leaves_nothing(storage, disk, tmp_path):
    with pytest.raises(Canceled):
        storage.create(disk(), owner_epoch=1, wipe=True, progress=cancel)
    assert list((tmp_path / "disks").iterdir()) == []
    assert not storage.status(disk()).exists


def test_a_cancelled_create_leaves_the_other_disks_alone(storage, disk):
    storage.create(disk("d1"), owner_epoch=1, wipe=False, progress=quiet)
    with pytest.raises(Canceled):
        storage.create(disk("d2"), owner_epoch=1, wipe=True, progress=cancel)
    assert storage.status(disk("d1")).exists


def test_removing_twice_is_harmless(storage, disk, tmp_path):
    storage.create(disk(), owner_epoch=1, wipe=False, progress=quiet)
    storage.remove(disk())
    storage.remove(disk())
    assert not storage.status(disk()).exists
    assert list((tmp_path / "disks").iterdir()) == []


def test_removing_what_was_never_made_is_harmless(storage, disk, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    storage.remove(disk())
    assert not storage.status(disk()).exists
    assert sorted(tmp_path.rglob("*")) == before, "nothing is made of it either"


def test_the_folder_goes_with_the_last_disk(storage, disk, tmp_path):
    for name in ("d1", "d2"):
        storage.create(disk(name), owner_epoch=1, wipe=False, progress=quiet)
    storage.remove(disk("d1"))
    assert storage.status(disk("d2")).exists
    storage.remove(disk("d2"))
    assert list((tmp_path / "disks").iterdir()) == []


def test_an_older_owner_is_refused(storage, disk, node):
    storage.create(disk(), owner_epoch=1, wipe=False, progress=quiet)
    storage.open(disk(), instance="web1", owner_epoch=1)
    node("node2")
    storage.open(disk(), instance="web1", owner_epoch=2)
    node("node1")
    with pytest.raises(StaleOwner) as caught:
        storage.open(disk(), instance="web1", owner_epoch=1)
    assert caught.value.facts["theirs"] == 2
    assert storage.status(disk()).owner_epoch == 2


def test_opening_again_with_the_same_epoch_is_harmless(storage, disk):
    storage.create(disk(), owner_epoch=5, wipe=False, progress=quiet)
    first = storage.open(disk(), instance="web1", owner_epoch=5)
    assert storage.open(disk(), instance="web1", owner_epoch=5) == first


def test_it_is_open_between_open_and_close(storage, disk):
    storage.create(disk(), owner_epoch=1, wipe=False, progress=quiet)
    assert not storage.status(disk()).open
    storage.open(disk(), instance="web1", owner_epoch=1)
    assert storage.status(disk()).open
    storage.close(disk(), instance="web1")
    storage.close(disk(), instance="web1")
    assert not storage.status(disk()).open
    assert storage.status(disk()).owner_epoch == 1


def test_closing_on_the_old_node_does_not_close_it_on_the_new_one(storage, disk, node):
    storage.create(disk(), owner_epoch=1, wipe=False, progress=quiet)
    storage.open(disk(), instance="web1", owner_epoch=1)
    node("node2")
    storage.open(disk(), instance="web1", owner_epoch=2)
    node("node1")
    storage.close(disk(), instance="web1")
    node("node2")
    assert storage.status(disk()).open


def test_opening_what_is_not_there_is_an_error(storage, disk):
    with pytest.raises(StorageError, match="is not there"):
        storage.open(disk(), instance="web1", owner_epoch=1)


@pytest.mark.parametrize("params", [{}, {"preallocation": "falloc"}])
def test_growing_keeps_the_data_and_never_shrinks(storage, disk, params):
    grown = disk(params=params)
    storage.create(grown, owner_epoch=1, wipe=False, progress=quiet)
    with open(storage.open(grown, instance="web1", owner_epoch=1), "r+b") as file:
        file.write(b"data")
    for _ in range(2):
        storage.grow(grown, size=SIZE + 2)
    storage.grow(grown, size=SIZE)
    assert storage.status(grown).size == SIZE + 2
    with open(storage.open(grown, instance="web1", owner_epoch=1), "rb") as file:
        assert file.read(4) == b"data"


def test_renaming_takes_data_and_owner_along(storage, disk, tmp_path):
    old, new = disk("d1", "web1"), disk("d1", "web2")
    storage.create(old, owner_epoch=1, wipe=False, progress=quiet)
    with open(storage.open(old, instance="web1", owner_epoch=4), "r+b") as file:
        file.write(b"data")
    for _ in range(2):
        storage.rename(old, new)
    assert not storage.status(old).exists
    assert not (tmp_path / "disks/web1").exists()
    assert storage.status(new).owner_epoch == 4
    with pytest.raises(StaleOwner):
        storage.open(new, instance="web2", owner_epoch=3)
    with open(storage.open(new, instance="web2", owner_epoch=4), "rb") as file:
        assert file.read(4) == b"data"


def test_renaming_onto_another_disk_is_refused(storage, disk):
    for name in ("d1", "d2"):
        storage.create(disk(name), owner_epoch=1, wipe=False, progress=quiet)
    with pytest.raises(StorageError, match="there already"):
        storage.rename(disk("d1"), disk("d2"))
    assert storage.status(disk("d1")).exists


def test_a_snapshot_holds_what_the_disk_held(storage, disk, tmp_path):
    made, snap = disk(), disk("d2")
    storage.create(made, owner_epoch=1, wipe=False, progress=quiet)
    path = storage.open(made, instance="web1", owner_epoch=1)
    content = bytes(1 << 20) + os.urandom(1 << 20) + bytes(1 << 20)
    Path(path).write_bytes(content)
    storage.snapshot(made, snap, size=SIZE, progress=quiet)
    Path(path).write_bytes(os.urandom(SIZE << 20))
    storage.snapshot(made, snap, size=SIZE, progress=quiet)  # it is there
    assert Path(storage.status(snap).path).read_bytes() == content
    storage.remove(snap)
    assert sorted(item.name for item in (tmp_path / "disks/web1").iterdir()) == ["d1", "d1.owner"]


def test_a_snapshot_that_is_canceled_leaves_nothing(storage, disk, tmp_path):
    storage.create(disk(), owner_epoch=1, wipe=True, progress=quiet)
    Path(storage.status(disk()).path).write_bytes(os.urandom(SIZE << 20))
    with pytest.raises(Canceled):
        storage.snapshot(disk(), disk("d2"), size=SIZE, progress=cancel)
    assert sorted(item.name for item in (tmp_path / "disks/web1").iterdir()) == ["d1", "d1.owner"]
