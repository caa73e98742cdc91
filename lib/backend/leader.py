# SPDX-License-Identifier: BSD-2-Clause
"""Calls about who is master: this node's vote, what it knows of the copies, and stopping an old master."""

import os
from pathlib import Path

import psutil

from gantry import paths
from gantry.errors import ExecError
from gantry.leader import promise
from gantry.objects.node import InSync
from gantry.utils import clock, retry

DAEMONS = ("gnt-masterd", "gnt-rapi")
STOP_SECONDS, KILL_SECONDS = 5.0, 5.0


def leader_accept(*, term: int, master: str) -> bool:
    return promise.accept(term, master)


def leader_in_sync(*, known: InSync) -> bool:
    return promise.remember(known)


def leader_known() -> InSync:
    return promise.read_all().in_sync


def master_stop() -> None:
    """End the master daemon of this node and its gnt-rapi, politely at first.  Harmless when none runs."""
    for name in DAEMONS:
        daemon = _running(name)
        if daemon is not None:
            _end(daemon, name)


def _end(daemon: psutil.Process, name: str) -> None:
    for end, seconds in ((daemon.terminate, STOP_SECONDS), (daemon.kill, KILL_SECONDS)):
        try:
            end()
        except psutil.NoSuchProcess:
            return
        if retry.wait_for(lambda: not _alive(daemon), seconds=seconds, waits=retry.growing(0.02, most=0.5),
                          clock=clock.SYSTEM):
            return
    raise ExecError(detail=f"{name} (process {daemon.pid}) on this node could not be ended")


def _running(name: str) -> psutil.Process | None:
    """The process that the pid file names, if it is that daemon and of this node."""
    here = paths.here()
    try:
        process = psutil.Process(int(here.pid_file(name).read_text()))
        words = process.cmdline()
        root = process.environ().get("GANTRY_ROOT") or "/"
    except (OSError, ValueError, psutil.Error):  # none, or one of somebody else
        return None
    module = f".{name.removeprefix('gnt-')}"
    ours = any(name in Path(word).name or word.endswith(module) for word in words[:4])
    return process if ours and os.path.normpath(root) == os.path.normpath(here.root) else None


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
