# SPDX-License-Identifier: BSD-2-Clause
"""What `gnt-cluster verify` found, and how it says it (E-codes: opcodes.md of the wire facts)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """`kind`: cluster, node, instance or group; `item` its name, empty for the cluster."""

    code: str
    kind: str
    item: str
    text: str
    warning: bool = False


class Report:
    """Prints problems as they are found and remembers whether one was an error."""

    def __init__(self, say: Callable[[str], None], *, error_codes: bool, ignore: Iterable[str],
                 simulate: bool = False) -> None:
        self._say = say
        self._error_codes = error_codes
        self._ignore = frozenset(ignore)
        self.simulate = simulate
        self.failed = simulate

    def title(self, text: str) -> None:
        self._say(f"* {text}")

    def notice(self, text: str) -> None:
        self._say(f"  - NOTICE: {text}")

    def add(self, problem: Problem) -> None:
        warning = problem.warning or problem.code in self._ignore
        level = "WARNING" if warning else "ERROR"
        self.failed = self.failed or not warning
        if self._error_codes:
            self._say(f"  - {level}:{problem.code}:{problem.kind}:{problem.item}:{problem.text}")
        else:
            place = f"{problem.kind} {problem.item}" if problem.item else problem.kind
            self._say(f"  - {level}: {place}: {problem.text}")

    def add_all(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.add(problem)
