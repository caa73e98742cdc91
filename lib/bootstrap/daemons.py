# SPDX-License-Identifier: BSD-2-Clause
"""Starting and stopping the daemons of a node on this machine."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from gantry import paths
from gantry.errors import BadEnvironment, Error
from gantry.utils import command, retry

MODULES = {"gnt-noded": "gantry.server.noded", "gnt-masterd": "gantry.server.masterd",
           "gnt-rapi": "gantry.server.rapi"}


def start_daemon(name: str, root: Path, *options: str) -> None:
    """Start a daemon of the node whose root folder this is, with these options; returns when it is ready.

    Harmless when it runs already.  Raises BadEnvironment with what the daemon said.
    """
    if running(name, root) is not None:
        return
    argv = [sys.executable, "-m", MODULES[name], *options]
    done = command.run(argv, seconds=60, env=os.environ | {"GANTRY_ROOT": str(root)}, may_fail=True)
    if done.status != 0:
        text = (done.stderr or done.stdout).strip() or f"exit status {done.status}"
        raise BadEnvironment(detail=f"{name} did not start: {text}; see {paths.below(str(root)).log_file(name)}")


def start_rapi(say: Callable[[str], None]) -> None:
    """Start gnt-rapi on this node, the master.  The cluster works without it, so `say` gets a warning when it fails."""
    try:
        start_daemon("gnt-rapi", paths.here().root)
    except Error as err:
        say(f"Warning: programs cannot reach the cluster yet: {err}; start gnt-rapi when that is mended")


def stop_daemon(name: str, root: Path, *, seconds: float = 15.0) -> bool:
    """End a daemon of that node by its pid file; SIGKILL after `seconds`.  False: none ran."""
    process = running(name, root)
    if process is None:
        return False
    process.send_signal(signal.SIGTERM)
    if not retry.wait_for(lambda: not _lives(process), seconds=seconds, waits=retry.growing(0.02, most=0.2)):
        process.kill()
        retry.wait_for(lambda: not _lives(process), seconds=5, waits=retry.growing(0.02, most=0.2))
    return True


def running(name: str, root: Path) -> psutil.Process | None:
    """The daemon's process; None when the file is stale, names another program or another root's daemon."""
    try:
        process = psutil.Process(int(paths.below(str(root)).pid_file(name).read_text().split()[0]))
        words = " ".join(process.cmdline())
        own_root = process.environ().get("GANTRY_ROOT") or "/"
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    known = name in words or MODULES[name] in words
    return process if known and own_root == str(root) and _lives(process) else None


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
