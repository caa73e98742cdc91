# SPDX-License-Identifier: BSD-2-Clause
"""Node tasks: long work in a process of its own, which outlives the node daemon and the master.

A task whose process ended without a final record (killed, power cut) is reported as failed, `interrupted`; asked to
start again, it starts anew.  Everything else under a known id is answered from its record.
"""

import contextlib
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.backend import task_record
from gantry.backend.task_record import CANCELED, FAILED, RUNNING, UNKNOWN, Canceled, Record
from gantry.backend.task_starter import Starter
from gantry.errors import ExecError
from gantry.objects.codec import DecodeError
from gantry.objects.node import TaskStatus
from gantry.rpc.registry import CALLS
from gantry.utils import clock, retry

log = logging.getLogger(__name__)

__all__ = ["Canceled", "task_cancel", "task_forget", "task_start", "task_status"]

LONGEST_WAIT = 45.0
"""Seconds that a call may wait for news: less than its caller waits for the answer."""
MANY_WAITING, SHORT_WAIT = 16, 1.0
"""With so many calls waiting, further ones wait this long only: each keeps one of the daemon's threads."""
GENTLE_SECONDS, TERM_SECONDS = 2.0, 10.0
"""A cancelled task may end by itself, then is told to by a signal, then is killed."""
LAST_MOMENT = 3.0
"""Seconds a process may live on after its last record."""
KEPT_SECONDS = 14 * 86400
"""Finished records that no master asked about for so long are removed."""

_starting = threading.Lock()
_starter = Starter()
_waiting = threading.BoundedSemaphore(MANY_WAITING)


def task_start(task: str, call: str, args: dict[str, Any]) -> TaskStatus:
    """Raises DecodeError for wrong arguments and for calls that are no task."""
    declared = CALLS.get(call)
    if declared is None or not declared.task:
        raise DecodeError(where="task_start", detail=f"{call} is not a task")
    declared.decode_args(args)
    with _starting:
        record = _look(task)
        if record is not None and not _interrupted(record):
            return record.status()
        lock = _lock(task)
        try:
            task_record.file(task, "cancel").unlink(missing_ok=True)
            record = Record(task=task, call=call, args=args)
            task_record.write(record, durable=True)
            _starter.start(task, call, lock)
        finally:
            os.close(lock)
    return record.status()


def task_status(task: str, wait: float, seen: float) -> TaskStatus:
    """A task nobody knows is `unknown`, at once."""
    free = _waiting.acquire(blocking=False)
    try:
        seconds = min(wait, LONGEST_WAIT if free else SHORT_WAIT)
        end, waits = clock.SYSTEM.now() + seconds, retry.growing(0.005, most=0.05)
        while True:
            status = _status(task)
            left = end - clock.SYSTEM.now()
            if status.state != RUNNING or status.fraction != seen or left <= 0:
                return status
            clock.SYSTEM.sleep(min(next(waits), left))
    finally:
        if free:
            _waiting.release()


def task_cancel(task: str) -> TaskStatus:
    """Returns when it has ended; one that ended before keeps its state."""
    if _status(task).state != RUNNING:
        return _status(task)
    task_record.file(task, "cancel").touch(mode=0o600)
    for number, seconds in ((0, GENTLE_SECONDS), (signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, TERM_SECONDS)):
        if number:
            _signal_group(task, number)
        if retry.wait_for(lambda: not task_record.lives(task), seconds=seconds, waits=retry.growing(0.005, most=0.05)):
            break
    record = task_record.read(task)
    if record is not None and record.state == RUNNING and not task_record.lives(task):
        end_rest(record)
        record.state, record.message = CANCELED, "killed, it did not end when asked"
        task_record.write(record, durable=True)
    return _status(task)


def task_forget(tasks: list[str]) -> None:
    """One that still runs keeps its record."""
    for task in tasks:
        with _starting:
            living, record = task_record.lives(task), task_record.read(task)
            if not living or (record is not None and record.state != RUNNING):
                task_record.remove(task)


def remove_stale() -> None:
    """At the start of the daemon: remove records that nobody asks for any more, and what crashes left."""
    folder = paths.here().tasks
    if not folder.is_dir():
        return
    for path in list(folder.iterdir()):
        if path.name.startswith("."):
            path.unlink(missing_ok=True)
        elif path.suffix == ".json" and _older(path) and not task_record.lives(path.stem):
            task_record.remove(path.stem)


def _older(path: Path) -> bool:
    return clock.epoch() - path.stat().st_mtime > KEPT_SECONDS


def _status(task: str) -> TaskStatus:
    record = _look(task)
    return record.status() if record else TaskStatus(state=UNKNOWN)


def _look(task: str) -> Record | None:
    """The record as it is to be reported."""
    living = task_record.lives(task)  # before the record: a process writes its last one, then ends
    record = task_record.read(task)
    if record is None or record.state != RUNNING or living:
        return record
    end_rest(record)
    record.state, record.error = FAILED, dict(task_record.interrupted(record).encode())
    return record


def end_rest(record: Record) -> None:
    """End the scripts that a runner left behind when it was killed: two at once would ruin a disk.

    They are known by their session, which is the runner's.  Its number is not given to another as long as
    one of them lives.
    """
    if not record.pid or record.boot != task_record.boot_id():
        return
    if task_record.process_start(record.pid) not in (0, record.started):  # it may be ending, or not be collected yet
        return
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(process.name)) == record.pid:
                log.warning("ending process %s, which task %s left behind", process.name, record.task)
                os.kill(int(process.name), signal.SIGKILL)


def _interrupted(record: Record) -> bool:
    facts = (record.error or {}).get("facts")
    return isinstance(facts, dict) and bool(facts.get("interrupted"))


def _lock(task: str) -> int:
    """The lock of a task that is not running; its last process may take a moment to be gone."""
    end = clock.SYSTEM.now() + LAST_MOMENT
    for pause in retry.growing(0.005, most=0.1):
        lock = task_record.lock(task)
        if lock is not None:
            return lock
        if clock.SYSTEM.now() > end:
            break
        clock.SYSTEM.sleep(pause)
    raise ExecError(detail=f"task {task} has no record, but a process that runs it")


def _signal_group(task: str, number: int) -> None:
    record = task_record.read(task)
    if record is None or not record.pid or task_record.process_start(record.pid) != record.started:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(record.pid, number)
