# SPDX-License-Identifier: BSD-2-Clause
"""The only starter of processes.  No shell; everything that runs has a bound."""

import os
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gantry.errors import CommandFailed
from gantry.utils import clock

CLEAN_PATH = "/sbin:/bin:/usr/sbin:/usr/bin"


@dataclass(frozen=True)
class Outcome:
    """How a program ended: `status` is negative for a signal."""

    status: int
    stdout: str
    stderr: str


def run(argv: Sequence[str], *, seconds: float, env: Mapping[str, str] | None = None,
        cwd: Path | None = None, stdin: bytes = b"", may_fail: bool = False) -> Outcome:
    """Run a program to its end.

    Raises CommandFailed when it cannot be started, does not end within `seconds` (it is killed), or
    ends with another status than 0 and `may_fail` is not set.
    """
    limit = seconds * clock.PATIENCE
    try:
        done = subprocess.run(list(argv), input=stdin, capture_output=True, timeout=limit,
                              env=None if env is None else dict(env), cwd=cwd, check=False)
    except subprocess.TimeoutExpired:
        raise CommandFailed(command=argv[0], status="none", output=f"no end after {limit:g} s, killed") from None
    except OSError as err:
        raise CommandFailed(command=argv[0], status="none", output=str(err)) from err
    outcome = Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    if outcome.status != 0 and not may_fail:
        raise CommandFailed(command=argv[0], status=outcome.status,
                            output=(outcome.stderr or outcome.stdout).strip()[-2000:] or "(no output)")
    return outcome


def pipe(argv: Sequence[str], data: bytes, *, seconds: float) -> bytes:
    """What a program makes of `data`, byte for byte.  Raises CommandFailed like `run`."""
    limit = seconds * clock.PATIENCE
    try:
        done = subprocess.run(list(argv), input=data, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise CommandFailed(command=argv[0], status="none", output=f"no end after {limit:g} s, killed") from None
    except OSError as err:
        raise CommandFailed(command=argv[0], status="none", output=str(err)) from err
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-2000:] or "(no output)"
        raise CommandFailed(command=argv[0], status=done.returncode, output=said)
    return done.stdout


def start_piped(argv: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path, feeds: bool,
                keep_fds: Sequence[int] = ()) -> "subprocess.Popen[bytes]":
    """Like `start` without a session, with a pipe for what it prints, or (`feeds`) for what it reads."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        try:
            return subprocess.Popen(list(argv), stdin=subprocess.PIPE if feeds else subprocess.DEVNULL,
                                    stdout=out if feeds else subprocess.PIPE, stderr=out, env=dict(env), cwd=cwd,
                                    process_group=0, pass_fds=tuple(keep_fds))
        except OSError as err:
            raise CommandFailed(command=argv[0], status="none", output=str(err)) from err


def start(argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None,
          keep_fds: Sequence[int] = (), session: bool = True) -> "subprocess.Popen[bytes]":
    """Start a program in a session of its own, its output appended to `log`; it outlives the caller.

    Without `session` it gets a process group of its own only: by its session its starter can be told.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        try:
            return subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=subprocess.STDOUT, env=None if env is None else dict(env), cwd=cwd,
                                    start_new_session=session, process_group=None if session else 0,
                                    pass_fds=tuple(keep_fds))
        except OSError as err:
            raise CommandFailed(command=argv[0], status="none", output=str(err)) from err


_ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM")


class Stream:
    """What a program prints while it runs."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def wait(self, seconds: float) -> str:
        """What it has printed; waits up to `seconds` for something.  Of a program that has ended, nothing comes."""
        out = self._process.stdout
        if out is None or out.closed:
            clock.SYSTEM.sleep(seconds)
            return ""
        ready = select.poll()  # select(2) cannot take the higher numbers that a daemon's files may have
        ready.register(out, select.POLLIN)
        if not ready.poll(seconds * 1000):
            return ""
        text = os.read(out.fileno(), 1 << 16)
        if not text:
            out.close()
        return text.decode(errors="replace")


@contextmanager
def watch(argv: Sequence[str]) -> Iterator[Stream]:
    """Run a program that tells what happens until it is ended, which it is with the block, or with this thread."""
    if shutil.which(argv[0]) is None:
        raise CommandFailed(command=argv[0], status="none", output="there is no such program")
    try:
        process = subprocess.Popen([*_ENDS_WITH_US, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
    except OSError as err:
        raise CommandFailed(command=argv[0], status="none", output=str(err)) from err
    try:
        yield Stream(process)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
