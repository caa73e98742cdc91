# SPDX-License-Identifier: BSD-2-Clause
"""Files that are whole or not there: written beside, synced, renamed."""

import errno
import os
import secrets
import tempfile
from pathlib import Path

Stamp = tuple[int, int, int, int]
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""Answers of file systems that know no files without a name (NFS, for one)."""


def write_atomic(path: Path, data: str | bytes, *, mode: int = 0o600) -> None:
    """Replace `path` by `data`; a crash leaves the old file or the new one, never a part.

    Where the file system can, the new file has no name until it is whole, so that a crash leaves nothing behind.
    """
    raw = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = _open_beside(path)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(raw)
            out.flush()
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
            if not name:
                beside = f"{path.parent}/.{path.name}.{secrets.token_hex(4)}"
                # With a folder given it is linkat(2), which follows the link in /proc; the folder is not used.
                os.link(f"/proc/self/fd/{out.fileno()}", beside, src_dir_fd=out.fileno())
                name = beside
        os.rename(name, path)
    except BaseException:
        if name:
            Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _open_beside(path: Path) -> tuple[int, str]:
    """A new file in the same folder, and its name: empty if it has none yet."""
    try:
        return os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600), ""
    except OSError as err:
        if err.errno not in _NO_TMPFILE:
            raise
    return tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def stamp(path: Path) -> Stamp | None:
    """Differs when the file was written, replaced or removed; None where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
