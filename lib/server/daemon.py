# SPDX-License-Identifier: BSD-2-Clause
"""What every daemon of ours does around its work: options, logs, pid file, background, signals.

A daemon is a `Program`; its `serve` gets the options and a `Control`, says `ready()` once it answers, and returns
its exit status after `on_stop`'s callback was called.  Started in the background, the command returns 0 only when
the daemon is ready; otherwise it prints the sentence that says why not, and has the daemon's exit status.
"""

import argparse
import fcntl
import json
import logging
import logging.handlers
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import gantry
from gantry import constants, paths
from gantry.errors import BadEnvironment, Error
from gantry.utils import groups

log = logging.getLogger(__name__)

MOST_FILES = 65536


class NotInCluster(Error):
    """This host is not part of a cluster."""

    exit_status = 5


class NotMaster(Error):
    exit_status = 11


class NodeSetupError(Error):
    """Something on this node must be mended before the daemon can run."""

    exit_status = 12


class Control:
    """A running daemon's side of starting and stopping."""

    def __init__(self, tell: Callable[[int, str], None]) -> None:
        self._tell = tell
        self._callbacks: list[Callable[[], object]] = []
        self.stopping = False

    def ready(self) -> None:
        """From here on the daemon answers; who started it may go on."""
        self._tell(0, "")

    def on_stop(self, callback: Callable[[], object]) -> None:
        """Have `callback` called on SIGTERM and SIGINT, in the main thread between two of its instructions: it
        may set an event or use `loop.call_soon_threadsafe`, and no more."""
        self._callbacks.append(callback)
        if self.stopping:
            callback()

    def stop(self) -> None:
        if self.stopping:
            return
        self.stopping = True
        for callback in self._callbacks:
            callback()


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    """For daemons without options of their own."""


@dataclass(frozen=True)
class Program:
    """`name` as in gnt-noded; it names the pid file and the log as well."""

    name: str
    summary: str
    serve: Callable[[argparse.Namespace, Control], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments


def main(program: Program, argv: Sequence[str] | None = None) -> int:
    """Run the daemon, or start it in the background; the exit status."""
    options = parser(program).parse_args(argv)
    if options.foreground:
        return _run(program, options, _say_failure)
    return _start(program, options)


def parser(program: Program) -> argparse.ArgumentParser:
    """The daemon's options; the manual lists them."""
    found = argparse.ArgumentParser(prog=program.name, description=program.summary)
    found.add_argument("-f", "--foreground", action="store_true", help="stay in the foreground, log to stderr too")
    found.add_argument("-d", "--debug", action="store_true", help="log everything")
    found.add_argument("--version", action="version",
                        version=f"{program.name} (ganeti {gantry.__version__}) {constants.RELEASE_VERSION}")
    program.add_arguments(found)
    return found


def allow_many_connections() -> None:
    """Each client takes a file number, and many may wait: have as many as this system lets us, up to a limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _start(program: Program, options: argparse.Namespace) -> int:
    """In the background: two forks, then a message through a pipe says how it went."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            data = pipe.read()
        status, message = json.loads(data) if data else (1, "it ended before it was ready")
        if status:
            _say_failure(status, f"{program.name}: {message}; see {paths.here().log_file(program.name)}")
        return int(status)
    os.close(reading)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")

    def tell(status: int, message: str) -> None:
        os.write(writing, json.dumps([status, message]).encode())
        os.close(writing)

    status = 1
    try:
        _redirect(program)
        status = _run(program, options, tell)
    finally:
        os._exit(status)


def _redirect(program: Program) -> None:
    """Standard input from nowhere; what libraries print goes to the log."""
    _make_folders()
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(paths.here().log_file(program.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(out)


def _run(program: Program, options: argparse.Namespace, tell: Callable[[int, str], None]) -> int:
    """Serve until stopped.  `tell` hears once how the start went: (0, "") or an exit status and a sentence."""
    told: list[int] = []

    def tell_once(status: int, message: str) -> None:
        if not told:
            told.append(status)
            if status or not options.foreground:
                tell(status, message)

    try:
        _make_folders()
        _set_up_logs(program, options)
        with PidFile(paths.here().pid_file(program.name), program.name):
            control = Control(tell_once)
            _set_up_signals(control)
            log.info("%s %s starts", program.name, gantry.__version__)
            status = program.serve(options, control)
            log.info("%s ends", program.name)
    except Error as err:
        log.error("%s cannot run: %s", program.name, err)  # noqa: TRY400 - a sentence, no bug
        tell_once(err.exit_status, str(err))
        status = err.exit_status
    except Exception as err:  # the outermost loop: the log must say why the daemon is gone
        log.exception("%s broke", program.name)
        tell_once(1, f"{type(err).__name__}: {err}")
        status = 1
    logging.shutdown()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        os._exit(status)  # calls still under way may be broken off at any moment; nothing waits for them
    return status


class PidFile:
    """Locked for as long as the daemon lives; entering raises BadEnvironment when another holds it."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._handle = -1

    def __enter__(self) -> None:
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = os.read(handle, 20).decode(errors="replace").strip()
                os.close(handle)
                raise BadEnvironment(detail=f"{self._name} runs already, as process {pid or '(starting)'}") from None
            if self._path.exists() and self._path.stat().st_ino == os.fstat(handle).st_ino:
                break
            os.close(handle)  # the last daemon removed it just now
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle

    def __exit__(self, *_error: object) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except PermissionError:  # a daemon that gave up root's rights: an empty file names no process
            os.ftruncate(self._handle, 0)
        os.close(self._handle)


def _make_folders() -> None:
    os.umask(0o027)
    here = paths.here()
    for folder, mode in ((here.state, 0o750), (here.run, 0o755), (here.log, 0o750), (here.sockets, 0o770)):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)
        if folder in (here.state, here.log, here.sockets):
            groups.share_with_daemons(folder)


def _set_up_logs(program: Program, options: argparse.Namespace) -> None:
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if options.debug else logging.INFO)
    handlers: list[logging.Handler] = [logging.handlers.WatchedFileHandler(paths.here().log_file(program.name))]
    if options.foreground:
        handlers.append(logging.StreamHandler())
    form = logging.Formatter(f"%(asctime)s: {program.name} pid=%(process)d %(levelname)s %(message)s")
    for handler in handlers:
        handler.setFormatter(form)
        root.addHandler(handler)


def _reopen_logs(_number: int, _frame: FrameType | None) -> None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.handlers.WatchedFileHandler):
            handler.reopenIfNeeded()


def _set_up_signals(control: Control) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        control.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGHUP, _reopen_logs)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _say_failure(status: int, message: str) -> None:
    if status:
        sys.stderr.write(f"{message}\n")
