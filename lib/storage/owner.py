# SPDX-License-Identifier: BSD-2-Clause
"""Who may use a disk: a small record, `DISK.owner`, beside a disk file, else in a folder of this node.

    {"epoch": 3, "node": "node1", "instance": "web1", "disk": UUID, "open": true}

The epoch only grows.  Whoever opens the disk with a lower one is refused, so a node that was failed over
can no longer start the guest.  The record is replaced atomically, under an flock on itself, so it also works
in a folder that several nodes share.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

import simplejson

from gantry import paths
from gantry.errors import StaleOwner, StorageError
from gantry.objects import codec
from gantry.objects.instance import Disk
from gantry.utils import resolver, retry
from gantry.utils.files import write_atomic

LOCK_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Owner:
    """`open`: the disk was opened on `node` and not closed there since."""

    epoch: int
    node: str = ""
    instance: str = ""
    disk: str = ""
    open: bool = False


def path_of(disk_file: Path) -> Path:
    return disk_file.with_name(disk_file.name + ".owner")


def read(disk_file: Path) -> Owner | None:
    """The record, or None where there is none; raises StorageError when it cannot be understood."""
    path = path_of(disk_file)
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as err:
        raise StorageError(detail=f"the owner record {path} cannot be read: {err}") from err
    if not text:
        return None  # made by `locked` a moment ago
    try:
        return codec.decode(Owner, simplejson.loads(text))
    except (ValueError, codec.DecodeError) as err:
        raise StorageError(detail=f"the owner record {path} is damaged ({err}); when the instance runs nowhere, "
                                  "remove the record and try again") from err


def write(disk_file: Path, owner: Owner) -> None:
    write_atomic(path_of(disk_file), simplejson.dumps(codec.encode(owner)) + "\n", mode=0o644)


def claim(disk_file: Path, wanted: Owner, *, shown: str = "") -> None:
    """Record `wanted`; raises StaleOwner when a newer epoch is recorded, in which the disk is `shown` so, or by its
    path.  Call it under `locked`."""
    present = read(disk_file)
    if present is not None and present.epoch > wanted.epoch:
        raise StaleOwner(disk=shown or str(disk_file), theirs=present.epoch, ours=wanted.epoch)
    if present != wanted:
        write(disk_file, wanted)


def release(disk_file: Path, *, node: str) -> None:
    """Note that `node` no longer has the disk open; another node's record is left alone."""
    if read(disk_file) is None:
        return
    with locked(disk_file):
        present = read(disk_file)
        if present is not None and present.open and present.node == node:
            write(disk_file, replace(present, open=False))


@contextmanager
def locked(disk_file: Path) -> Iterator[None]:
    """Hold the record alone.  The file is made if need be, and taken away again if it stayed empty."""
    path = path_of(disk_file)
    handles: list[int] = []
    if not retry.wait_for(lambda: _try_lock(path, handles), seconds=LOCK_SECONDS, waits=repeat(0.05)):
        raise StorageError(detail=f"the owner record {path} is held by another process since {LOCK_SECONDS:g} s")
    try:
        yield
    finally:
        if path.exists() and path.stat().st_size == 0:
            path.unlink(missing_ok=True)
        os.close(handles[0])


def _try_lock(path: Path, handles: list[int]) -> bool:
    handle = -1
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:  # else it was replaced while we waited
            handles.append(handle)
            return True
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as err:
        if handle >= 0:
            os.close(handle)
        raise StorageError(detail=f"the owner record {path} cannot be locked: {err.strerror}") from err
    if handle >= 0:
        os.close(handle)
    return False


# --- disks that are no files: the record lies on this node alone ---

def claim_local(disk: Disk, *, epoch: int, instance: str = "", opened: bool = False) -> None:
    """Note that the owner of `epoch` has the disk here; raises StaleOwner when a newer one has."""
    path = _local(disk)
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    with locked(path):
        present = read(path)
        wanted = Owner(epoch=epoch, node=resolver.own_name(), disk=disk.uuid,
                       instance=instance or (present.instance if present else ""),
                       open=opened or (present is not None and present.open))
        claim(path, wanted, shown=f"disk {disk.uuid}")


def read_local(disk: Disk) -> Owner:
    return read(_local(disk)) or Owner(epoch=0)


def release_local(disk: Disk) -> None:
    release(_local(disk), node=resolver.own_name())


def forget_local(disk: Disk) -> None:
    path_of(_local(disk)).unlink(missing_ok=True)


def move_local(disk: Disk, new: Disk) -> None:
    """The record of `disk` is that of `new` from now on."""
    record = read(_local(disk))
    if disk.uuid != new.uuid and record is not None:
        claim_local(new, epoch=record.epoch, instance=record.instance)
        forget_local(disk)


def _local(disk: Disk) -> Path:
    return paths.here().owners / disk.uuid
