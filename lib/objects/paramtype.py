# SPDX-License-Identifier: BSD-2-Clause
"""How one parameter (backend, hypervisor, NIC, node, disk) is declared, and how its values are checked."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gantry.errors import ParameterError, WrongInput
from gantry.objects.base import Params
from gantry.utils.units import parse_size

RESET = "default"
"""As a value in a modify command: drop the own value, inherit again."""


class Kind(StrEnum):
    """The value's type, by the name that error texts use.  A size is in MiB; a maybe-string may be None."""

    INT = "integer"
    BOOL = "boolean"
    STR = "string"
    MAYBE_STR = "maybe-string"
    SIZE = "size"
    FLOAT = "float"


Check = Callable[[Any], str | None]
"""What is wrong with a value of the right type ("must be ..."), or None."""

_TRUE, _FALSE = frozenset({"true", "yes"}), frozenset({"false", "no"})


@dataclass(frozen=True)
class ParamType:
    """One parameter.  `choices` lists the values allowed (empty: any); `check` says what else is asked."""

    name: str
    kind: Kind
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    check: Check | None = None

    def normalise(self, value: Any) -> Any:
        """`value` in its own type, from that type or from its text; raises ParameterError."""
        try:
            found = _READERS[self.kind](value)
        except (ValueError, TypeError, OverflowError, WrongInput):
            kind = "string" if self.kind is Kind.MAYBE_STR else self.kind
            raise ParameterError(detail=f"'{self.name}' (value {value}) is not a valid {kind}") from None
        if self.choices and found not in self.choices:
            allowed = ", ".join(repr(item) if item == "" else str(item) for item in self.choices)
            raise ParameterError(detail=f"'{self.name}' (value {value}) is not valid, it must be one of {allowed}")
        problem = self.check(found) if self.check else None
        if problem:
            raise ParameterError(detail=f"'{self.name}' (value {value}) is not valid, it {problem}")
        return found


def normalise(schema: Mapping[str, ParamType], params: Mapping[str, Any]) -> Params:
    """All of `params` in their own types; raises ParameterError for an unknown name or a wrong value."""
    check_names(schema, params)
    return {name: schema[name].normalise(value) for name, value in params.items()}


def check_names(schema: Mapping[str, ParamType], params: Mapping[str, Any]) -> None:
    unknown = sorted(params.keys() - schema.keys())
    if unknown:
        raise ParameterError(detail=f"Unknown parameter '{unknown[0]}'")


def declare(*params: ParamType) -> dict[str, ParamType]:
    """A schema: the parameters by name."""
    return {param.name: param for param in params}


def defaults(schema: Mapping[str, ParamType]) -> Params:
    return {param.name: param.default for param in schema.values()}


def merge_own(own: Mapping[str, Any], given: Mapping[str, Any],
              schema: Mapping[str, ParamType] | None = None) -> Params:
    """Own values after a modify command: `default` and None (`-NAME`) drop a value, others replace it.

    With a schema, unknown names are refused and values put in their types; without one (OS parameters) they are
    taken as they are.
    """
    set_now = {name: value for name, value in given.items() if value is not None and value != RESET}
    if schema is not None:
        check_names(schema, given)
        set_now = normalise(schema, set_now)
    return {name: value for name, value in own.items() if name not in given} | set_now


def _int(value: Any) -> int:
    if isinstance(value, (bool, float)):
        raise TypeError
    return int(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _str(value: Any) -> str:
    if value is False:  # `no_NAME` on the command line
        return ""
    if not isinstance(value, str):
        raise TypeError
    return value


def _maybe_str(value: Any) -> str | None:
    return None if value is None or value == "none" else _str(value)


def _size(value: Any) -> int:
    return parse_size(value) if isinstance(value, str) else _int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):  # JSON has no word for it
        raise ValueError
    return number


_READERS: dict[Kind, Callable[[Any], Any]] = {
    Kind.INT: _int, Kind.BOOL: _bool, Kind.STR: _str, Kind.MAYBE_STR: _maybe_str, Kind.SIZE: _size,
    Kind.FLOAT: _float}
