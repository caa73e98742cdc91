# SPDX-License-Identifier: BSD-2-Clause
"""The SQLite file that holds everything the master knows; the copies on master candidates are alike.

Tables: `rows` (the present), `journal` (the youngest records, at least one) and `meta`.  What a method that
writes has returned from is on disk.  One process writes at a time: it holds the lock file beside the database.
The file is read by any number of others.
"""

import os
import sqlite3
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from gantry.errors import ConfigurationError, StoreFailed
from gantry.objects.node import StoreStatus
from gantry.store.record import Record, TextRow, first_digest
from gantry.utils.files import sync_folder

FORMAT = 1
APPLICATION = 0x67746479
"""Number in the SQLite header by which a store of ours is told from other files."""
JOURNAL_KEPT = 5000
_TRIM_EVERY = 200
_TAIL_RECORDS, _TAIL_TEXT = 500, 1 << 20
_SCHEMA = """
CREATE TABLE rows (tbl TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (tbl, key));
CREATE TABLE journal (serial INTEGER PRIMARY KEY, term INTEGER NOT NULL, time REAL NOT NULL,
                      prev TEXT NOT NULL, digest TEXT NOT NULL, rows TEXT NOT NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_LAST = "SELECT term, serial, digest FROM journal ORDER BY serial DESC LIMIT 1"
_RECORD = "INSERT INTO journal (serial, term, time, prev, digest, rows) VALUES (?, ?, ?, ?, ?, ?)"
_PUT = "INSERT INTO rows (tbl, key, value) VALUES (?, ?, ?) ON CONFLICT (tbl, key) DO UPDATE SET value = excluded.value"


class Database:
    """One copy of the store.  Make it with `create` or `open`.  Not for two threads at the same time."""

    def __init__(self, path: Path, connection: sqlite3.Connection, cluster: str) -> None:
        self.path, self._db, self.cluster = path, connection, cluster

    def close(self) -> None:
        self._db.close()

    # --- reading ------------------------------------------------------------------------------------------

    def status(self) -> StoreStatus:
        """Where this copy stands."""
        term, serial, digest = self._one(_LAST)
        return StoreStatus(term=term, serial=serial, digest=digest, cluster=self.cluster)

    def rows(self, *, without: Iterable[str] = ()) -> Generator[tuple[str, str, str], None, None]:
        """All rows but those of the tables in `without`, by table and key."""
        skipped = list(without)
        marks = ",".join("?" * len(skipped))
        query = f"SELECT tbl, key, value FROM rows WHERE tbl NOT IN ({marks}) ORDER BY tbl, key"  # noqa: S608 - only ?
        with translated(self.path):
            yield from self._db.execute(query, skipped)

    def table(self, table: str, keys: Iterable[str] | None = None) -> dict[str, str]:
        """Rows of one table, all or those with these keys."""
        if keys is None:
            return dict(self._many("SELECT key, value FROM rows WHERE tbl = ?", [table]))
        found: dict[str, str] = {}
        for key in keys:
            found.update(self._many("SELECT key, value FROM rows WHERE tbl = ? AND key = ?", [table, key]))
        return found

    def count(self, table: str) -> int:
        return int(self._one("SELECT count(*) FROM rows WHERE tbl = ?", [table])[0])

    def oldest(self, table: str, number: int) -> list[str]:
        """The `number` lowest keys of a table."""
        return [key for key, in self._many("SELECT key FROM rows WHERE tbl = ? ORDER BY key LIMIT ?", [table, number])]

    def has(self, serial: int, digest: str) -> bool:
        """Whether the journal holds (or ends in) the record with this serial and digest."""
        return bool(self._many("SELECT 1 FROM journal WHERE serial = ? AND digest = ?", [serial, digest]))

    def tail(self, after: int) -> list[Record]:
        """Some records that follow the serial `after`, oldest first; none at the end of the journal."""
        query = "SELECT serial, term, time, prev, rows FROM journal WHERE serial > ? ORDER BY serial LIMIT ?"
        found, size = [], 0
        with translated(self.path):
            for serial, term, time, prev, rows in self._db.execute(query, (after, _TAIL_RECORDS)):
                found.append(Record(serial=serial, term=term, time=time, prev=prev, rows=rows))
                size += len(rows)
                if size > _TAIL_TEXT:
                    break
        return found

    def hold(self) -> None:
        """From now on read the file as it is now, until `close`."""
        with translated(self.path):
            self._db.execute("BEGIN")
            self._db.execute("SELECT count(*) FROM meta").fetchone()

    def check(self) -> None:
        """Raise ConfigurationError when the file is damaged; reads all of it."""
        problems = [str(line) for line, in self._many("PRAGMA quick_check(3)")]
        if problems != ["ok"]:
            raise damaged(self.path, "; ".join(problems))

    # --- writing ------------------------------------------------------------------------------------------

    def append(self, records: Iterable[Record]) -> StoreStatus:
        """Take the records that follow on what is there; those already there are skipped.

        Ends at the first that does not follow.  Raises StoreFailed when they cannot be written, and then
        none of them is there.
        """
        status = self.status()
        taken = []
        for record in records:
            if record.serial == status.serial + 1 and record.prev == status.digest and record.term >= status.term:
                taken.append(record)
                status = StoreStatus(term=record.term, serial=record.serial, digest=record.digest,
                                     cluster=self.cluster)
        if taken:
            self._write(taken, status)
        return status

    def _write(self, records: list[Record], status: StoreStatus) -> None:
        digests = [record.prev for record in records[1:]] + [status.digest]
        with Transaction(self._db, self.path):
            for record, digest in zip(records, digests, strict=True):
                self._put(record.decode_rows())
                self._db.execute(_RECORD, (record.serial, record.term, record.time, record.prev, digest, record.rows))
            if any(record.serial % _TRIM_EVERY == 0 for record in records):
                self._db.execute("DELETE FROM journal WHERE serial <= ?", (status.serial - JOURNAL_KEPT,))

    def _put(self, rows: Iterable[TextRow]) -> None:
        for table, key, value in rows:
            if value is None:
                self._db.execute("DELETE FROM rows WHERE tbl = ? AND key = ?", (table, key))
            else:
                self._db.execute(_PUT, (table, key, value))

    def fill(self, rows: Iterable[TextRow]) -> None:
        """Put rows without a record; only for a copy that is being made and not yet in use."""
        with Transaction(self._db, self.path):
            self._put(rows)

    def finish(self, status: StoreStatus) -> None:
        """End the making of a copy: it stands at `status`, and its file is whole without a log beside it."""
        with Transaction(self._db, self.path):
            self._db.execute("DELETE FROM journal")
            self._db.execute(_RECORD, (status.serial, status.term, 0.0, "", status.digest, "[]"))
        self.fold()

    def fold(self) -> None:
        """Write the log back into the file."""
        with translated(self.path):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def limit_pages(self, pages: int) -> None:
        """Let the file grow no further than this, as on a full disk; for tests."""
        self._db.execute(f"PRAGMA max_page_count = {int(pages)}")

    # --- helpers ------------------------------------------------------------------------------------------

    def _many(self, query: str, values: list[Any] | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with translated(self.path):
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, values: list[Any] | tuple[Any, ...] = ()) -> tuple[Any, ...]:
        found = self._many(query, values)
        if not found:
            raise damaged(self.path, "its journal is empty")
        return found[0]


def create(path: Path, cluster: str, *, term: int = 1) -> Database:
    """A new, empty store for the cluster with this UUID.  Raises ConfigurationError when there is one."""
    if path.exists():
        raise ConfigurationError(detail=f"{path} exists already: this node holds a cluster's state")
    making = make(path, cluster)
    making.finish(StoreStatus(term=term, serial=0, digest=first_digest(cluster), cluster=cluster))
    install(making, path)
    return open_database(path, cluster=cluster)


def make(path: Path, cluster: str) -> Database:
    """An empty file beside `path`, to be filled, finished and installed in its place."""
    beside = path.with_name(path.name + ".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(beside)
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = _connect(beside)
    with translated(beside):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};" + _SCHEMA)
    with Transaction(connection, beside):
        connection.execute("INSERT INTO meta (key, value) VALUES ('cluster', ?)", (cluster,))
    return Database(beside, connection, cluster)


def install(made: Database, path: Path) -> None:
    """Close the finished copy and put it in the place of `path`, which nobody may have open for writing."""
    made.close()
    for suffix in ("-wal", "-shm"):  # they belong to the old file; SQLite would apply them to the new one
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    made.path.rename(path)
    sync_folder(path.parent)


def open_database(path: Path, *, cluster: str | None = None, check: bool = False) -> Database:
    """The store at `path`; with `cluster` it must be of the cluster with this UUID; `check` reads all of it.

    Raises ConfigurationError when it is not there, damaged, of a newer version or of another cluster.
    """
    if not path.exists():
        raise ConfigurationError(detail=f"{path} is not there: this node holds no copy of the cluster's state")
    connection = _connect(path)
    try:
        found = _identify(path, connection)
        if cluster is not None and found != cluster:
            raise ConfigurationError(detail=f"{path} belongs to another cluster ({found}, not {cluster}): move it away")
        with translated(path):
            connection.execute("PRAGMA journal_mode = WAL")
        database = Database(path, connection, found)
        database.status()
        if check:
            database.check()
    except BaseException:
        connection.close()
        raise
    return database


def remove(path: Path) -> None:
    """Delete the store and its log; harmless when there is none."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _identify(path: Path, connection: sqlite3.Connection) -> str:
    """UUID of the cluster."""
    with translated(path):
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION and version > FORMAT:
            raise ConfigurationError(detail=f"{path} was written by a newer version of Gantry (format {version}, "
                                            f"this one knows {FORMAT}): install that version on this node")
        if application != APPLICATION or version != FORMAT:
            raise damaged(path, "it is no store of Gantry")
        row = connection.execute("SELECT value FROM meta WHERE key = 'cluster'").fetchone()
    if row is None:
        raise damaged(path, "it does not say which cluster it belongs to")
    return str(row[0])


def _connect(path: Path) -> sqlite3.Connection:
    with translated(path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
    return connection


def damaged(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(detail=f"{path} is damaged ({why}): move it away; another master candidate has a copy, "
                                     "which gnt-cluster master-failover there puts in use")


class translated:  # noqa: N801 - used like contextlib.suppress
    """Errors of SQLite while reading or opening, as sentences."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, err: BaseException | None, trace: object) -> None:
        if isinstance(err, sqlite3.OperationalError) and "no such" not in str(err):
            raise StoreFailed(detail=f"{self._path} cannot be used: {err}") from err
        if isinstance(err, (sqlite3.Error, UnicodeDecodeError)):
            raise damaged(self._path, str(err)) from err


class Transaction:
    """BEGIN on entry; COMMIT on exit, or ROLLBACK after an error.  Raises StoreFailed when SQLite does."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db, self._path = connection, path

    def __enter__(self) -> None:
        self._guarded("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, err: BaseException | None, trace: object) -> None:
        if err is None:
            self._guarded("COMMIT")
            return
        self._roll_back()
        if isinstance(err, sqlite3.Error):
            raise self._failed(err) from err

    def _guarded(self, statement: str) -> None:
        try:
            self._db.execute(statement)
        except sqlite3.Error as err:
            self._roll_back()
            raise self._failed(err) from err

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:  # the error that led here says more
                return

    def _failed(self, err: sqlite3.Error) -> StoreFailed:
        return StoreFailed(detail=f"a change could not be written to {self._path}: {err}")
