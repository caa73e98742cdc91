# SPDX-License-Identifier: BSD-2-Clause
"""The one codec between frozen records and JSON values.

Strict on the way in: an unknown key, a missing value or a wrong type raises DecodeError naming the place.
Values equal to a field's default are left out on the way out, so records stay small and new fields with
defaults do not disturb older readers' data.
"""

import dataclasses
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin

from gantry.errors import ConfigurationError

T = TypeVar("T")
Decoder = Callable[[Any, str], Any]


class DecodeError(ConfigurationError):
    text = "{where}: {detail}"


def encode(value: Any) -> Any:
    """JSON value of a record, or of lists, tuples and dicts of records."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out: dict[str, Any] = {}
        for name, default in _encoder_fields(type(value)):
            item = getattr(value, name)
            if item is not default and item != default:
                out[name] = encode(item)
        return out
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    return value


@cache
def _encoder_fields(cls: type) -> tuple[tuple[str, Any], ...]:
    fields = []
    for field in dataclasses.fields(cls):
        default: Any = field.default
        factory: Any = field.default_factory
        if default is dataclasses.MISSING and factory is not dataclasses.MISSING:
            default = factory()
        fields.append((field.name, default))
    return tuple(fields)


def decode(kind: type[T], data: Any, where: str = "") -> T:
    """The record of type `kind` that `encode` made; `where` names the source in errors."""
    reader: Decoder = decoder(typing.cast(Any, kind))
    return typing.cast(T, reader(data, where or getattr(kind, "__name__", "value")))


@cache
def decoder(kind: Any) -> Decoder:
    """A function from a JSON value to a value of the type `kind`."""
    if kind is Any or kind is object:
        return lambda data, where: data
    if kind is None or kind is type(None):
        return _none
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    if kind in (str, int, float, bool):
        return _plain(kind)
    return _container(kind)


def _fail(where: str, wanted: str, data: Any) -> typing.NoReturn:
    raise DecodeError(where=where, detail=f"{wanted} is expected, not {str(data)[:80]!r}")


def _none(data: Any, where: str) -> None:
    if data is not None:
        _fail(where, "null", data)


def _plain(kind: type) -> Decoder:
    def read(data: Any, where: str) -> Any:
        if kind is float and isinstance(data, int) and not isinstance(data, bool):
            return float(data)
        if type(data) is not kind:
            _fail(where, kind.__name__, data)
        return data
    return read


def _enum(kind: type[Enum]) -> Decoder:
    def read(data: Any, where: str) -> Enum:
        try:
            return kind(data)
        except ValueError:
            _fail(where, "one of " + ", ".join(str(item.value) for item in kind), data)
    return read


@cache
def _record_fields(kind: type) -> tuple[dict[str, Decoder], frozenset[str], dict[str, type]]:
    """Decoders of a record's fields, made at the first use: records may hold records of their own type.  Which are
    required, and which are taken as they are when they have the very type given.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: decoder(hints[field.name]) for field in dataclasses.fields(kind)}
    required = frozenset(field.name for field in dataclasses.fields(kind)
                         if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)
    return fields, required, {name: hint for name, hint in hints.items() if hint in (str, int, float, bool)}


def _record(kind: type) -> Decoder:
    def read(data: Any, where: str) -> Any:
        if not isinstance(data, dict):
            _fail(where, "an object", data)
        fields, required, plain = _record_fields(kind)
        if not required <= data.keys() <= fields.keys():
            unknown, missing = data.keys() - fields.keys(), required - data.keys()
            detail = ("unknown keys " + ", ".join(sorted(unknown)) if unknown
                      else "missing keys " + ", ".join(sorted(missing)))
            raise DecodeError(where=where, detail=detail)
        return kind(**{name: value if plain.get(name) is type(value) else fields[name](value, f"{where}.{name}")
                       for name, value in data.items()})
    return read


def _container(kind: Any) -> Decoder:
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union([decoder(arg) for arg in args], kind)
    if origin is typing.Literal:
        return _literal(args)
    if origin is dict:
        return _dict(decoder(args[1]))
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return _fixed_tuple([decoder(arg) for arg in args])
    if origin in (tuple, list, frozenset):
        return _sequence(origin, decoder(args[0]))
    raise TypeError(f"no codec for {kind}")


def _union(readers: list[Decoder], kind: Any) -> Decoder:
    def read(data: Any, where: str) -> Any:
        problems = []
        for reader in readers:
            try:
                return reader(data, where)
            except DecodeError as err:
                problems.append(err)
        if len(readers) == 2 and data is not None:  # X | None: the other half knows best what is wrong
            raise problems[0]
        _fail(where, str(kind), data)
    return read


def _literal(values: tuple[Any, ...]) -> Decoder:
    def read(data: Any, where: str) -> Any:
        if data not in values:
            _fail(where, "one of " + ", ".join(map(str, values)), data)
        return data
    return read


def _dict(value: Decoder) -> Decoder:
    def read(data: Any, where: str) -> dict[str, Any]:
        if not isinstance(data, dict):
            _fail(where, "an object", data)
        return {key: value(item, f"{where}.{key}") for key, item in data.items()}
    return read


def _sequence(kind: Any, item: Decoder) -> Decoder:
    def read(data: Any, where: str) -> Any:
        if not isinstance(data, (list, tuple)):
            _fail(where, "a list", data)
        return kind(item(element, f"{where}[{index}]") for index, element in enumerate(data))
    return read


def _fixed_tuple(items: list[Decoder]) -> Decoder:
    def read(data: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(data, (list, tuple)) or len(data) != len(items):
            _fail(where, f"a list of {len(items)}", data)
        return tuple(item(element, f"{where}[{index}]")
                     for index, (item, element) in enumerate(zip(items, data, strict=True)))
    return read
