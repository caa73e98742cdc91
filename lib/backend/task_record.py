# SPDX-License-Identifier: BSD-2-Clause
"""The files of node tasks, below `paths.here().tasks`.

    ID.json     what the task is and how far it came
    ID.lock     locked by the process that runs it, for as long as that lives
    ID.cancel   there when it is to end

The lock tells whether the process lives: it needs no pid, cannot be fooled by a pid used again, and goes with the
process however that ends.
"""

import fcntl
import json
import os
import re
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.errors import Error, ExecError, WrongInput
from gantry.objects.node import TaskStatus
from gantry.utils import files

RUNNING, DONE, FAILED, CANCELED, UNKNOWN = "running", "done", "failed", "canceled", "unknown"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_trying = threading.Lock()
"""Held while a lock is tried: one who only looks must not stand in the way of one who takes it."""


class Canceled(Error):
    """Raised out of a task's progress function when it was cancelled: clean up, and let it pass."""

    text = "the task was cancelled"

    def __init__(self, **_facts: Any) -> None:
        super().__init__()


@dataclass(kw_only=True)
class Record:
    """`started` is the start time of process `pid`, in clock ticks since boot as in /proc; `boot` which boot."""

    task: str
    call: str
    args: dict[str, Any]
    pid: int = 0
    started: int = 0
    boot: str = ""
    state: str = RUNNING
    fraction: float = 0.0
    message: str = ""
    result: Any = None
    error: dict[str, Any] | None = field(default=None)

    def status(self) -> TaskStatus:
        return TaskStatus(state=self.state, fraction=self.fraction, message=self.message, result=self.result,
                          error=self.error)


def file(task: str, kind: str = "json") -> Path:
    """A file of the task; raises WrongInput for an id that is no file name."""
    if not _ID.fullmatch(task):
        raise WrongInput(detail=f"'{task[:100]}' is not a task's id: letters, digits, dots and dashes are expected")
    return paths.here().tasks / f"{task}.{kind}"


def read(task: str) -> Record | None:
    """None when there is none, or none that can be read (the machine lost power while it was written)."""
    try:
        return Record(**json.loads(file(task).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write(record: Record, *, durable: bool) -> None:
    """Replace the record; one that is not `durable` may be lost when the machine loses power."""
    data = json.dumps(asdict(record), separators=(",", ":"), default=str).encode()
    path = file(record.task)
    if durable:
        files.write_atomic(path, data)
        return
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
    os.rename(name, path)


def lock(task: str) -> int | None:
    """A descriptor that holds the task's lock until it is closed everywhere; None when another holds it."""
    path = file(task, "lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with _trying:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
    return handle


def lives(task: str) -> bool:
    """Whether a process runs the task now."""
    try:
        handle = os.open(file(task, "lock"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with _trying:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
    return False


def wanted_to_end(task: str) -> bool:
    return file(task, "cancel").exists()


def interrupted(record: Record) -> Error:
    """The error of a task whose process ended before it was done."""
    return ExecError(detail=f"{record.call} was interrupted: its process ended before it was done", interrupted=True)


def remove(task: str) -> None:
    for kind in ("json", "cancel", "lock"):
        file(task, kind).unlink(missing_ok=True)


def process_start(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 when there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
