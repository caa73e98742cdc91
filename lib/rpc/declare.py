# SPDX-License-Identifier: BSD-2-Clause
"""How a call is declared: as a function without a body, its types are the wire format."""

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gantry.objects import codec
from gantry.utils.clock import PATIENCE

FAST, NORMAL, SLOW = 15.0 * PATIENCE, 60.0 * PATIENCE, 300.0 * PATIENCE
"""Seconds that a call may take.  Longer work is a task."""


@dataclass(frozen=True)
class CallType:
    """One call: its parameters' types, the result's type, its time limit in seconds, and whether it is a task.

    `master_only` False: answered also to a caller whose term is old or unknown (version, votes).
    """

    name: str
    params: dict[str, Any]
    result: Any
    seconds: float
    task: bool
    master_only: bool
    doc: str

    def encode_args(self, args: dict[str, Any]) -> dict[str, Any]:
        return {name: codec.encode(value) for name, value in args.items()}

    def decode_args(self, data: dict[str, Any]) -> dict[str, Any]:
        """Arguments for the backend function; raises DecodeError."""
        unknown, missing = data.keys() - self.params.keys(), self.params.keys() - data.keys()
        if unknown or missing:
            names = ", ".join(sorted(unknown | missing))
            raise codec.DecodeError(where=self.name, detail=f"wrong arguments: {names}")
        return {name: codec.decode(self.params[name], value, f"{self.name}.{name}")
                for name, value in data.items()}

    def decode_result(self, data: Any) -> Any:
        return codec.decode(self.result, data, f"result of {self.name}")


CALLS: dict[str, CallType] = {}


def call(*, seconds: float = NORMAL, task: bool = False,
         master_only: bool = True) -> Callable[[Callable[..., Any]], CallType]:
    """Decorator that turns a typed function head into a CallType of the same name."""
    def declare(function: Callable[..., Any]) -> CallType:
        hints = typing.get_type_hints(function)
        result = hints.pop("return")
        assert inspect.signature(function).parameters.keys() == hints.keys(), function.__name__  # noqa: S101
        doc = inspect.getdoc(function) or ""
        found = CallType(function.__name__, hints, result, seconds, task, master_only, doc)
        CALLS[found.name] = found
        return found
    return declare
