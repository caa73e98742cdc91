# SPDX-License-Identifier: BSD-2-Clause
"""A file that holds what another one holds: blocks are shared where the file system can, else copied without holes."""

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from gantry.errors import StorageError
from gantry.storage.base import Progress

MIB = 1 << 20
BLOCK = 4 * MIB
_FICLONE = 0x40049409
"""The request to share all blocks of a file (linux/fs.h)."""
_CANNOT_SHARE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS)


def clone(source: Path, target: Path, size: int, progress: Progress) -> None:
    """Make `target`, of `size` bytes; on the disk when this returns.  Raises StorageError for a shorter source, and
    OSError.
    """
    with source.open("rb") as old:
        here = old.fileno()
        have = os.fstat(here).st_size
        if have < size:
            raise StorageError(detail=f"the disk file {source} has {have // MIB} MiB instead of {size // MIB} MiB")
        there = os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if not _shared(here, there):
                _copy(here, there, size, progress)
            os.ftruncate(there, size)
            os.fsync(there)
        finally:
            os.close(there)


def _shared(here: int, there: int) -> bool:
    """Whether the file system lets both files have the same blocks until one of them is written."""
    try:
        fcntl.ioctl(there, _FICLONE, here)
    except OSError as err:
        if err.errno not in _CANNOT_SHARE:
            raise
        return False
    return True


def _copy(here: int, there: int, size: int, progress: Progress) -> None:
    for start, end in _pieces(here, size):
        done = start
        while done < end:
            progress(done / size, f"copying, {done // MIB} of {size // MIB} MiB")
            block = os.pread(here, min(BLOCK, end - done), done)
            if not block:
                raise OSError(errno.EIO, "the file became shorter while it was copied")
            done += os.pwrite(there, block, done)


def _pieces(handle: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of what is no hole, below `size`."""
    end = 0
    while end < size:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError as err:
            if err.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        end = min(os.lseek(handle, start, os.SEEK_HOLE), size)
        if start < end:
            yield start, end
