# SPDX-License-Identifier: BSD-2-Clause
"""The same programs without processes, for tests of drivers: a hundred times quicker."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantry.errors import CommandFailed
from gantry.utils import clock, command

from . import PROGRAMS
from .main import execute
from .state import Refused, World


class Inside:
    """Stands in for `gantry.utils.command`; what is in `broken` fails with the words there, by program, after it has
    printed what is in `said`."""

    def __init__(self, folder: Path, monkeypatch: Any) -> None:
        self.world = World(folder)
        self.broken: Mapping[str, str] = {}
        self.said: Mapping[str, str] = {}
        self._run = command.run
        monkeypatch.setattr(command, "run", self.run)
        monkeypatch.setattr(command, "watch", self.watch)

    def run(self, argv: Sequence[str], **how: Any) -> command.Outcome:
        if argv[0] not in PROGRAMS:
            return self._run(argv, **how)
        try:
            if argv[0] in self.broken:
                raise Refused(20, self.broken[argv[0]])
            return command.Outcome(0, execute(self.world, os.environ["GANTRY_ROOT"], argv[0], list(argv[1:])), "")
        except Refused as err:
            if how.get("may_fail"):
                return command.Outcome(err.status, self.said.get(argv[0], ""), str(err))
            raise CommandFailed(command=argv[0], status=err.status, output=str(err).strip()) from err

    @contextmanager
    def watch(self, argv: Sequence[str]) -> Iterator[Any]:
        yield _Silence()


class _Silence:
    """Events never come; whoever waits for them must look."""

    def wait(self, seconds: float) -> str:
        clock.SYSTEM.sleep(seconds)
        return ""
