# SPDX-License-Identifier: BSD-2-Clause
"""Does a job match a filter rule?  Pure; the filter language is that of queries, over a job's own data."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gantry.objects.cluster import FilterRule

Getter = Callable[[str], Any]
"""The value of a field; None when there is none."""


def in_order(rules: Sequence[FilterRule]) -> list[FilterRule]:
    return sorted(rules, key=lambda rule: (rule.priority, rule.watermark, rule.uuid))


def first_rule(rules: Sequence[FilterRule], job: int, inputs: Sequence[Mapping[str, Any]]) -> FilterRule | None:
    """The first of the (ordered) rules that matches and decides; None: the job may run."""
    for rule in rules:
        if rule.action != "CONTINUE" and matches(rule, job, inputs):
            return rule
    return None


def matches(rule: FilterRule, job: int, inputs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether all predicates of the rule hold for the job."""
    return all(_predicate(kind, test, rule, job, inputs) for kind, test in rule.predicates)


def _predicate(kind: str, test: Any, rule: FilterRule, job: int, inputs: Sequence[Mapping[str, Any]]) -> bool:
    if kind == "jobid":
        numbers = {"watermark": rule.watermark}
        return holds(_with_numbers(test, numbers), {"id": job, "jobid": job}.get)
    if kind == "opcode":
        return any(holds(test, _dotted(wire)) for wire in inputs)
    if kind == "reason":
        return any(holds(test, dict(zip(("source", "reason", "timestamp"), entry, strict=False)).get)
                   for wire in inputs for entry in wire.get("reason") or ())
    return False


def _with_numbers(test: Any, numbers: Mapping[str, int]) -> Any:
    if isinstance(test, (list, tuple)):
        return [_with_numbers(part, numbers) for part in test]
    return numbers.get(test, test) if isinstance(test, str) else test


def _dotted(wire: Mapping[str, Any]) -> Getter:
    def get(name: str) -> Any:
        value: Any = wire
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        return value
    return get


def holds(test: Any, get: Getter) -> bool:
    """Whether the filter `test` (null: everything) holds; one that cannot be understood holds for nothing."""
    if test is None:
        return True
    if not isinstance(test, (list, tuple)) or not test:
        return False
    operator, *args = test
    if operator in _COMBINE:
        return _COMBINE[operator](args, get)
    if len(args) != 2 or operator not in _COMPARE:
        return False
    try:
        return bool(_COMPARE[operator](get(args[0]), args[1]))
    except (TypeError, re.error):
        return False


_COMBINE: dict[str, Callable[[list[Any], Getter], bool]] = {
    "&": lambda args, get: all(holds(part, get) for part in args),
    "|": lambda args, get: any(holds(part, get) for part in args),
    "!": lambda args, get: len(args) == 1 and not holds(args[0], get),
    "?": lambda args, get: len(args) == 1 and bool(get(args[0])),
}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda value, wanted: value == wanted,
    "==": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "<": lambda value, wanted: value < wanted,
    "<=": lambda value, wanted: value <= wanted,
    ">": lambda value, wanted: value > wanted,
    ">=": lambda value, wanted: value >= wanted,
    "=~": lambda value, wanted: isinstance(value, str) and re.search(wanted, value),
    "=[]": lambda value, wanted: wanted in value,
}
