# SPDX-License-Identifier: BSD-2-Clause
"""The record of all commands on this node, LOG/commands.log: what was run, by which process, how it failed."""

import os
import time
from collections.abc import Sequence

from gantry import paths
from gantry.errors import Error
from gantry.utils.clock import nanoseconds

_SECRET = ("--os-parameters-p", "--os-parameters-s")
"""Shortest unambiguous spellings of the options whose values nobody may read later."""


class CommandsLog:
    """Appends lines; a log that cannot be written (another user, no cluster yet) stops nobody's work."""

    def __init__(self, program: str, subcommand: str) -> None:
        self._who = f"{program} {subcommand} pid={os.getpid()}"

    def started(self, args: Sequence[str]) -> None:
        self._write("INFO", f"run with arguments '{' '.join(_without_secrets(args))}'")

    def failed(self, err: Error) -> None:
        """The last line is the error as `gantry.errors.CLASS: ARGUMENTS`."""
        name, args = err.wire()
        shown = repr(tuple(args)) if len(args) > 1 else str(args[0]) if args else ""
        self._write("ERROR", f"Error during command processing\ngantry.errors.{name}: {shown}")

    def crashed(self, trace: str) -> None:
        self._write("ERROR", f"Error during command processing\n{trace.rstrip()}")

    def _write(self, level: str, text: str) -> None:
        now = nanoseconds() // 1_000_000
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now // 1000))
        record = f"{stamp},{now % 1000:03d}: {self._who} {level} {text}\n"
        try:
            file = os.open(paths.here().log / "commands.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC,
                           0o640)
        except OSError:
            return
        with os.fdopen(file, "ab") as log:
            log.write(record.encode(errors="replace"))


def _without_secrets(args: Sequence[str]) -> list[str]:
    shown: list[str] = []
    for arg in args:
        if shown and "=" not in shown[-1] and shown[-1].startswith(_SECRET):
            shown.append("<redacted>")
        elif arg.startswith(_SECRET) and "=" in arg:
            shown.append(arg.partition("=")[0] + "=<redacted>")
        else:
            shown.append(arg)
    return shown
