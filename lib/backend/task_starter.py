# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon's side of starting tasks: it asks a server (`task_runner.py`), which forks a process for each.

To begin a program from nothing and import what a task needs takes longer than most tasks.  The server is started with
the first task; tasks outlive it, and it outlives no daemon.
"""

import contextlib
import os
import socket
import sys
import threading

from gantry import paths
from gantry.utils import command

IDLE_SECONDS = 300.0
"""How long the server is kept without being needed."""


class Starter:
    """One caller at a time."""

    def __init__(self) -> None:
        self._link: socket.socket | None = None
        self._root = ""

    def start(self, task: str, call: str, lock: int) -> None:
        """Have the task run in a process of its own, which holds its lock (a descriptor; the caller may close his)."""
        if self._link is not None and self._root == os.environ.get("GANTRY_ROOT", ""):
            with contextlib.suppress(OSError):  # it has not been needed for long, or was killed
                self._ask(self._link, task, call, lock)
                return
        self._ask(self._server(), task, call, lock)

    @staticmethod
    def _ask(link: socket.socket, task: str, call: str, lock: int) -> None:
        socket.send_fds(link, [f"{call} {task}".encode()], [lock])

    def _server(self) -> socket.socket:
        """A new one."""
        if self._link is not None:
            self._link.close()
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._root = os.environ.get("GANTRY_ROOT", "")
        with theirs:
            argv = [sys.executable, "-m", "gantry.backend.task_runner", str(theirs.fileno()), str(IDLE_SECONDS)]
            process = command.start(argv, log=paths.here().log_file("gnt-task"), keep_fds=[theirs.fileno()])
        # Somebody must take note of its end, or it stays as a zombie.
        threading.Thread(target=process.wait, name="server of tasks", daemon=True).start()
        return self._link
