# SPDX-License-Identifier: BSD-2-Clause
"""The store on the master's event loop: everything that is put is on disk, and on every in-sync copy, before
it is acknowledged.

SQLite works in a thread of its own.  Puts that arrive while a record is being written form the next record
(group commit).  When a record cannot be written the store takes nothing more until the process is started
again: what is in memory may then be newer than what is on disk, and only a restart tells them apart.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gantry.errors import Error, StoreFailed
from gantry.objects.node import StoreStatus
from gantry.store import database as files
from gantry.store.database import Database
from gantry.store.lock import WriterLock
from gantry.store.record import Record, Row, TextRow, decode_value, encode_rows, rows_text
from gantry.store.snapshot import Snapshot
from gantry.utils import clock, counting

log = logging.getLogger(__name__)
T = TypeVar("T")

NOT_LOADED = frozenset({"archive", "history"})
"""Tables that are read when somebody asks."""
HISTORY_KEPT, HISTORY_SLICE = 10_000, 500
MOST_ROWS, MOST_TEXT = 2_000, 4 << 20
"""A record takes no further put beyond these, so that a copy can always follow."""


class Copies(Protocol):
    """Where records go beside the local disk (`replicate.py`)."""

    async def send(self, record: Record) -> None:
        """Return when every in-sync copy has the record.  Raises when this node is no longer master."""

    def rows(self) -> list[Row]:
        """What the next record must say of the copies."""


@dataclass(frozen=True)
class _Put:
    rows: list[TextRow]
    size: int
    done: "asyncio.Future[int]"


class Store:
    """Made by `open_store`, on a running loop.  `failed` is the sentence of why it takes nothing more, or empty."""

    def __init__(self, database: Database, lock: WriterLock, *, term: int,
                 on_failure: Callable[[str], None] | None = None) -> None:
        self._database, self._lock, self.term = database, lock, term
        self._on_failure = on_failure
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._reader = ThreadPoolExecutor(1, "store-reader")
        self._reading: Database | None = None
        self._waiting: list[_Put] = []
        self._pump: asyncio.Task[None] | None = None
        self._gate = asyncio.Lock()
        self._copies: Copies | None = None
        self._history = database.count("history")
        self._trimming = False
        self.status = database.status()
        self.failed = ""

    def tables(self) -> dict[str, dict[str, Any]]:
        """All rows but those of `archive` and `history`, by table and key; for the start, before the first put."""
        found: dict[str, dict[str, Any]] = {}
        for table, key, text in self._database.rows(without=NOT_LOADED):
            found.setdefault(table, {})[key] = decode_value(text)
        return found

    def attach(self, copies: Copies) -> None:
        """From the next record on, send records to these copies."""
        self._copies = copies

    # --- putting --------------------------------------------------------------------------------------------

    def put(self, rows: Iterable[Row]) -> "asyncio.Future[int]":
        """Enqueue in order; resolves to the record's serial when the rows are durable on all in-sync copies.

        Values are taken as they are now.  Raises StoreFailed at once when the store takes nothing more,
        ConfigurationError for a value that JSON cannot hold.
        """
        if self.failed:
            raise StoreFailed(detail=self.failed)
        texts = encode_rows(rows)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Put(texts, sum(len(value or "") for _, _, value in texts), done))
        self._history += sum(table == "history" for table, _, _ in texts)
        if self._pump is None:
            self._pump = asyncio.create_task(self._run(), name="store")
        return done

    async def commit(self, rows: Iterable[Row]) -> int:
        """Put and wait; the wait may be cancelled, the rows are put all the same."""
        return await asyncio.shield(self.put(rows))

    async def _run(self) -> None:
        """Write records until nothing waits."""
        batch: list[_Put] = []
        try:
            while self._waiting and not self.failed:
                async with self._gate:
                    batch = self._take()
                    with counting.COMMIT_SECONDS.time():
                        await self._commit(self._form(batch))
                for item in batch:
                    if not item.done.done():
                        item.done.set_result(self.status.serial)
                batch = []
                self._trim_history()
        except Error as err:
            self.fail(str(err), batch)
        except BaseException as err:
            self.fail(f"the store ended in the middle of a record ({type(err).__name__})", batch)
            raise
        finally:
            self._pump = None

    def _take(self) -> list[_Put]:
        rows = text = taken = 0
        for item in self._waiting:
            rows, text = rows + len(item.rows), text + item.size
            if taken and (rows > MOST_ROWS or text > MOST_TEXT):
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    def _form(self, batch: Sequence[_Put]) -> Record:
        rows = [row for item in batch for row in item.rows]
        if self._copies is not None:
            rows += encode_rows(self._copies.rows())
        return Record(term=self.term, serial=self.status.serial + 1, time=clock.epoch(), prev=self.status.digest,
                      rows=rows_text(rows))

    async def _commit(self, record: Record) -> None:
        local = asyncio.ensure_future(self._in(self._writer, self._database.append, [record]))
        if self._copies is not None:
            copies = asyncio.ensure_future(self._copies.send(record))
            try:
                await local
                await copies
            finally:
                if not copies.cancel() and not copies.cancelled():
                    copies.exception()  # the local failure says more
        status = await local
        if status.serial != record.serial:
            raise StoreFailed(detail=f"{self._database.path} stands at record {status.serial} and did not take record "
                                     f"{record.serial}: somebody else has written to it")
        self.status = status

    def fail(self, why: str, batch: Sequence[_Put] = ()) -> None:
        """Take nothing more; all that wait get StoreFailed with `why`."""
        if not self.failed:
            self.failed = f"{why}; the master daemon takes no more changes until it is started again"
            log.critical("%s", self.failed)
            if self._on_failure is not None:
                self._on_failure(self.failed)
        self._refuse(batch)

    def _refuse(self, batch: Sequence[_Put] = ()) -> None:
        waiting, self._waiting = [*batch, *self._waiting], []
        for item in waiting:
            if not item.done.done():
                item.done.set_exception(StoreFailed(detail=self.failed))
                item.done.exception()  # whoever does not wait for it is told by the log

    def _trim_history(self) -> None:
        if self._history > HISTORY_KEPT + HISTORY_SLICE and not self._trimming:
            self._trimming = True
            task = asyncio.create_task(self._trim(), name="store-history")
            task.add_done_callback(lambda _: setattr(self, "_trimming", False))

    async def _trim(self) -> None:
        try:
            database = await self._in(self._reader, self._open_reader)
            keys = await self._in(self._reader, database.oldest, "history", HISTORY_SLICE)
            await self.commit([("history", key, None) for key in keys])
            self._history -= 2 * len(keys)  # the deletions were counted as well
        except Error as err:
            log.warning("old entries of the history could not be removed: %s", err)

    # --- reading --------------------------------------------------------------------------------------------

    async def read(self, table: str, keys: Iterable[str] | None = None) -> dict[str, Any]:
        """Durable rows of one table, all or those with these keys, by key."""
        wanted = None if keys is None else list(keys)
        return await self._in(self._reader, self._read, table, wanted)

    def _read(self, table: str, keys: list[str] | None) -> dict[str, Any]:
        return {key: decode_value(text) for key, text in self._open_reader().table(table, keys).items()}

    async def follows(self, status: StoreStatus) -> bool:
        """Whether a copy that stands there can be brought up by records of the journal alone."""
        database = await self._in(self._reader, self._open_reader)
        return await self._in(self._reader, database.has, status.serial, status.digest)

    async def tail(self, after: int) -> list[Record]:
        """Some records that follow a serial; empty at the end of the journal."""
        database = await self._in(self._reader, self._open_reader)
        return await self._in(self._reader, database.tail, after)

    async def snapshot(self) -> AsyncGenerator[tuple[StoreStatus, list[TextRow], bool], None]:
        """The whole store as it is at one moment, in parts: where it stands, rows, whether it is the last part."""
        copy = await self._in(self._reader, Snapshot, self._database.path)
        try:
            last = False
            while not last:
                rows, last = await self._in(self._reader, copy.part)
                yield copy.status, rows, last
        finally:
            await self._in(self._reader, copy.close)

    @asynccontextmanager
    async def between_records(self) -> AsyncIterator[StoreStatus]:
        """Hold the next record back; where the store stands until then."""
        async with self._gate:
            yield self.status

    async def close(self, *, seconds: float = 5.0) -> None:
        """Write what waits, for at most `seconds`, then let go of the file.  What did not make it is refused."""
        pump = self._pump
        if pump is not None:
            await asyncio.wait([pump], timeout=seconds)
            if not pump.done():
                self.failed = self.failed or "the store is closed"
                pump.cancel()
                await asyncio.wait([pump])
        self.failed = self.failed or "the store is closed"
        self._refuse()
        for pool in (self._reader, self._writer):
            await asyncio.to_thread(pool.shutdown)
        if self._reading is not None:
            self._reading.close()
        self._database.close()
        self._lock.release()

    def _open_reader(self) -> Database:
        if self._reading is None:
            self._reading = files.open_database(self._database.path, cluster=self._database.cluster)
        return self._reading

    def _in(self, pool: ThreadPoolExecutor, function: Callable[..., T], *args: Any) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(pool, partial(function, *args))


async def open_store(path: Path, *, term: int, cluster: str | None = None,
                     on_failure: Callable[[str], None] | None = None) -> Store:
    """The store at `path`, for this process alone to write, its records numbered in `term`.

    `on_failure` is called once when it stops taking changes.  Raises ConfigurationError (not there, damaged,
    newer, another cluster's) or WrongState (another process writes).
    """
    def open_files() -> tuple[WriterLock, Database]:
        lock = WriterLock(path)
        try:
            return lock, files.open_database(path, cluster=cluster, check=True)
        except BaseException:
            lock.release()
            raise
    lock, database = await asyncio.to_thread(open_files)
    if database.status().term > term:
        newer = database.status().term
        database.close()
        lock.release()
        raise StoreFailed(detail=f"{path} was written by the master of term {newer}, this is term {term}: this node is "
                                 "no longer master")
    return Store(database, lock, term=term, on_failure=on_failure)
