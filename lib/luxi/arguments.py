# SPDX-License-Identifier: BSD-2-Clause
"""Arguments of LUXI methods: how many, of what type.  What does not fit is a request that cannot be parsed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gantry.errors import WrongInput
from gantry.luxi.protocol import BadRequest
from gantry.query.resource_job import job_id

Check = Callable[[Any], Any]
"""Returns the normalised value, or raises Unfit naming what is expected."""


class Unfit(Exception):
    """A value of the wrong type; holds the words for what is expected."""


@dataclass(frozen=True)
class Arg:
    """One argument; `optional` ones may be left out and are None then."""

    name: str
    check: Check
    optional: bool = False


def read(method: str, wanted: Sequence[Arg], given: list[Any]) -> list[Any]:
    """A value for each wanted argument; raises BadRequest."""
    least = sum(not arg.optional for arg in wanted)
    if not least <= len(given) <= len(wanted):
        count = str(least) if least == len(wanted) else f"{least} to {len(wanted)}"
        raise BadRequest(detail=f"{method} takes {count} arguments, not {len(given)}")
    values: list[Any] = []
    for arg, value in zip(wanted, [*given, *[None] * (len(wanted) - len(given))], strict=True):
        if arg.optional and value is None:
            values.append(None)
            continue
        try:
            values.append(arg.check(value))
        except Unfit as err:
            raise BadRequest(detail=f"{method}: {arg.name} must be {err}, not {str(value)[:80]!r}") from err
    return values


def _of(kind: type | tuple[type, ...], words: str) -> Check:
    def check(value: Any) -> Any:
        allowed = kind if isinstance(kind, tuple) else (kind,)
        if type(value) not in allowed:
            raise Unfit(words)
        return value
    return check


def _list_of(kind: type, words: str, *, or_null: bool = False) -> Check:
    def check(value: Any) -> list[Any]:
        if value is None and or_null:
            return []
        if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
            raise Unfit(words)
        return value
    return check


def _job(value: Any) -> int:
    try:
        return job_id(value)
    except WrongInput:
        raise Unfit("a job id") from None


def _jobs(value: Any) -> list[int]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unfit("a list of job ids")
    return [_job(item) for item in value]


def _many(value: Any) -> list[list[dict[str, Any]]]:
    if not isinstance(value, list):
        raise Unfit("a list of jobs")
    return [_ops(item) for item in value]


def _no_locking(value: Any) -> bool:
    if value not in (False, None, 0):
        raise WrongInput(detail="Sync queries are not allowed")
    return False


_ops = _list_of(dict, "a list of opcodes")

OPCODES = Arg("ops", _ops)
JOBS = Arg("jobs", _many)
JOB = Arg("job", _job)
JOB_IDS = Arg("jobs", _jobs)
FIELDS = Arg("fields", _list_of(str, "a list of field names"))
MAYBE_FIELDS = Arg("fields", _list_of(str, "a list of field names", or_null=True))
NAMES = Arg("names", _list_of(str, "a list of names", or_null=True))
LOCKING = Arg("use_locking", _no_locking, optional=True)
TEXT = _of(str, "a string")
INTEGER = _of(int, "an integer")
NUMBER = _of((int, float), "a number")
FLAG = _of(bool, "true or false")
LIST = _of(list, "a list")
ANY: Check = lambda value: value  # noqa: E731  (a name for the type that takes everything)
