# SPDX-License-Identifier: BSD-2-Clause
"""Calls about what is on disks: clearing a part, copying one disk onto another on this node."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gantry.errors import StorageError
from gantry.objects.instance import Disk
from gantry.storage import base

MIB = 1 << 20
BLOCK = 4 * MIB
_ZEROS = bytes(BLOCK)

Progress = Callable[[float, str], None]

log = logging.getLogger(__name__)


def disk_wipe(*, disk: Disk, start: int, size: int, progress: Progress) -> None:
    with opened(disk, os.O_WRONLY) as handle:
        for done in range(0, size * MIB, BLOCK):
            progress(done / (size * MIB), f"wiping, {done // MIB} of {size} MiB")
            write_all(handle, _ZEROS[:min(BLOCK, size * MIB - done)], start * MIB + done)
        os.fsync(handle)


def disk_copy(*, source: Disk, target: Disk, progress: Progress) -> None:
    total = source.size * MIB
    with opened(source, os.O_RDONLY) as here, opened(target, os.O_WRONLY) as there:
        for offset, block in blocks(here, total):
            progress(offset / total, f"copying, {offset // MIB} of {source.size} MiB")
            write_all(there, block, offset)
        os.fsync(there)
    progress(1.0, f"{source.size} MiB copied")


def blocks(handle: int, total: int) -> Iterator[tuple[int, bytes]]:
    """(offset, data) of all that is in the first `total` bytes; raises StorageError when there is less."""
    offset = 0
    while offset < total:
        block = os.pread(handle, min(BLOCK, total - offset), offset)
        if not block:
            raise StorageError(detail=f"the disk ends after {offset // MIB} of {total // MIB} MiB, it is not copied")
        yield offset, block
        offset += len(block)


def write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


@contextmanager
def opened(disk: Disk, flags: int) -> Iterator[int]:
    """The disk's file or device; errors on it become a sentence that names it."""
    path = path_of(disk)
    try:
        handle = os.open(path, flags | os.O_CLOEXEC)
        try:
            yield handle
        finally:
            os.close(handle)
    except OSError as err:
        raise StorageError(detail=f"disk {disk.uuid} ({path}): {err.strerror}") from err


def path_of(disk: Disk) -> Path:
    """Where the disk is read and written on this node; raises StorageError when it is not here."""
    status = base.load(disk.dev_type).status(disk)
    if not status.exists:
        raise StorageError(detail=f"disk {disk.uuid} is not here ({status.path})")
    return Path(status.path)
