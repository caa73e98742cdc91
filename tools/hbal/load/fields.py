# SPDX-License-Identifier: BSD-2-Clause
"""JSON objects read key by key, with errors that say which key of which object is wrong."""

import json
from collections.abc import Callable
from typing import Any

from hbal.errors import LoadError
from hbal.load.choices import Choice, chosen
from hbal.load.units import MOST
from hbal.model import MinMax, Policy, Spec, Template

REQUIRED: Any = object()

SPEC_KEYS = ("memory-size", "cpu-count", "disk-size", "disk-count", "nic-count", "spindle-use")


class Fields:
    """One object; `where` begins its error sentences ("invalid data for node 'n1'")."""

    __slots__ = ("_content", "_where")

    def __init__(self, content: Any, where: str) -> None:
        if not isinstance(content, dict):
            raise LoadError(f"{where}: Unable to read JSObject")
        self._content: dict[str, Any] = content
        self._where = where

    def __contains__(self, key: str) -> bool:
        return self._content.get(key) is not None

    def fail(self, key: str, complaint: str) -> LoadError:
        return LoadError(f"{self._where}: key '{key}': {complaint}")

    def any(self, key: str, default: Any = REQUIRED) -> Any:
        """The value as it is; a missing key (or null, where there is a default) gives the default."""
        value = self._content.get(key)
        if value is None and default is not REQUIRED:
            return default
        if key not in self._content:
            known = json.dumps(list(self._content), separators=(",", ":"))
            raise LoadError(f"{self._where}: key '{key}' not found, object contains only {known}")
        return value

    def _typed(self, key: str, default: Any, check: Callable[[Any], bool], kind: str) -> Any:
        value = self.any(key, default)
        if value is default and default is not REQUIRED:
            return value
        if not check(value):
            raise self.fail(key, f"Unable to read {kind}")
        return value

    def text(self, key: str, default: Any = REQUIRED) -> str:
        return str(self._typed(key, default, lambda value: isinstance(value, str), "String"))

    def optional_text(self, key: str) -> str | None:
        return self.text(key) if key in self else None

    def flag(self, key: str, default: Any = REQUIRED) -> bool:
        return bool(self._typed(key, default, lambda value: isinstance(value, bool), "Bool"))

    def number(self, key: str, default: Any = REQUIRED) -> float:
        return float(self._typed(key, default, _is_number, "Double"))

    def whole(self, key: str, default: Any = REQUIRED) -> int:
        """An integer (a float without a fraction counts as one)."""
        return int(self._typed(key, default, lambda value: _is_number(value) and value == int(value), "Int"))

    def size(self, key: str, default: Any = REQUIRED) -> int:
        """A quantity, which cannot be negative."""
        value = self.whole(key, default)
        if value < 0:
            raise self.fail(key, f"negative size '{value}'")
        return value

    def amount(self, key: str, default: Any = REQUIRED) -> float:
        value = self.number(key, default)
        if value < 0:
            raise self.fail(key, f"negative size '{value:g}'")
        return value

    def choice(self, key: str, kind: type[Choice]) -> Choice:
        try:
            return chosen(kind, self.text(key))
        except ValueError as err:
            raise self.fail(key, str(err)) from err

    def array(self, key: str, default: Any = REQUIRED) -> list[Any]:
        value = self._typed(key, default, lambda value: isinstance(value, (list, tuple)), "JSArray")
        return [*value]

    def texts(self, key: str, default: Any = REQUIRED) -> tuple[str, ...]:
        values = self.array(key, default)
        if not all(isinstance(value, str) for value in values):
            raise self.fail(key, "Unable to read String")
        return tuple(values)

    def has_number(self, key: str) -> bool:
        return _is_number(self._content.get(key))

    def sizes(self, key: str, default: Any = REQUIRED) -> "list[int | None]":
        """Quantities, some of which may be unknown."""
        values = self.array(key, default)
        for value in values:
            if value is not None and not (_is_number(value) and value >= 0 and value == int(value)):
                raise self.fail(key, "Unable to read Int")
        return [None if value is None else int(value) for value in values]

    def object(self, key: str, where: str | None = None) -> "Fields":
        value = self.any(key)
        if not isinstance(value, dict):
            raise self.fail(key, "Unable to read JSObject")
        return Fields(value, where or f"{self._where}: key '{key}'")

    def objects(self, key: str, default: Any = REQUIRED) -> list["Fields"]:
        return [Fields(value, f"{self._where}: key '{key}'") for value in self.array(key, default)]

    def items(self) -> list[tuple[str, Any]]:
        return [*self._content.items()]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < MOST


def decode(text: str | bytes, what: str) -> Any:
    """The JSON value of a text; raises LoadError with `what` in front."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as err:
        raise LoadError(f"{what}: Invalid JSON: {err}") from err


def read_policy(content: Fields) -> Policy:
    """An instance policy as the cluster tells it (all five keys, specs complete)."""
    return Policy(
        standard=_spec(content.object("std")),
        minmax=tuple(MinMax(_spec(pair.object("min")), _spec(pair.object("max")))
                     for pair in content.objects("minmax")),
        templates=tuple(_template(content, text) for text in content.texts("disk-templates")),
        vcpu_ratio=content.amount("vcpu-ratio"), spindle_ratio=content.amount("spindle-ratio"))


def _spec(content: Fields) -> Spec:
    return Spec(*(content.size(key) for key in SPEC_KEYS))


def _template(content: Fields, text: str) -> Template:
    try:
        return chosen(Template, text)
    except ValueError as err:
        raise content.fail("disk-templates", str(err)) from err
