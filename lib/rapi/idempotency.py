# SPDX-License-Identifier: BSD-2-Clause
"""`Idempotency-Key`: the same request sent again has the answer of the first, and submits no second job.

The key of a request belongs to its caller.  A duplicate that comes while the first is under way waits for it; the same
key with another request is refused with 422.  Only what was done is remembered: after a refusal the request may be
sent again.  The key goes into the reason trail of the job, as a hash; so it is known also to a daemon that was
started, or lost its connection to the master daemon, between the two.
"""

import hashlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gantry.errors import Error
from gantry.rapi.door import Door
from gantry.rapi.failures import HttpError, bad_request
from gantry.rapi.request import Request
from gantry.utils import clock

if TYPE_CHECKING:
    from gantry.rapi.app import Answer

MOST = 10_000
SOURCE = "gnt:library:rlib2:idempotency-key"
WAIT_SECONDS = 240.0
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass
class _Entry:
    """`request`: hash of what was asked; `done` is set when `answer` is there, or there will be none."""

    request: str
    answer: "Answer | None" = None
    done: threading.Event = field(default_factory=threading.Event)


class Idempotency:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._guard = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._jobs_are_known = False

    def once(self, key: str, request: Request, run: Callable[[], "Answer"]) -> "Answer":
        """The answer of `run`, or that of the first request with this key."""
        if not _KEY.fullmatch(key):
            raise bad_request("An Idempotency-Key has 1 to 255 visible characters")
        mark = _hash(request.caller.name, key)
        asked = _hash(request.method, request.path, request.query_string, request.raw_body.decode("latin-1"))
        while True:
            self._learn()
            with self._guard:
                entry = self._entries.get(mark)
                mine = entry is None
                if entry is None:
                    entry = self._entries[mark] = _Entry(asked)
            if mine:
                return self._first(mark, entry, request, run)
            if entry.request != asked:
                raise HttpError(422, "This Idempotency-Key was used for another request")
            if not entry.done.wait(WAIT_SECONDS):
                raise HttpError(409, "The first request with this Idempotency-Key is still under way")
            if entry.answer is not None:
                return entry.answer

    def _first(self, mark: str, entry: _Entry, request: Request, run: Callable[[], "Answer"]) -> "Answer":
        request.extra_reason = [(SOURCE, f"{mark}:{entry.request}", clock.nanoseconds())]
        try:
            entry.answer = run()
        except Error as err:
            # What was refused was not done; of what broke off nobody knows, so the jobs are looked through again.
            self._jobs_are_known = self._jobs_are_known and isinstance(err, HttpError)
            raise
        finally:
            with self._guard:
                if entry.answer is None:
                    self._entries.pop(mark, None)
                self._forget()
            entry.done.set()
        return entry.answer

    def _forget(self) -> None:
        """Drop the oldest of those that are done."""
        surplus = len(self._entries) - MOST
        for mark in [mark for mark, entry in self._entries.items() if entry.answer is not None][:max(0, surplus)]:
            del self._entries[mark]

    def _learn(self) -> None:
        """Take the keys of jobs that another life of this daemon submitted."""
        from gantry.rapi.app import Answer

        if self._jobs_are_known:
            return
        rows = self._door.call("QueryJobs", [[], ["id", "ops"]])
        with self._guard:
            self._jobs_are_known = True
            for id, ops in rows[-MOST:]:
                for mark, asked in _keys(ops):
                    entry = _Entry(asked, Answer(HTTPStatus.OK, json.dumps(id).encode() + b"\n"))
                    entry.done.set()
                    self._entries.setdefault(mark, entry)


def _keys(ops: Any) -> list[tuple[str, str]]:
    """(mark, request) of each key in the reason trails of a job."""
    first = ops[0] if isinstance(ops, list) and ops and isinstance(ops[0], dict) else {}
    texts = [str(entry[1]).partition(":") for entry in first.get("reason") or () if entry[0] == SOURCE]
    return [(mark, asked) for mark, _, asked in texts]


def _hash(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
