# SPDX-License-Identifier: BSD-2-Clause
"""File disks: where they may lie, and what happens when something is wrong.  See also test/contract."""

import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest

from gantry.constants import DiskTemplate
from gantry.errors import StorageError
from gantry.objects.instance import Disk, FileLocation
from gantry.storage import owner
from gantry.storage.base import load
from gantry.storage.file import FileStorage


@pytest.fixture
def base(tmp_path, monkeypatch) -> Path:
    root = tmp_path / "node1"
    (root / "etc/gantry").mkdir(parents=True)
    (root / "etc/hostname").write_text("node1\n")
    folder = tmp_path / "disks"
    folder.mkdir()
    (root / "etc/gantry/file-storage-paths").write_text(f"# disks\n\n{folder}  # here\n")
    monkeypatch.setenv("GANTRY_ROOT", str(root))
    return folder


@pytest.fixture
def storage() -> FileStorage:
    return load("file")


def make_disk(path: Path, size: int = 2, **facts) -> Disk:
    return Disk(uuid="u1", name="", dev_type=DiskTemplate.FILE, size=size, file=FileLocation(path=str(path)), **facts)


def create(storage, disk: Disk, **options) -> None:
    storage.create(disk, **{"owner_epoch": 1, "wipe": False, "progress": lambda fraction, message: None} | options)


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_sub_folder_is_made_and_kept(storage, base):
    disk = make_disk(base / "fast/web1/d0")
    create(storage, disk)
    storage.remove(disk)
    assert below(base) == ["fast"]


def test_a_path_that_is_not_listed_is_refused(storage, base, tmp_path):
    with pytest.raises(StorageError, match="not below a folder listed"):
        create(storage, make_disk(tmp_path / "elsewhere/web1/d0"))
    assert not (tmp_path / "elsewhere").exists()


def test_without_the_list_no_path_is_accepted(storage, base, tmp_path):
    (tmp_path / "node1/etc/gantry/file-storage-paths").unlink()
    with pytest.raises(StorageError, match="file-storage-paths"):
        create(storage, make_disk(base / "web1/d0"))


@pytest.mark.parametrize("path", ["web1/../../escaped/d0", "web1/d0/../../../x"])
def test_dots_are_refused(storage, base, path):
    with pytest.raises(StorageError, match="absolute and plain"):
        create(storage, make_disk(Path(f"{base}/{path}")))


def test_a_disk_needs_a_folder_of_its_own(storage, base):
    with pytest.raises(StorageError, match="folder of its own"):
        create(storage, make_disk(base / "d0"))


def test_a_folder_that_leads_elsewhere_is_refused(storage, base, tmp_path):
    (tmp_path / "outside").mkdir()
    (base / "web1").symlink_to(tmp_path / "outside")
    with pytest.raises(StorageError, match="symbolic link leads out"):
        create(storage, make_disk(base / "web1/d0"))
    assert below(tmp_path / "outside") == []


@pytest.mark.parametrize("verb", ["open", "remove", "create"])
def test_a_file_that_is_a_link_is_refused(storage, base, tmp_path, verb):
    target = tmp_path / "precious"
    target.write_bytes(bytes(2 << 20))
    (base / "web1").mkdir()
    (base / "web1/d0").symlink_to(target)
    disk = make_disk(base / "web1/d0")
    act = {"open": lambda: storage.open(disk, instance="web1", owner_epoch=1),
           "remove": lambda: storage.remove(disk), "create": lambda: create(storage, disk)}[verb]
    with pytest.raises(StorageError, match="symbolic link"):
        act()
    assert target.exists()


def test_an_allowed_folder_that_is_itself_a_link_works(storage, base, tmp_path):
    base.rmdir()
    (tmp_path / "big").mkdir()
    base.symlink_to(tmp_path / "big")
    create(storage, make_disk(base / "web1/d0"))
    assert (tmp_path / "big/web1/d0").exists()


def test_a_missing_base_folder_is_not_made(storage, base):
    base.rmdir()
    with pytest.raises(StorageError, match="does not exist on this node"):
        create(storage, make_disk(base / "web1/d0"))
    assert not base.exists()


def test_a_full_disk_gives_the_sizes_and_leaves_nothing(storage, base, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match=r"of 2 MiB: No space left on device, \d+ MiB are free in"):
        create(storage, make_disk(base / "web1/d0", params={"preallocation": "falloc"}))
    assert below(base) == []


def test_growing_on_a_full_disk_changes_nothing(storage, base, monkeypatch):
    disk = make_disk(base / "web1/d0", params={"preallocation": "falloc"})
    create(storage, disk)

    def full(handle, start, length):
        os.ftruncate(handle, start + length)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="cannot grow"):
        storage.grow(disk, size=4)
    assert storage.status(disk).size == 2


def test_preallocation_takes_the_space_and_sparse_does_not(storage, base):
    create(storage, make_disk(base / "a/d0", params={"preallocation": "falloc"}))
    create(storage, make_disk(base / "b/d0"))
    assert (base / "a/d0").stat().st_blocks * 512 >= 2 << 20
    assert (base / "b/d0").stat().st_blocks == 0


def test_an_unknown_preallocation_is_refused(storage, base):
    with pytest.raises(StorageError, match="'most' is unknown"):
        create(storage, make_disk(base / "web1/d0", params={"preallocation": "most"}))
    assert below(base) == []


def test_somebody_elses_file_is_neither_taken_nor_removed(storage, base):
    (base / "web1").mkdir()
    (base / "web1/d0").write_text("precious")
    with pytest.raises(StorageError, match="another file of that name"):
        create(storage, make_disk(base / "web1/d0"))
    storage.remove(make_disk(base / "web1/d0"))
    assert (base / "web1/d0").read_text() == "precious"


def test_what_a_crash_left_of_a_create_is_made_good(storage, base):
    (base / "web1").mkdir()
    (base / "web1/d0.new").write_bytes(b"half")
    (base / "web1/d0.owner").write_bytes(b"")
    create(storage, make_disk(base / "web1/d0"))
    assert below(base / "web1") == ["d0", "d0.owner"]


def test_what_a_crash_left_of_a_create_is_removed(storage, base):
    (base / "web1").mkdir()
    (base / "web1/d0.new").write_bytes(b"half")
    storage.remove(make_disk(base / "web1/d0"))
    assert below(base) == []


def test_a_damaged_owner_record_is_an_error(storage, base):
    disk = make_disk(base / "web1/d0")
    create(storage, disk)
    (base / "web1/d0.owner").write_text("{")
    with pytest.raises(StorageError, match="is damaged"):
        storage.open(disk, instance="web1", owner_epoch=9)


def test_the_disk_of_another_uuid_is_not_opened(storage, base):
    create(storage, make_disk(base / "web1/d0"))
    other = Disk(uuid="u2", name="", dev_type=DiskTemplate.FILE, size=2,
                 file=FileLocation(path=str(base / "web1/d0")))
    with pytest.raises(StorageError, match="belongs to disk u1"):
        storage.open(other, instance="web1", owner_epoch=9)


@pytest.mark.parametrize("offset", [101, 203])
def test_a_disk_that_qemu_has_open_is_not_removed(storage, base, offset):
    disk = make_disk(base / "web1/d0")
    create(storage, disk)
    with (base / "web1/d0").open("r+b") as file:
        lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, offset, 1, 0)
        fcntl.fcntl(file.fileno(), fcntl.F_OFD_SETLK, lock)
        with pytest.raises(StorageError, match="a running guest uses it"):
            storage.remove(disk)
        with pytest.raises(StorageError, match="a running guest uses it"):
            storage.rename(disk, make_disk(base / "web2/d0"))
    storage.remove(disk)
    assert below(base) == []


def test_the_owner_record_names_node_and_instance(storage, base):
    disk = make_disk(base / "web1/d0")
    create(storage, disk)
    storage.open(disk, instance="web1.example.com", owner_epoch=7)
    assert owner.read(base / "web1/d0") == owner.Owner(epoch=7, node="node1", instance="web1.example.com", disk="u1",
                                                       open=True)
