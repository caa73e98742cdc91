# SPDX-License-Identifier: BSD-2-Clause
"""Running an administrator's scripts: exact environment, output in a file, and an end of all their processes."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import psutil

from gantry.utils import command, retry
from gantry.utils.clock import SYSTEM

GRACE = 5.0
"""Seconds between the request to end and the end."""


def run(argv: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path, seconds: float,
        watch: Callable[[], None] = lambda: None) -> int | None:
    """Run a script with exactly `env`, its output appended to `log`; its exit status (negative: a signal).

    None: it did not end within `seconds`, and was ended with its children.  `watch` is called about twice a
    second; when it raises, the script and its children are ended and the error goes on.  Raises CommandFailed
    when the script cannot be started.
    """
    process = command.start(argv, log=log, env=env, cwd=cwd, session=False)  # see tasks.end_rest
    end, pauses = SYSTEM.now() + seconds, retry.growing(0.01, most=0.5)
    try:
        while process.poll() is None:
            if SYSTEM.now() >= end:
                _end(process)
                return None
            watch()
            SYSTEM.sleep(min(next(pauses), max(0.01, end - SYSTEM.now())))
    except BaseException:
        _end(process)
        raise
    return process.returncode


def _end(process: Any) -> None:
    """End the script, its process group, and children that left the group.

    They are asked, and killed after `GRACE` seconds, or at once when the wait is broken off: a task that was
    cancelled is told a second time to end.
    """
    family: list[psutil.Process] = []
    with suppress(psutil.Error):
        family = psutil.Process(process.pid).children(recursive=True)
    try:
        _tell(process, family, signal.SIGTERM)
    finally:
        _tell(process, family, signal.SIGKILL)


def _tell(process: Any, family: Sequence[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to all and wait up to `GRACE` seconds for their end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    for child in family:
        with suppress(psutil.Error):
            child.send_signal(number)
    retry.wait_for(lambda: process.poll() is not None and not any(map(_runs, family)),
                   seconds=GRACE, waits=repeat(0.05))


def _runs(child: psutil.Process) -> bool:
    try:
        return child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def last_lines(log: Path, count: int = 20) -> str:
    """The end of a log, at most 8 KiB of it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    except OSError as err:
        return f"(the log {log} cannot be read: {err.strerror})"
