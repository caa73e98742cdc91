# SPDX-License-Identifier: BSD-2-Clause
"""The store's file: what it takes, what it refuses, what survives."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from gantry.errors import ConfigurationError, StoreFailed, WrongState
from gantry.store import database as files
from gantry.store.lock import WriterLock
from gantry.store.record import Record, decode_value, encode_rows, rows_text


def record_after(database, rows, *, term=1):
    status = database.status()
    return Record(term=term, serial=status.serial + 1, time=1.5, prev=status.digest, rows=rows_text(encode_rows(rows)))


@pytest.fixture
def database(tmp_path):
    made = files.create(tmp_path / "cluster.db", "cluster-uuid")
    yield made
    made.close()


def test_records_in_order(database):
    first = record_after(database, [("jobs", "1", {"a": 1}), ("jobs", "2", [])])
    status = database.append([first])
    assert (status.serial, status.digest) == (1, first.digest)
    database.append([record_after(database, [("jobs", "1", None)])])
    assert database.table("jobs") == {"2": "[]"}
    assert [record.serial for record in database.tail(0)] == [1, 2]
    assert database.tail(0)[0] == first
    assert database.has(1, first.digest)
    assert not database.has(1, "other")


def test_duplicates_gaps_and_strangers_change_nothing(database):
    first = record_after(database, [("jobs", "1", 1)])
    other = record_after(database, [("jobs", "1", 2)])
    status = database.append([first])
    gap = Record(term=1, serial=3, time=0.0, prev=first.digest, rows="[]")
    stranger = Record(term=1, serial=2, time=0.0, prev=other.digest, rows="[]")
    older = Record(term=0, serial=2, time=0.0, prev=first.digest, rows="[]")
    for record in (first, gap, stranger, older, other):
        assert database.append([record]) == status
    assert database.table("jobs") == {"1": "1"}


def test_a_damaged_record_leaves_nothing(database):
    status = database.status()
    for rows in ("[[1]]", "no json", '[["a", "b", 5]]'):
        with pytest.raises(ConfigurationError, match="record 1 is damaged"):
            database.append([Record(term=1, serial=1, time=0.0, prev=status.digest, rows=rows)])
    assert database.status() == status


def test_the_journal_is_trimmed(database, monkeypatch):
    monkeypatch.setattr(files, "JOURNAL_KEPT", 10)
    for number in range(430):
        database.append([record_after(database, [("jobs", "1", number)])])
    assert len(database.tail(0)) <= 10 + files._TRIM_EVERY
    assert database.status().serial == 430


def test_it_is_still_there_when_opened_again(tmp_path, database):
    status = database.append([record_after(database, [("jobs", "1", "é")])])
    database.close()
    again = files.open_database(tmp_path / "cluster.db", cluster="cluster-uuid", check=True)
    assert again.status() == status
    assert list(again.rows()) == [("jobs", "1", '"é"')]
    again.close()


def test_refusals(tmp_path, database):
    path = tmp_path / "cluster.db"
    database.close()
    with pytest.raises(ConfigurationError, match="exists already"):
        files.create(path, "x")
    with pytest.raises(ConfigurationError, match="belongs to another cluster"):
        files.open_database(path, cluster="another")
    with pytest.raises(ConfigurationError, match="not there"):
        files.open_database(tmp_path / "none.db")
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(ConfigurationError, match="newer version"):
        files.open_database(path)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_damaged_files(tmp_path, content):
    path = tmp_path / "cluster.db"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"cluster.db is damaged .*another master candidate"):
        files.open_database(path)
    assert path.read_bytes() == content


def test_damaged_in_the_middle(tmp_path, database):
    path = tmp_path / "cluster.db"
    for number in range(200):
        database.append([record_after(database, [("jobs", str(number), "x" * 500)])])
    database.fold()
    database.close()
    size = path.stat().st_size
    with path.open("r+b") as out:
        out.seek(8192)
        out.write(os.urandom(size - 8192 - 4096))
    with pytest.raises(ConfigurationError, match="damaged"):
        files.open_database(path, check=True)


def test_cut_short(tmp_path, database):
    path = tmp_path / "cluster.db"
    for number in range(200):
        database.append([record_after(database, [("jobs", str(number), "x" * 500)])])
    database.fold()
    database.close()
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ConfigurationError, match="damaged"):
        files.open_database(path, check=True)


def test_a_full_disk_refuses_and_keeps_what_was_there(database):
    status = database.append([record_after(database, [("jobs", "1", 1)])])
    database.limit_pages(20)
    with pytest.raises(StoreFailed, match=r"could not be written .* full"):
        database.append([record_after(database, [("jobs", "2", "x" * 200_000)])])
    assert database.status() == status
    assert database.table("jobs") == {"1": "1"}


def test_one_writer(tmp_path):
    with WriterLock(tmp_path / "cluster.db"), pytest.raises(WrongState, match="in use by the master daemon"):
        WriterLock(tmp_path / "cluster.db")
    WriterLock(tmp_path / "cluster.db").release()


def test_install_replaces_the_whole_file(tmp_path, database):
    path = tmp_path / "cluster.db"
    database.append([record_after(database, [("jobs", "old", 1)])])
    status = database.status()
    making = files.make(path, "cluster-uuid")
    making.fill([("jobs", "new", "1")])
    making.finish(status)
    database.close()
    files.install(making, path)
    again = files.open_database(path, check=True)
    assert (again.table("jobs"), again.status()) == ({"new": "1"}, status)
    again.close()
    assert {item.name for item in tmp_path.iterdir()} == {"cluster.db"}


KILLED = """
import sys
from pathlib import Path
from gantry.store import database as files
from gantry.store.record import Record, encode_rows, rows_text
database = files.open_database(Path(sys.argv[1]))
while True:
    status = database.status()
    number = status.serial + 1
    record = Record(term=1, serial=number, time=0.0, prev=status.digest,
                    rows=rows_text(encode_rows([("jobs", str(number), "x" * 3000)])))
    database.append([record])
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_kill_keeps_what_was_acknowledged(tmp_path, database, after):
    database.close()
    path = tmp_path / "cluster.db"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True) as process:
        last = 0
        for line in process.stdout:
            last = int(line)
            if last == after:
                os.kill(process.pid, signal.SIGKILL)
    again = files.open_database(path, check=True)
    assert again.status().serial >= last >= after
    assert again.table("jobs").keys() == {str(number + 1) for number in range(again.status().serial)}
    assert [record.serial for record in again.tail(0)] == list(range(again.status().serial + 1))[1:]
    again.close()


def test_halves_of_characters_become_question_marks():
    """Such as Python makes of file names that are no text; they must not end the store."""
    ((_, _, text),) = encode_rows([("jobs", "1", {"\udc80": "\u00e4\ud800"})])
    text.encode()
    assert decode_value(text) == {"?": "\u00e4?"}
