# SPDX-License-Identifier: BSD-2-Clause
"""A request as resources see it: what the path, the query and the body say, checked as they are read."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

from gantry.rapi.access import Caller
from gantry.rapi.door import Door
from gantry.rapi.failures import HttpError, bad_request
from gantry.rapi.waits import Waiter, Waits

JSON = "application/json"
MAX_ARGUMENTS = 1000


@dataclass
class Raw:
    """What an endpoint answers that is not to be encoded any more."""

    body: bytes
    content: str = JSON


@dataclass(frozen=True)
class Later:
    """What an endpoint answers that has to wait for the master daemon: `start` is given who waits, `made` makes the
    endpoint's answer of what the master daemon says.
    """

    start: Callable[[Waiter], None]
    made: Callable[[Any], Any]


@dataclass(kw_only=True)
class Request:
    """`names`: parts of the path by name.  `source`: gives the bytes of the body, when first asked.
    `resource`: the path's name in reason trails; `extra_reason`: more entries for them.
    `last_event`: the header Last-Event-ID.  `detach`: answer 200 with these headers, and take the connection over.
    `waits`: for answers that come `Later`.
    """

    method: str
    path: str
    query_string: str = ""
    content_type: str = ""
    source: Callable[[], bytes] = bytes
    door: Door
    caller: Caller
    names: Mapping[str, str] = field(default_factory=dict)
    resource: str = ""
    extra_reason: Sequence[Sequence[Any]] = ()
    last_event: str = ""
    detach: Callable[[list[tuple[str, str]]], Any] | None = None
    waits: Waits | None = None

    @cached_property
    def query(self) -> dict[str, list[str]]:
        try:
            return parse_qs(self.query_string, max_num_fields=MAX_ARGUMENTS)
        except ValueError as err:
            raise bad_request(f"The query cannot be read: {err}") from err

    @cached_property
    def raw_body(self) -> bytes:
        return self.source()

    @cached_property
    def body(self) -> Any:
        """What the JSON of the body says; None where there is no body."""
        raw = self.raw_body
        if not raw:
            return None
        if self.content_type.lower() != JSON:
            raise HttpError(415, f"Unsupported media type: the body must be {JSON}")
        try:
            return json.loads(raw, parse_constant=_no_constant)
        except (ValueError, RecursionError) as err:
            raise bad_request("Unable to parse JSON data") from err

    def object(self) -> dict[str, Any]:
        """The body as an object; empty where there is none."""
        if self.body is None:
            return {}
        if not isinstance(self.body, dict):
            raise bad_request(f"Body parameters should be a dict, not {type(self.body).__name__}")
        return dict(self.body)

    def text(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query argument."""
        return self.query[name][0] if name in self.query else default

    def needed(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise bad_request(f"Missing the required '{name}' parameter")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A query argument that is 0 or 1."""
        value = self.text(name)
        if value is None:
            return default
        if value not in ("0", "1"):
            raise bad_request(f"Invalid value for the '{name}' parameter: 0 or 1 is expected")
        return value == "1"

    def no_locks(self) -> None:
        """Queries never lock; raises for a client that insists."""
        if self.flag("lock"):
            raise HttpError(500, "Sync queries are not allowed")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def only_keys(body: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = sorted(body.keys() - set(known))
    if unknown:
        raise bad_request(f"Invalid body parameters: unknown parameters {', '.join(unknown)}")
