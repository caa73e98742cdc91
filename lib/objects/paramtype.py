# SPDX-License-Identifier: BSD-2-Clause
"""What a parameter is: name, type, default, check.  The schemas of all parameter families are made of it.

Values come as the command line or RAPI has them (often text) and leave as the type says.  Every refusal is
a ParameterError in the words operators know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gantry.errors import ParameterError, WrongInput
from gantry.utils.units import parse_size

RESET = "default"
"""As a value in a modify command: drop the own value, inherit again."""

_WORDS = {"true": True, "yes": True, "false": False, "no": False}


class Kind(StrEnum):
    """A value's type; the word is the one of error messages."""

    STR = "string"
    MAYBE_STR = "maybe-string"
    """Text or None; the text `none` means None."""
    INT = "integer"
    BOOL = "boolean"
    FLOAT = "float"
    SIZE = "size"
    """MiB; text may have a unit."""
    ENUM = "enum"
    """One of `values`."""


@dataclass(frozen=True, kw_only=True)
class ParamType:
    """One parameter.  `check` gets the converted value and answers why it is refused, or None."""

    name: str
    kind: Kind
    default: Any
    help: str = ""
    values: tuple[Any, ...] = ()
    check: Callable[[Any], str | None] | None = None

    def convert(self, value: Any) -> Any:
        """The value in its type; raises ParameterError."""
        found = _CONVERTERS[self.kind](self, value)
        if self.check is not None:
            reason = self.check(found)
            if reason:
                raise ParameterError(detail=f"'{self.name}' (value {value}): {reason}")
        return found

    def refuse(self, value: Any) -> ParameterError:
        word = Kind.STR if self.kind is Kind.MAYBE_STR else self.kind
        return ParameterError(detail=f"'{self.name}' (value {value}) is not a valid {word}")


Schema = Mapping[str, ParamType]


def schema(*params: ParamType) -> dict[str, ParamType]:
    return {param.name: param for param in params}


def defaults(types: Schema) -> dict[str, Any]:
    return {param.name: param.default for param in types.values()}


def convert_all(types: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
    """All values in their types; raises ParameterError for the first unknown name or wrong value."""
    return {name: find(types, name).convert(value) for name, value in given.items()}


def find(types: Schema, name: str) -> ParamType:
    """The parameter of this name; raises ParameterError."""
    try:
        return types[name]
    except KeyError:
        raise ParameterError(detail=f"Unknown parameter '{name}'") from None


def merge_own(own: Mapping[str, Any], given: Mapping[str, Any], types: Schema | None = None) -> dict[str, Any]:
    """Own values after a modify command: `default` and None (`-NAME`) drop a value, others replace it.

    With a schema unknown names are refused and values converted; without one (OS parameters) they are taken
    as they are.
    """
    result = dict(own)
    for name, value in given.items():
        param = find(types, name) if types is not None else None
        if value is None or value == RESET:
            result.pop(name, None)
        else:
            result[name] = param.convert(value) if param is not None else value
    return result


# --- conversion, one function a kind ------------------------------------------------------------------


def _text(param: ParamType, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is False:  # `-NAME` and `no_NAME` mean no text
        return ""
    if value is True or not isinstance(value, (int, float)):
        raise param.refuse(value)
    return str(value)


def _maybe_text(param: ParamType, value: Any) -> str | None:
    return None if value is None or value == "none" else _text(param, value)


def _integer(param: ParamType, value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise param.refuse(value)
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise param.refuse(value) from None


def _boolean(param: ParamType, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else None
    if word not in _WORDS:
        raise param.refuse(value)
    return _WORDS[word]


def _float(param: ParamType, value: Any) -> float:
    if isinstance(value, bool):
        raise param.refuse(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise param.refuse(value) from None
    if number - number != 0.0:  # infinite, or no number: neither survives JSON
        raise param.refuse(value)
    return number


def _size(param: ParamType, value: Any) -> int:
    if isinstance(value, str):
        try:
            return parse_size(value)
        except (WrongInput, OverflowError):
            raise param.refuse(value) from None
    return _integer(param, value)


def _enum(param: ParamType, value: Any) -> Any:
    for allowed in param.values:
        if value == allowed or (isinstance(value, str) and not isinstance(allowed, str) and value == str(allowed)):
            return allowed
    if value is None and "" in param.values:
        return ""
    raise ParameterError(detail=f"'{param.name}' (value {value}) must be one of "
                                + ", ".join(str(item) or "''" for item in param.values))


_CONVERTERS: dict[Kind, Callable[[ParamType, Any], Any]] = {
    Kind.STR: _text, Kind.MAYBE_STR: _maybe_text, Kind.INT: _integer, Kind.BOOL: _boolean, Kind.FLOAT: _float,
    Kind.SIZE: _size, Kind.ENUM: _enum,
}
