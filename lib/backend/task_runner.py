# SPDX-License-Identifier: BSD-2-Clause
"""The server of tasks, `python -m gantry.backend.task_runner LINK SECONDS`, and the processes it forks, one for each.

LINK is the number of the inherited socket through which the node daemon (`task_starter.py`) names tasks and hands over
their locks.  A server that nobody has asked for SECONDS ends: it takes memory.  A task is forked with everything
imported that tasks before it had to import: each tells, at its end.
"""

import contextlib
import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from gantry import paths
from gantry.backend import dispatch, task_record
from gantry.backend.task_record import CANCELED, DONE, FAILED, Canceled, Record
from gantry.errors import Error, ExecError
from gantry.objects import codec
from gantry.rpc.registry import CALLS
from gantry.utils import clock, faults

WRITE_SECONDS = 0.2
"""Between two records of progress."""
SERVER, TASK = "gnt-task-server", "gnt-task"
"""Names of the processes."""
_LONGEST = 4000
"""Bytes of a message: they come in one piece."""

log = logging.getLogger(__name__)


class Progress:
    """What a task's function is given as `progress`."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._flag = os.fspath(task_record.file(record.task, "cancel"))
        self._next = 0.0

    def __call__(self, fraction: float, message: str) -> None:
        """Tell how far it is (0 to 1); cheap enough for every block copied.  Raises Canceled."""
        if os.path.exists(self._flag):
            raise Canceled
        now = clock.SYSTEM.now()
        self._record.fraction, self._record.message = min(max(fraction, 0.0), 1.0), message
        if now >= self._next:
            self._next = now + WRITE_SECONDS
            task_record.write(self._record, durable=False)


def main() -> int:
    """Until the daemon has ended, or nothing was to do for long."""
    link, idle = socket.socket(fileno=int(sys.argv[1])), float(sys.argv[2])
    link.set_inheritable(False)
    logging.basicConfig(format="%(asctime)s: gnt-task pid=%(process)d %(levelname)s %(message)s", level=logging.INFO)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the tasks: their ends are in their records
    _be_called(SERVER)
    heard, told = os.pipe()
    os.set_blocking(told, False)
    news = select.poll()  # select(2) cannot take the number that the link may have in a daemon with many files
    for handle in (link.fileno(), heard):
        news.register(handle, select.POLLIN)
    while True:
        ready = [handle for handle, _ in news.poll(idle * 1000)]
        if heard in ready:
            _import(os.read(heard, _LONGEST).decode().split())
            continue
        if not ready:
            link.shutdown(socket.SHUT_RD)  # who asks now gets to know; what was asked before is still read
        request, locks, _, _ = socket.recv_fds(link, _LONGEST, 1)
        if not request:
            return 0
        call, task = request.decode().split(" ")
        with contextlib.suppress(ExecError):  # the task itself tells of it
            dispatch.find(call)
        known = frozenset(sys.modules)
        gc.freeze()
        if os.fork() == 0:
            link.close()
            os.close(heard)
            _be_task(task, told, known)
        for lock in locks:
            os.close(lock)


def _import(names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _be_task(task: str, told: int, known: frozenset[str]) -> NoReturn:
    """The lock stays open as long as the process lives."""
    try:
        _become_task()
        record = _performed(task)
        _tell(told, sys.modules.keys() - known)
        if record is not None:
            task_record.write(record, durable=True)
    except Exception:  # the outermost loop: the log is all that is left
        log.exception("task %s broke", task)
    finally:
        os._exit(0)  # at once: who reads the record may start or forget the task in the next moment


def _tell(told: int, names: Iterable[str]) -> None:
    found = [name for name in names if "." not in name or name.startswith("gantry.")]  # these bring the others along
    with contextlib.suppress(OSError):  # the server may have ended
        os.write(told, "".join(f"{name} " for name in found)[:_LONGEST].encode())


def _become_task() -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _be_called(TASK)
    with paths.here().log_file("gnt-task").open("ab") as out:  # the one the server has may have been put away
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)


def _be_called(name: str) -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def _performed(task: str) -> Record | None:
    """The record of its end; None when there was nothing to run."""
    record = task_record.read(task)
    if record is None:
        log.error("task %s has no record", task)
        return None
    record.pid, record.started = os.getpid(), task_record.process_start(os.getpid())
    record.boot = task_record.boot_id()
    task_record.write(record, durable=False)
    signal.signal(signal.SIGTERM, _on_term)
    _run(record)
    return record


def _on_term(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: the cleaning up must not be interrupted
    raise Canceled


def _run(record: Record) -> None:
    """Carry the call out; its end is in the record."""
    call = CALLS[record.call]
    try:
        args, function = call.decode_args(record.args), dispatch.find(record.call)
        progress = Progress(record)
        progress(0.0, "")
        faults.point(f"call:{record.call}:before")
        result = codec.encode(function(**args, progress=progress))
        faults.point(f"call:{record.call}:after")
    except Canceled:
        _record_end(record, task_record.interrupted(record))
    except Error as err:
        log.info("task %s: %s failed: %s", record.task, record.call, err)
        _record_end(record, err)
    except Exception as err:  # the outermost loop: whatever it is, the master must hear of it
        log.exception("task %s: %s broke", record.task, record.call)
        broken = Error(detail=f"{record.call} broke: {type(err).__name__}: {err}; see the log gnt-task on the node")
        _record_end(record, broken)
    else:
        record.state, record.fraction, record.message, record.result = DONE, 1.0, "", result
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _record_end(record: Record, err: Error) -> None:
    """Whatever went wrong in a task that was to end is part of its end."""
    if task_record.wanted_to_end(record.task):
        record.state, record.message = CANCELED, "cancelled"
    else:
        record.state, record.error = FAILED, codec.encode(err.encode())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
