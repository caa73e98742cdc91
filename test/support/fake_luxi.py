# SPDX-License-Identifier: BSD-2-Clause
"""A master daemon for commands under test: answers by method, remembers what was asked."""

from collections.abc import Callable, Sequence
from typing import Any

from gantry.cli import build, programs
from gantry.cli.context import Context

Answer = Any | Callable[..., Any]


class FakeLuxi:
    """`answers`: a value, or a function of the call's arguments, by method.

    Jobs end at once with `results` (by OP_ID; an error as [class name, [arguments]] in a tuple) after `log`.
    """

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.results: dict[str, Any] = {}
        self.log: list[str] = []
        self.calls: list[tuple[str, list[Any]]] = []
        self.jobs: dict[int, list[dict[str, Any]]] = {}

    def call(self, method: str, args: Sequence[Any] = ()) -> Any:
        self.calls.append((method, list(args)))
        if method in self.answers:
            answer = self.answers[method]
            return answer(*args) if callable(answer) else answer
        return getattr(self, f"_{method}")(*args)

    def _SubmitJob(self, ops: list[dict[str, Any]]) -> int:
        job = len(self.jobs) + 1
        self.jobs[job] = ops
        return job

    def _SubmitManyJobs(self, jobs: list[list[dict[str, Any]]]) -> list[list[Any]]:
        return [[True, self._SubmitJob(ops)] for ops in jobs]

    def _WaitForJobChange(self, job: int, fields: Any, previous: Any, serial: int | None, timeout: int) -> Any:
        entries = [[number, [1_600_000_000, 0], "message", text] for number, text in enumerate(self.log, 1)
                   if number > (serial or 0)]
        return [self._QueryJobs([job], ["status"])[0], entries]

    def _QueryJobs(self, jobs: list[int], fields: list[str]) -> list[list[Any]]:
        return [self._row(self.jobs.get(job, [{"OP_ID": ""}]), fields) for job in jobs]

    def _row(self, ops: list[dict[str, Any]], fields: list[str]) -> list[Any]:
        found = [self.results.get(op["OP_ID"]) for op in ops]
        states = ["error" if isinstance(result, tuple) else "success" for result in found]
        values = {"status": "error" if "error" in states else "success", "opstatus": states,
                  "opresult": [list(result) if isinstance(result, tuple) else result for result in found]}
        return [values[field] for field in fields]

    @property
    def ops(self) -> list[dict[str, Any]]:
        """All opcodes submitted, without their reason trails."""
        return [{key: value for key, value in op.items() if key != "reason"}
                for ops in self.jobs.values() for op in ops]


def run(luxi: FakeLuxi, *words: str) -> int:
    """Run `gnt-PROGRAM SUBCOMMAND ...` against a fake master daemon; errors are raised, not printed."""
    program, name, *args = words
    command = programs.commands(program)[name]
    options, rest = build.parser(program, name, command).parse_args(list(args))
    assert build.arity_problem(name, command, len(rest)) is None
    return programs.runner(command)(Context(program, name, command, options, rest, connect=lambda: luxi))


def table(fields: Sequence[tuple[str, str]], *rows: Sequence[Any]) -> dict[str, Any]:
    """A query's answer; fields as (name, kind), plain cells."""
    return {"fields": [{"name": name, "title": name.title(), "kind": kind, "doc": f"The {name}"}
                       for name, kind in fields],
            "data": [[cell if isinstance(cell, tuple) else (0, cell) for cell in row] for row in rows]}
