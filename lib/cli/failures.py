# SPDX-License-Identifier: BSD-2-Clause
"""What an error reads like on stderr, by its class name on the wire, and the exit status it brings."""

from collections.abc import Callable
from typing import Any

from gantry.errors import Error, LuxiError, ParameterError

FAILED, USAGE, BAD_CONFIGURATION = 1, 2, 2
NOT_CONFIRMED, UNKNOWN_FIELD = 13, 14

_FILTER = "Error while parsing query filter: "

Args = list[Any]


class WrongValue(ParameterError):
    """A text that does not follow the syntax of values."""

    text = "Failure: unknown/wrong parameter name '{detail}'"


def describe(err: Error) -> tuple[int, str]:
    """Exit status and text."""
    if isinstance(err, (WrongValue, LuxiError)):
        return FAILED, str(err)
    name, args = err.wire()
    return BAD_CONFIGURATION if name == "ConfigurationError" else FAILED, text_of(name, args)


def text_of(name: str, args: Args) -> str:
    """The text for an error given by its class name and arguments."""
    known = _TEXTS.get(name)
    return known(args) if known else f"Unhandled Ganeti error: {_first(args) or name}"


def _first(args: Args) -> str:
    return str(args[0]) if args else ""


def _prerequisite(args: Args) -> str:
    head = "Failure: prerequisites not met for this operation:\n"
    if len(args) > 1:
        return f"{head}error type: {args[1]}, error details:\n{args[0]}"
    return head + _first(args)


def _hooks(args: Args) -> str:
    lines = ["Failure: hooks execution failed:"]
    results = args[0] if args and isinstance(args[0], list) else []
    for node, script, shown in results:
        lines.append(f"  node: {node}, script: {script}, " + (f"output: {shown}" if shown else "(no output)"))
    return "\n".join(lines)


def _unresolved(args: Args) -> str:
    from gantry.utils import resolver

    host = _first(args)
    if host == resolver.own_name():
        return f"Failure: can't resolve my own hostname ('{host}')"
    return f"Failure: can't resolve hostname '{host}'"


def _after(head: str) -> Callable[[Args], str]:
    return lambda args: head + _first(args)


_TEXTS: dict[str, Callable[[Args], str]] = {
    "OpPrereqError": _prerequisite,
    "OpExecError": _after("Failure: command execution error:\n"),
    "HooksAbort": _hooks,
    "HooksFailure": _after("Failure: hooks general failure: "),
    "ResolverError": _unresolved,
    "TagError": _after("Failure: invalid tag(s) given:\n"),
    "JobQueueDrainError": lambda args: "Failure: the job queue is marked for drain and doesn't accept new requests",
    "JobQueueFull": lambda args: ("Failure: the job queue is full and doesn't accept new job submissions until old "
                                  "jobs are archived"),
    "ParameterError": _after("Parameter Error: "),
    "TypeEnforcementError": _after("Parameter Error: "),
    "ConfigurationError": lambda args: f"Corrupt configuration file: {_first(args)}\nAborting.",
    "JobLost": _after("Error checking job status: "),
    "QueryFilterParseError": lambda args: _FILTER + "\n".join(map(str, args)).removeprefix(_FILTER),
}
