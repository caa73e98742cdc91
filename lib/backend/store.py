# SPDX-License-Identifier: BSD-2-Clause
"""Calls about this node's copy of the store.  What they answer is on disk.

The file stays open from call to call; the writer's lock is taken for each, so that a master daemon on this
node, which holds it for good, has the file to itself.
"""

import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.errors import ConfigurationError, WrongState
from gantry.objects.node import StoreStatus
from gantry.store import database as files
from gantry.store.database import Database
from gantry.store.lock import WriterLock
from gantry.store.record import decode_record

NO_COPY = StoreStatus(term=0, serial=-1)


class _Copy:
    """The copy of one root folder, and the snapshot that will replace it."""

    def __init__(self) -> None:
        self.mutex = threading.Lock()
        self._open: Database | None = None
        self._seen: tuple[Path, int] | None = None
        self.making: Database | None = None
        self.status = NO_COPY
        self.parts = 0

    def database(self) -> Database | None:
        """The copy as it is now; None when there is none.  Raises ConfigurationError."""
        path = paths.here().store
        try:
            seen = (path, os.stat(path).st_ino)
        except FileNotFoundError:
            self.close()
            return None
        if self._open is None or self._seen != seen:
            self.close()
            self._open, self._seen = files.open_database(path), seen
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open, self._seen = None, None

    def begin(self, status: StoreStatus) -> None:
        self.drop()
        self.making, self.status, self.parts = files.make(paths.here().store, status.cluster), status, 0

    def drop(self) -> None:
        """Let go of a snapshot that was not finished."""
        if self.making is not None:
            self.making.close()
            files.remove(self.making.path)
        self.making = None


_COPIES: defaultdict[Path, _Copy] = defaultdict(_Copy)
"""By root folder; a node daemon has one."""


@contextmanager
def _alone() -> Iterator[_Copy]:
    copy = _COPIES[paths.here().root]
    with copy.mutex, WriterLock(paths.here().store):
        yield copy


def store_status() -> StoreStatus:
    """A copy that cannot be read is as none: it will be replaced."""
    copy = _COPIES[paths.here().root]
    with copy.mutex:
        return _present(copy, "")


def store_append(*, records: list[dict[str, Any]]) -> StoreStatus:
    """Raises StoreFailed when they cannot be written, WrongState when this node is itself master.

    Records of a lower term than the youngest one here are not taken; callers of a lower term than this node has
    promised do not come this far.
    """
    found = [decode_record(record) for record in records]
    with _alone() as copy:
        database = copy.database()
        return NO_COPY if database is None else database.append(found)


def store_snapshot(*, part: int, last: bool, rows: list[list[Any]], status: StoreStatus,
                   replaces: StoreStatus) -> StoreStatus:
    """Parts must come in order and of one snapshot; part 0 begins anew.  Raises WrongState otherwise.

    A part that was delayed must not put an old state in the place of a newer one: hence `replaces`.
    """
    with _alone() as copy:
        if _present(copy, status.cluster) != replaces:
            raise WrongState(detail="this node's copy of the store has changed since the snapshot was sent")
        if part == 0:
            copy.begin(status)
        if copy.making is None or part != copy.parts or status != copy.status:
            raise WrongState(detail=f"part {part} of a snapshot of the store came out of turn; it must begin again")
        copy.making.fill([(table, key, value) for table, key, value in rows])
        copy.parts += 1
        if not last:
            return NO_COPY
        copy.making.finish(status)
        copy.close()
        files.install(copy.making, paths.here().store)
        copy.making = None
        database = copy.database()
        return NO_COPY if database is None else database.status()


def store_forget(*, status: StoreStatus | None = None) -> None:
    with _alone() as copy:
        if status is not None and _present(copy, status.cluster) != status:
            return
        copy.drop()
        copy.close()
        files.remove(paths.here().store)


def _present(copy: _Copy, cluster: str) -> StoreStatus:
    """Where the copy stands; one that cannot be read is as none.  Raises WrongState when it is another cluster's."""
    try:
        database = copy.database()
        if database is None:
            return NO_COPY
        if cluster and database.cluster != cluster:
            raise WrongState(detail=f"{database.path} belongs to another cluster ({database.cluster}): move it away")
        return database.status()
    except ConfigurationError:
        copy.close()
        return NO_COPY
