# SPDX-License-Identifier: BSD-2-Clause
"""A master candidate's copy: appended to, replaced, forgotten, and never touched under a master daemon."""

import os
import subprocess
import sys
import threading

import psutil
import pytest

from gantry import paths
from gantry.backend import leader as backend_leader
from gantry.backend import store as backend
from gantry.errors import StoreFailed, WrongState
from gantry.objects.node import StoreStatus
from gantry.store import database as files
from gantry.store.lock import WriterLock
from gantry.store.record import Record, first_digest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    yield paths.here()
    backend._COPIES.pop(tmp_path, backend._Copy()).close()


def record(status, rows='[["jobs","1","1"]]', **fields):
    return Record(**{"term": 1, "serial": status.serial + 1, "time": 0.0, "prev": status.digest, "rows": rows} | fields)


def snapshot(rows, *, serial=40, cluster="uuid"):
    status = StoreStatus(term=2, serial=serial, cluster=cluster, digest=first_digest(cluster))
    replaces = backend.store_status()
    for number, part in enumerate(rows):
        answer = backend.store_snapshot(part=number, last=number == len(rows) - 1, rows=part, status=status,
                                        replaces=replaces)
    return status, answer


def test_no_copy():
    assert backend.store_status().serial == -1
    assert backend.store_append(records=[record(StoreStatus(term=1, serial=0)).encode()]).serial == -1
    backend.store_forget()


def test_a_snapshot_makes_the_copy_and_records_follow(here):
    status, answer = snapshot([[["jobs", "1", "1"]], [["jobs", "2", '"two"']]])
    assert answer == status == backend.store_status()
    after = backend.store_append(records=[record(status, '[["jobs","1",null]]', term=2).encode()])
    assert after.serial == 41
    database = files.open_database(here.store, check=True)
    assert database.table("jobs") == {"2": '"two"'}
    database.close()
    status, _ = snapshot([[["jobs", "9", "9"]]], serial=50)
    assert backend.store_status() == status
    backend.store_forget()
    assert backend.store_status().serial == -1
    assert not list(here.state.glob("cluster.db-*"))


def test_parts_out_of_turn_change_nothing():
    status, _ = snapshot([[["jobs", "1", "1"]]])
    newer = StoreStatus(term=2, serial=60, cluster="uuid", digest="x")
    with pytest.raises(WrongState, match="must begin again"):
        backend.store_snapshot(part=1, last=True, rows=[], status=newer, replaces=status)
    backend.store_snapshot(part=0, last=False, rows=[], status=newer, replaces=status)
    with pytest.raises(WrongState):
        backend.store_snapshot(part=2, last=True, rows=[], status=newer, replaces=status)
    with pytest.raises(WrongState):
        backend.store_snapshot(part=1, last=True, rows=[], status=status, replaces=status)
    assert backend.store_status() == status


def test_late_requests_change_nothing():
    status, _ = snapshot([[]])
    later = backend.store_append(records=[record(status, term=2).encode()])
    with pytest.raises(WrongState, match="has changed since"):
        backend.store_snapshot(part=0, last=True, rows=[], status=status, replaces=status)
    backend.store_forget(status=status)
    assert backend.store_status() == later
    backend.store_forget(status=later)
    assert backend.store_status().serial == -1


def test_a_copy_of_another_cluster_is_not_replaced():
    status, _ = snapshot([[]])
    with pytest.raises(WrongState, match="belongs to another cluster"):
        snapshot([[]], cluster="other")
    assert backend.store_status() == status


def test_a_damaged_copy_is_replaced(here):
    here.store.parent.mkdir(parents=True)
    here.store.write_bytes(b"rubbish")
    status, _ = snapshot([[["jobs", "1", "1"]]])
    assert backend.store_status() == status


def test_the_master_daemons_store_is_left_alone(here):
    status, _ = snapshot([[]])
    with WriterLock(here.store):
        for work in (lambda: backend.store_append(records=[record(status, term=2).encode()]), backend.store_forget,
                     lambda: snapshot([[]])):
            with pytest.raises(WrongState, match="in use by the master daemon"):
                work()
        assert backend.store_status() == status
    assert backend.store_append(records=[record(status, term=2).encode()]).serial == 41


def test_a_master_daemon_that_wrote_in_between_is_seen(here):
    status, _ = snapshot([[]])
    database = files.open_database(here.store)
    later = database.append([record(status, term=3)])
    database.close()
    assert backend.store_status() == later


def test_a_full_disk_is_reported(here):
    status, _ = snapshot([[]])
    copy = backend._COPIES[here.root]
    copy.database().limit_pages(12)
    big = record(status, '[["jobs","1","' + "x" * 200_000 + '"]]', term=2)
    with pytest.raises(StoreFailed, match="full"):
        backend.store_append(records=[big.encode()])
    assert backend.store_status() == status


def test_many_threads(here):
    status, _ = snapshot([[]])
    first = record(status, term=2)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(backend.store_append(records=[first.encode()])))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.serial for answer in answers} == {41}


# --- stopping an old master -----------------------------------------------------------------------------------------

SLEEPER = "import signal, sys, time\nif 'deaf' in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" \
          "print('up', flush=True)\ntime.sleep(60)\n"


def start(tmp_path, name, *args):
    script = tmp_path / name
    script.write_text(SLEEPER)
    process = subprocess.Popen([sys.executable, str(script), *args], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    pid_file = paths.here().pid_file("gnt-masterd")
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    pid_file.write_text(f"{process.pid}\n")
    return process


@pytest.mark.parametrize("args", [(), ("deaf",)])
def test_master_stop_ends_the_daemon(tmp_path, monkeypatch, args):
    monkeypatch.setattr(backend_leader, "STOP_SECONDS", 0.2)
    with start(tmp_path, "gnt-masterd", *args) as process:
        backend_leader.master_stop()
        assert process.wait(5) < 0
    backend_leader.master_stop()


def test_master_stop_spares_others(tmp_path, monkeypatch):
    with start(tmp_path, "something-else") as process:
        backend_leader.master_stop()
        assert psutil.pid_exists(process.pid)
        process.kill()
    with start(tmp_path, "gnt-masterd") as process:
        monkeypatch.setenv("GANTRY_ROOT", str(tmp_path / "other"))
        paths.here().run.mkdir(parents=True)
        os.rename(tmp_path / "run/gantry/gnt-masterd.pid", paths.here().pid_file("gnt-masterd"))
        backend_leader.master_stop()  # the pid belongs to another node of the virtual cluster
        assert process.poll() is None
        process.kill()
