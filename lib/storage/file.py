# SPDX-License-Identifier: BSD-2-Clause
"""Disks as raw files: templates `file` (one node) and `sharedfile` (a folder that several nodes see).

    BASE/[SUBDIR/]INSTANCE/DISK            the disk, of exactly its size
    BASE/[SUBDIR/]INSTANCE/DISK.owner      who may use it (owner.py)
    BASE/[SUBDIR/]INSTANCE/DISK.new        a disk that is still being made

A file gets its final name only when it is whole.  The disk parameter `preallocation` is `off` (sparse, the
default) or `falloc` (blocks are reserved at once).
"""

import errno
import fcntl
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from gantry.errors import StorageError
from gantry.objects.instance import Disk
from gantry.storage import allowed, clone, owner
from gantry.storage.base import DiskStatus, Progress, Storage
from gantry.utils import resolver
from gantry.utils.files import sync_folder

MIB = 1 << 20
CHUNK = 64 * MIB
_QEMU_LOCK_BYTES = (100, 200)
"""Where QEMU keeps its image locks: 100 bytes from 100 (what it does), 100 from 200 (what it shares)."""

log = logging.getLogger(__name__)


class FileStorage(Storage, names=("file", "sharedfile")):
    """See the base class; `disk.file` says where."""

    def create(self, disk: Disk, *, owner_epoch: int, wipe: bool, progress: Progress) -> None:
        path = _path(disk)
        base = allowed.check(path)
        if self._made_before(disk, path):
            return
        made_by = owner.Owner(epoch=owner_epoch, node=resolver.own_name(), instance=path.parent.name, disk=disk.uuid)
        try:
            _make_folder(path.parent, base)
            with owner.locked(path), _nothing_left(path):
                _fill_new(_partial(path), disk, wipe=wipe, progress=progress)
                owner.write(path, made_by)
                os.rename(_partial(path), path)
            sync_folder(path.parent)
        except OSError as err:
            raise _no_room_or(err, path, disk.size, "create") from err
        finally:
            _drop_folder(path.parent)
        progress(1.0, f"disk of {disk.size} MiB made")

    def remove(self, disk: Disk) -> None:
        path = _path(disk)
        if not any(os.path.lexists(name) for name in (path, _partial(path), owner.path_of(path))):
            return
        allowed.check(path)
        if os.path.lexists(path) and not _is_ours(disk, path):
            log.warning("%s is left alone: its owner record does not name disk %s", path, disk.uuid)
            return
        _refuse_when_used(path, "removed")
        try:
            with owner.locked(path):
                for name in (path, _partial(path), owner.path_of(path)):
                    name.unlink(missing_ok=True)
            _drop_folder(path.parent)
        except OSError as err:
            raise StorageError(detail=f"the disk file {path} cannot be removed: {err.strerror}") from err

    def open(self, disk: Disk, *, instance: str, owner_epoch: int) -> str:
        path = _path(disk)
        allowed.check(path)
        if not path.is_file():
            raise StorageError(detail=f"the disk file {path} is not there")
        if not os.access(path, os.R_OK | (os.W_OK if disk.mode == "rw" else 0)):
            raise StorageError(detail=f"the disk file {path} may not be opened by this node (mode {disk.mode})")
        with owner.locked(path):
            record = owner.read(path)
            if record is not None and record.disk not in ("", disk.uuid):
                raise StorageError(detail=f"the disk file {path} belongs to disk {record.disk}, not to {disk.uuid}")
            owner.claim(path, owner.Owner(epoch=owner_epoch, node=resolver.own_name(), instance=instance,
                                          disk=disk.uuid, open=True))
        return str(path)

    def close(self, disk: Disk, *, instance: str) -> None:
        path = _path(disk)
        if path.is_file():
            allowed.check(path)
            owner.release(path, node=resolver.own_name())

    def status(self, disk: Disk) -> DiskStatus:
        path = _path(disk)
        try:
            size = path.stat().st_size
        except OSError:
            return DiskStatus(path=str(path), exists=False)
        record = owner.read(path) or owner.Owner(epoch=0)
        return DiskStatus(path=str(path), exists=True, size=size // MIB, owner_epoch=record.epoch,
                          open=record.open and record.node == resolver.own_name(), used=_is_used(path))

    def grow(self, disk: Disk, *, size: int) -> None:
        path = _path(disk)
        allowed.check(path)
        try:
            with path.open("r+b") as file:
                old = os.fstat(file.fileno()).st_size
                if old < size * MIB:
                    _extend(file.fileno(), old, size * MIB, prealloc=_prealloc(disk))
        except FileNotFoundError:
            raise StorageError(detail=f"the disk file {path} is not there") from None
        except OSError as err:
            raise _no_room_or(err, path, size, "grow") from err

    def rename(self, disk: Disk, new: Disk) -> None:
        old_path, new_path = _path(disk), _path(new)
        if old_path == new_path:
            return
        if not old_path.exists() and _is_ours(new, new_path):
            owner.path_of(old_path).unlink(missing_ok=True)
            return
        allowed.check(old_path)
        base = allowed.check(new_path)
        if not old_path.is_file():
            raise StorageError(detail=f"the disk file {old_path} is not there, it cannot be renamed")
        if os.path.lexists(new_path):
            raise StorageError(detail=f"the disk file {old_path} cannot be renamed: {new_path} is there already")
        _refuse_when_used(old_path, "renamed")
        try:
            _make_folder(new_path.parent, base)
            with owner.locked(old_path):
                record = owner.read(old_path) or owner.Owner(epoch=0)
                owner.write(new_path, replace(record, instance=new_path.parent.name, disk=new.uuid))
                os.rename(old_path, new_path)
                owner.path_of(old_path).unlink(missing_ok=True)
            sync_folder(new_path.parent)
            _drop_folder(old_path.parent)
        except OSError as err:
            raise StorageError(detail=f"the disk file {old_path} cannot be renamed to {new_path}: "
                                      f"{err.strerror}") from err

    def snapshot(self, disk: Disk, new: Disk, *, size: int, progress: Progress) -> None:
        source, path = _path(disk), _path(new)
        base = allowed.check(path)
        allowed.check(source)
        if self._made_before(new, path):
            return
        before = owner.read(source) or owner.Owner(epoch=0)
        try:
            _make_folder(path.parent, base)
            with owner.locked(path), _nothing_left(path):
                clone.clone(source, _partial(path), new.size * MIB, progress)
                owner.write(path, replace(before, disk=new.uuid, open=False))
                os.rename(_partial(path), path)
            sync_folder(path.parent)
        except OSError as err:
            raise _no_room_or(err, path, new.size, "create") from err
        finally:
            _drop_folder(path.parent)

    def _made_before(self, disk: Disk, path: Path) -> bool:
        """Whether an earlier run made the very disk; raises when something else has its name."""
        if not os.path.lexists(path):
            return False
        if not _is_ours(disk, path):
            raise StorageError(detail=f"the disk file {path} cannot be made: another file of that name is there")
        found = path.stat().st_size
        if found != disk.size * MIB:
            raise StorageError(detail=f"the disk file {path} is there already with {found / MIB:g} MiB "
                                      f"instead of {disk.size} MiB")
        return True


def _path(disk: Disk) -> Path:
    if disk.file is None:
        raise StorageError(detail=f"disk {disk.uuid} of type {disk.dev_type} has no file in the configuration")
    return Path(disk.file.path)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _is_ours(disk: Disk, path: Path) -> bool:
    record = owner.read(path)
    return record is not None and record.disk == disk.uuid


def _prealloc(disk: Disk) -> bool:
    value = disk.params.get("preallocation", "off")
    if value not in ("off", "falloc"):
        raise StorageError(detail=f"disk {disk.uuid}: preallocation '{value}' is unknown, use off or falloc")
    return bool(value == "falloc")


def _make_folder(folder: Path, base: Path) -> None:
    """Make what is missing of `folder` below `base`, which the administrator has to make."""
    if not base.is_dir():
        raise StorageError(detail=f"the storage folder {base} does not exist on this node; make it")
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)


def _drop_folder(folder: Path) -> None:
    """Remove an instance's folder unless other disks are in it."""
    with suppress(OSError):
        folder.rmdir()
        sync_folder(folder.parent)


@contextmanager
def _nothing_left(path: Path) -> Iterator[None]:
    """Take away what was made of a disk if it does not come to its name, also when it was cancelled."""
    try:
        yield
    except BaseException:
        _partial(path).unlink(missing_ok=True)
        if not path.exists():
            owner.path_of(path).unlink(missing_ok=True)
        raise


def _fill_new(part: Path, disk: Disk, *, wipe: bool, progress: Progress) -> None:
    """Make the file `part`; on the disk when this returns."""
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        total = disk.size * MIB
        if not _prealloc(disk):
            os.ftruncate(handle, total)
        else:
            for start in range(0, total, 4 * CHUNK):
                progress(start / total / (2 if wipe else 1), f"reserving {disk.size} MiB")
                os.posix_fallocate(handle, start, min(4 * CHUNK, total - start))
        if wipe:
            _wipe(handle, total, progress)
        os.fsync(handle)
    finally:
        os.close(handle)


def _wipe(handle: int, total: int, progress: Progress) -> None:
    zeros = memoryview(bytes(4 * MIB))
    done = 0
    while done < total:
        if done % (16 * MIB) == 0:
            progress(done / total, f"wiping, {done // MIB} of {total // MIB} MiB")
        done += os.pwrite(handle, zeros[:total - done], done)


def _extend(handle: int, old: int, new: int, *, prealloc: bool) -> None:
    """Make the file `new` bytes long; of its old size again when that fails."""
    try:
        if prealloc:
            os.posix_fallocate(handle, old, new - old)
        else:
            os.ftruncate(handle, new)
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, old)
        raise


def _no_room_or(err: OSError, path: Path, size: int, verb: str) -> StorageError:
    if err.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(detail=f"cannot {verb} the disk file {path}: {err.strerror}")
    folder = next(folder for folder in path.parents if folder.is_dir())
    space = os.statvfs(folder)
    return StorageError(detail=f"cannot {verb} the disk file {path} of {size} MiB: {err.strerror}, "
                               f"{space.f_bavail * space.f_frsize // MIB} MiB are free in {folder}")


def _refuse_when_used(path: Path, verb: str) -> None:
    if _is_used(path):
        raise StorageError(detail=f"the disk file {path} cannot be {verb}: a running guest uses it; "
                                  "stop the guest first")


def _is_used(path: Path) -> bool:
    """Whether a guest that runs holds its image locks."""
    try:
        with path.open("r+b") as file:
            return _locked_by_qemu(file.fileno())
    except FileNotFoundError:
        return False


def _locked_by_qemu(handle: int) -> bool:
    """Whether another process holds any of the image locks on the file (also over NFS)."""
    for start in _QEMU_LOCK_BYTES:
        query = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, 100, 0)
        try:
            answer = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, query)
        except OSError:
            return False  # a filesystem without such locks; QEMU cannot take them there either
        if struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK:
            return True
    return False
