# SPDX-License-Identifier: BSD-2-Clause
"""Keeping this node's watcher still while daemons are stopped on purpose."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from gantry import paths


@contextmanager
def hold() -> Iterator[None]:
    """Waits for a watcher that is at work."""
    path = paths.here().watcher_lock
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
