# SPDX-License-Identifier: BSD-2-Clause
"""Running an administrator's scripts: exact environment, output in a file, and an end of all their processes."""

import fcntl
import os
import select
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import psutil

from gantry.utils import command, retry
from gantry.utils.clock import SYSTEM

GRACE = 5.0
"""Seconds between the request to end and the end."""
_LOOK_SECONDS = 0.5
_NO_DIGIT = 10


def run(argv: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path, seconds: float,
        watch: Callable[[], None] = lambda: None) -> int | None:
    """Run a script with exactly `env`, its output appended to `log`; its exit status (negative: a signal).

    None: it did not end within `seconds`, and was ended with its children.  `watch` is called about twice a
    second; when it raises, the script and its children are ended and the error goes on.  Raises CommandFailed
    when the script cannot be started.
    """
    process = command.start(argv, log=log, env=env, cwd=cwd, session=False)  # see tasks.end_rest
    try:
        return _ended(process, seconds, watch)
    except BaseException:
        _end(process)
        raise


class Piped:
    """A script that is read from or fed while it runs."""

    def __init__(self, process: Any, watch: Callable[[], None], told: int) -> None:
        self._process, self._watch, self._told = process, watch, [told]
        self.expected = 0
        """MiB that it said it will print; 0 while it has not."""

    def blocks(self, size: int) -> Iterator[bytes]:
        """What it prints, in blocks of `size` bytes, the last one smaller, until it closes its output."""
        out, block = self._process.stdout.fileno(), bytearray()
        while True:
            ready = select.select([out, *self._told], [], [], _LOOK_SECONDS)[0]
            self._hear(ready)
            if out not in ready:
                self._watch()
                continue
            data = os.read(out, size - len(block))
            if data:
                block += data
            if block and (not data or len(block) == size):
                yield bytes(block)
                block.clear()
            if not data:
                return

    def feed(self, data: bytes) -> bool:
        """Give it data to read; False when it reads no more."""
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def end(self, seconds: float) -> int | None:
        """Its exit status, after the end of what it is fed; None as of `run`."""
        with suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        return _ended(self._process, seconds, self._watch)

    def _hear(self, ready: Sequence[int]) -> None:
        for told in [told for told in self._told if told in ready]:
            said = os.read(told, 64).strip()
            self.expected = int(said) if said.isdigit() else self.expected
            self._told = []


@contextmanager
def piped(argv: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path, feeds: bool,
          watch: Callable[[], None]) -> Iterator[Piped]:
    """A script whose output (or, when it `feeds`, input) is the block's; what else it prints is appended to `log`.

    It may tell the size of its output, in MiB, on the descriptor that EXP_SIZE_FD names.  It and its children are ended
    when the block raises.
    """
    told, tell = _size_pipe()
    try:
        try:
            process = command.start_piped(argv, log=log, env={**env, "EXP_SIZE_FD": str(tell)}, cwd=cwd, feeds=feeds,
                                          keep_fds=[tell])
        finally:
            os.close(tell)
        try:
            yield Piped(process, watch, told)
        except BaseException:
            _end(process)
            raise
        finally:
            for pipe in (process.stdin, process.stdout):
                with suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()
    finally:
        os.close(told)


def _size_pipe() -> tuple[int, int]:
    """(read, write): the end that the script gets has the lowest number there is, as dash takes single digits only."""
    low, high = os.pipe2(os.O_CLOEXEC)
    told = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _NO_DIGIT)
    os.close(low)
    tell = fcntl.fcntl(high, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(high)
    return told, tell


def _ended(process: Any, seconds: float, watch: Callable[[], None]) -> int | None:
    """Its exit status; None when it had to be ended after so long."""
    end, pauses = SYSTEM.now() + seconds, retry.growing(0.01, most=0.5)
    while process.poll() is None:
        if SYSTEM.now() >= end:
            _end(process)
            return None
        watch()
        SYSTEM.sleep(min(next(pauses), max(0.01, end - SYSTEM.now())))
    status: int = process.returncode
    return status


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
