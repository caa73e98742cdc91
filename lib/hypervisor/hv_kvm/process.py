# SPDX-License-Identifier: BSD-2-Clause
"""QEMU processes: who lives, who is whose, and how to end one.

A process is named by its number, its start time and the boot it belongs to, so a reused number is never
taken for a guest.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gantry.errors import HypervisorError
from gantry.utils import command, retry


class Child(Protocol):
    """A process that must be collected when it ends."""

    def poll(self) -> int | None: ...


_children: dict[int, Child] = {}
"""QEMUs that this daemon started: they must be waited for when they end."""


@dataclass(frozen=True, kw_only=True)
class ProcessId:
    """`started` is in clock ticks since the boot."""

    pid: int
    started: int
    boot: str


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> ProcessId | None:
    """The living process of this number."""
    fields = _stat(pid)
    return None if fields is None else ProcessId(pid=pid, started=int(fields[19]), boot=boot_id())


def lives(process: ProcessId | None) -> bool:
    """Whether exactly this process runs; one that only waits to be collected does not."""
    reap()
    if process is None or process.boot != boot_id():
        return False
    return identify(process.pid) == process


def dying(process: ProcessId | None) -> bool:
    """Whether it is ending: its memory, and with it its command line, is gone, its files may still be open."""
    return process is not None and not arguments(process.pid) and lives(process)


def cpu_seconds(process: ProcessId) -> float:
    fields = _stat(process.pid)
    return 0.0 if fields is None else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def arguments(pid: int) -> list[str]:
    """The command line of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def find(pid_file: Path) -> ProcessId | None:
    """The QEMU that was told to write this pid file, whether or not it did."""
    return next((process for process, file in started() if file == str(pid_file)), None)


def started() -> Iterator[tuple[ProcessId, str]]:
    """All processes of this machine that were given a `-pidfile`, with that file."""
    for entry in os.listdir("/proc"):
        argv = arguments(int(entry)) if entry.isdecimal() else []
        if "-pidfile" in argv[:-1]:
            process = identify(int(entry))
            if process is not None:
                yield process, argv[argv.index("-pidfile") + 1]


def start(argv: Sequence[str], *, log: Path, cwd: Path, keep_fds: Sequence[int]) -> ProcessId:
    """Start a QEMU that outlives this daemon; raises CommandFailed, or HypervisorError if it ended at once."""
    child = command.start(argv, log=log, cwd=cwd, keep_fds=keep_fds)
    _children[child.pid] = child
    process = identify(child.pid)
    if process is None:
        reap()
        raise HypervisorError(detail=f"{argv[0]} ended at once")
    return process


def reap() -> None:
    """Collect those of our children that ended."""
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(pid, None)


def end(process: ProcessId | None, *, seconds: float = 10.0) -> None:
    """Kill and wait; raises HypervisorError when it does not go (blocked in the kernel, as by a dead disk)."""
    if process is None or not lives(process):
        return
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    if not wait(process, seconds):
        raise HypervisorError(detail=f"process {process.pid} does not end after SIGKILL, its disk may hang")


def wait(process: ProcessId, seconds: float) -> bool:
    """Whether it ended within `seconds`."""
    return retry.wait_for(lambda: not lives(process), seconds=seconds, waits=retry.growing(0.01, most=0.2))


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; None when it is gone or dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if not fields or fields[0] in "ZX" else fields
