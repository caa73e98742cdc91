# SPDX-License-Identifier: BSD-2-Clause
"""One writer a store: the master daemon, or the node daemon of a master candidate."""

import fcntl
import os
from pathlib import Path

from gantry.errors import WrongState


class WriterLock:
    """Held from its making to `release`, and no longer than the process lives.  Raises WrongState."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            os.close(self._handle)
            raise WrongState(detail=f"{path} is in use by the master daemon of this node") from err

    def release(self) -> None:
        os.close(self._handle)

    def __enter__(self) -> "WriterLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
