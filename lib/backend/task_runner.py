# SPDX-License-Identifier: BSD-2-Clause
"""The process of one task: `python -m gantry.backend.task_runner ID LOCK`.

LOCK is the number of the inherited descriptor that holds the task's lock.
"""

import contextlib
import logging
import os
import signal
import sys
from types import FrameType

from gantry.backend import dispatch, task_record
from gantry.backend.task_record import CANCELED, DONE, FAILED, Canceled, Record
from gantry.errors import Error
from gantry.objects import codec
from gantry.rpc.registry import CALLS
from gantry.utils import clock, faults

WRITE_SECONDS = 0.2
"""Between two records of progress."""

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
    """Exit status 1 when there is nothing to run; else the end is in the record."""
    task, lock = sys.argv[1], int(sys.argv[2])
    os.set_inheritable(lock, False)  # noqa: FBT003 - os takes it by position only
    logging.basicConfig(format="%(asctime)s: gnt-task pid=%(process)d %(levelname)s %(message)s", level=logging.INFO)
    record = task_record.read(task)
    if record is None:
        log.error("task %s has no record", task)
        return 1
    record.pid, record.started = os.getpid(), task_record.process_start(os.getpid())
    record.boot = task_record.boot_id()
    task_record.write(record, durable=False)
    signal.signal(signal.SIGTERM, _on_term)
    _run(record)
    task_record.write(record, durable=True)
    logging.shutdown()
    os._exit(0)  # at once: who reads the record may start or forget the task in the next moment


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
