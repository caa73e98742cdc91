# SPDX-License-Identifier: BSD-2-Clause
"""Writing this node's ssconf files: what every node knows of the cluster, as text."""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from gantry import paths
from gantry.errors import WrongInput
from gantry.utils.files import write_atomic

MAX_BYTES = 128 * 1024
_KEY = re.compile(r"[a-z][a-z0-9_]*")


def write(values: Mapping[str, str], serial: int) -> None:
    """Replace all files (mode 0444); keys that are not in `values` go away.

    The serial is written last, so a write that was cut off is finished by its repetition.  An older serial
    than the one here changes nothing.
    """
    for key, text in values.items():
        if not _KEY.fullmatch(key) or len(text.encode()) > MAX_BYTES:
            raise WrongInput(detail=f"ssconf value '{key}' cannot be written: a plain name and at most "
                                    f"{MAX_BYTES} bytes are expected")
    here = paths.here()
    with _locked():
        if serial < read_serial():
            return
        for key, text in values.items():
            _write_changed(key, text if text.endswith("\n") or not text else text + "\n")
        for path in here.state.glob("ssconf_*"):
            if path.name.removeprefix("ssconf_") not in values:
                path.unlink(missing_ok=True)
        write_atomic(here.state / "ssconf.serial", f"{serial}\n")


def read_serial() -> int:
    """Serial of the files here; -1 when none were written, or it cannot be read."""
    try:
        return int((paths.here().state / "ssconf.serial").read_text())
    except (OSError, ValueError):
        return -1


def remove() -> None:
    here = paths.here()
    with _locked():
        for path in (*here.state.glob("ssconf_*"), here.state / "ssconf.serial"):
            path.unlink(missing_ok=True)
    (here.state / "ssconf.lock").unlink(missing_ok=True)


def _write_changed(key: str, text: str) -> None:
    path = paths.here().ssconf(key)
    with suppress(OSError, UnicodeDecodeError):
        if path.read_text() == text and path.stat().st_mode & 0o777 == 0o444:
            return
    write_atomic(path, text, mode=0o444)


@contextmanager
def _locked() -> Iterator[None]:
    """One writer at a time, in whatever thread or process."""
    folder = paths.here().state
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "ssconf.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
