# SPDX-License-Identifier: BSD-2-Clause
"""Filters: null, or a list `[operator, arguments...]`, compiled to a function of a row.

A comparison with a field that has no value (the node is offline, the item has no such thing) is neither true
nor false: the item is kept, because nobody can say that it does not fit.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gantry.errors import ParameterError
from gantry.query.fields import Field, Kind, Missing

Test = Callable[[Any], bool | None]
"""None: cannot be said."""

DEEPEST = 100
"""Levels of a filter; deeper ones are refused rather than overflowing the stack."""

EQUAL = frozenset({"==", "="})
ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
NUMERIC = frozenset({Kind.NUMBER, Kind.FLOAT, Kind.UNIT, Kind.TIMESTAMP})


@dataclass(frozen=True)
class Filter:
    """`keeps` says whether a row stays; `fields` are those that it looks at."""

    keeps: Callable[[Any], bool]
    fields: tuple[Field, ...]


def compile_filter(data: Any, fields: Mapping[str, Field]) -> Filter | None:
    """The filter of a wire form; raises ParameterError saying what is wrong with it."""
    if data is None:
        return None
    used: dict[str, Field] = {}
    test = _compile(data, fields, used, 0)
    return Filter(lambda row: test(row) is not False, tuple(used.values()))


def names_only(data: Any, key: str) -> list[Any] | None:
    """The names, where the filter is nothing but equalities of the field `key`, joined by `|`; else None."""
    if not isinstance(data, list) or not data:
        return None
    if data[0] == "|" and len(data) > 1:
        found = [names_only(item, key) for item in data[1:]]
        if any(names is None for names in found):
            return None
        return list(dict.fromkeys(name for names in found for name in names or ()))
    if len(data) == 3 and data[0] in ("==", "=") and data[1] == key and type(data[2]) in (str, int):
        return [data[2]]
    return None


# --- compiling ------------------------------------------------------------------------------------


def _compile(data: Any, fields: Mapping[str, Field], used: dict[str, Field], depth: int) -> Test:
    if not isinstance(data, list) or not data or not isinstance(data[0], str):
        raise ParameterError(detail=f"Invalid filter: a list that starts with an operator is expected, not {data!r}")
    if depth > DEEPEST:
        raise ParameterError(detail=f"Invalid filter: more than {DEEPEST} levels")
    operator, args = data[0], data[1:]
    if operator in ("&", "|"):
        tests = [_compile(item, fields, used, depth + 1) for item in args]
        return _all(tests) if operator == "&" else _any(tests)
    if operator == "!":
        _count(operator, args, 1)
        return _not(_compile(args[0], fields, used, depth + 1))
    if operator == "?":
        _count(operator, args, 1)
        return _truth(_field(args[0], fields, used))
    return _comparison(operator, args, fields, used)


def _comparison(operator: str, args: list[Any], fields: Mapping[str, Field], used: dict[str, Field]) -> Test:
    if operator not in EQUAL and operator not in ORDER and operator not in ("!=", "=~", "=[]"):
        raise ParameterError(detail=f"Invalid filter: unknown operator {operator!r}")
    _count(operator, args, 2)
    field, value = _field(args[0], fields, used), args[1]
    if type(value) not in (str, int):
        raise ParameterError(detail=f"Invalid filter: {field.name} is compared with {value!r}, "
                                    "which is neither a string nor an integer")
    if operator == "=~":
        return _regex(field, value)
    if operator == "=[]":
        return _contains(field, value)
    if operator in ORDER:
        return _ordered(field, value, ORDER[operator])
    test = _equal(field, value)
    return test if operator in EQUAL else _not(test)


def _count(operator: str, args: list[Any], wanted: int) -> None:
    if len(args) != wanted:
        raise ParameterError(detail=f"Invalid filter: {operator} takes {wanted} arguments, not {len(args)}")


def _field(name: Any, fields: Mapping[str, Field], used: dict[str, Field]) -> Field:
    try:
        field = used[name] = fields[name]
    except (KeyError, TypeError):
        raise ParameterError(detail=f"Invalid filter: unknown field {name!r}") from None
    return field


def _all(tests: list[Test]) -> Test:
    def test(row: Any) -> bool | None:
        known: bool | None = True
        for item in tests:
            found = item(row)
            if found is False:
                return False
            if found is None:
                known = None
        return known
    return test


def _any(tests: list[Test]) -> Test:
    def test(row: Any) -> bool | None:
        known: bool | None = False
        for item in tests:
            found = item(row)
            if found:
                return True
            if found is None:
                known = None
        return known
    return test


def _not(inner: Test) -> Test:
    def test(row: Any) -> bool | None:
        found = inner(row)
        return None if found is None else not found
    return test


def _truth(field: Field) -> Test:
    if field.kind not in (Kind.BOOL, Kind.OTHER):
        raise ParameterError(detail=f"Invalid filter: {field.name} is not a yes/no field")
    return _on(field, lambda value: value if isinstance(value, bool) else _mismatch(field, "true or false", value))


def _equal(field: Field, value: Any) -> Test:
    _check_type(field, value)
    if field.host and isinstance(value, str):
        whole, start = value.lower(), value.lower() + "."
        return _on(field, lambda found: found.lower() == whole or found.lower().startswith(start))
    return _on(field, lambda found: bool(_comparable(field, found, value) == value))


def _ordered(field: Field, value: Any, compare: Callable[[Any, Any], bool]) -> Test:
    _check_type(field, value)

    def test(found: Any) -> bool:
        left = _comparable(field, found, value)
        return left is not None and compare(left, value)
    return _on(field, test)


def _regex(field: Field, value: Any) -> Test:
    if not isinstance(value, str) or field.kind not in (Kind.TEXT, Kind.OTHER):
        raise ParameterError(detail=f"Invalid filter: {field.name} cannot be matched with a regular expression")
    try:
        search = re.compile(value).search
    except (re.error, RecursionError, OverflowError) as err:
        raise ParameterError(detail=f"Invalid filter: {value!r} is not a regular expression: {err}") from err

    def test(found: Any) -> bool:
        if found is None:
            return False
        return search(found) is not None if isinstance(found, str) else _mismatch(field, "a string", found)
    return _on(field, test)


def _contains(field: Field, value: Any) -> Test:
    if field.kind is not Kind.OTHER:
        raise ParameterError(detail=f"Invalid filter: {field.name} is not a list")
    return _on(field, lambda found: value in found if isinstance(found, (list, tuple))
               else _mismatch(field, "a list", found))


def _on(field: Field, test: Callable[[Any], bool]) -> Test:
    get = field.get

    def checked(row: Any) -> bool | None:
        value = get(row)
        return None if value.__class__ is Missing else test(value)
    return checked


# --- types ------------------------------------------------------------------------------------------


def _check_type(field: Field, value: Any) -> None:
    """What can be said before a row is there."""
    wrong = (field.kind is Kind.BOOL or (field.kind in NUMERIC and not isinstance(value, int))
             or (field.kind is Kind.TEXT and not isinstance(value, str)))
    if wrong:
        raise ParameterError(detail=f"Invalid filter: {field.name} ({field.kind.value}) cannot be compared "
                                    f"with {value!r}")


def _comparable(field: Field, found: Any, value: Any) -> Any:
    """`found` in the type of `value`; None where it is null."""
    if found is None:
        return None
    if field.name.endswith("_ts") and isinstance(found, (list, tuple)) and isinstance(value, int):
        return found[0]
    if isinstance(value, str) and isinstance(found, str):
        return found
    if isinstance(value, int) and isinstance(found, (int, float)) and not isinstance(found, bool):
        return found
    return _mismatch(field, "a string" if isinstance(value, str) else "a number", found)


def _mismatch(field: Field, wanted: str, found: Any) -> Any:
    raise ParameterError(detail=f"Invalid filter: {field.name} is not {wanted}, it is {str(found)[:60]!r}")
