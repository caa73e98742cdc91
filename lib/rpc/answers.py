# SPDX-License-Identifier: BSD-2-Clause
"""What a node daemon answers to a request, without any of the HTTP around it."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gantry.errors import Error, NodeError, NodeRefused
from gantry.objects import codec
from gantry.rpc.admission import Candidates, Promised, check_term
from gantry.rpc.declare import CallType
from gantry.rpc.memory import Memory
from gantry.rpc.registry import CALLS
from gantry.utils import faults

log = logging.getLogger(__name__)

REMEMBERED_BYTES = 256 << 10
"""A longer answer is not remembered: its call is carried out again."""

_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str).encode

Find = Callable[[str], Callable[..., Any]]
"""The backend function of a call; raises an Error when this node has none."""


class Asked(Protocol):
    """One request, as the transport shows it."""

    method: str
    path: str
    length: int | None

    def header(self, name: str) -> str:
        """Its value, or an empty string."""

    def body(self) -> bytes:
        """Read the body; once."""

    def peer_digest(self) -> str:
        """SHA-256 digest of the caller's certificate."""

    def peer_names(self) -> tuple[str, ...]:
        """The names in the caller's certificate."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


class Answers:
    """Checks who asks, then runs the backend function.  Called from many threads."""

    def __init__(self, find: Find, promised: Promised) -> None:
        self._find, self._promised = find, promised
        self._candidates = Candidates()
        self._memory: Memory[Answer] = Memory(lambda answer: answer.status == 200
                                              and answer.body.startswith(b'{"result"')
                                              and len(answer.body) <= REMEMBERED_BYTES)

    def answer(self, asked: Asked) -> Answer:
        call = CALLS.get(asked.path[1:])
        name = call.name if call else asked.path
        try:
            self._admit(asked)
            if call is None or asked.method != "POST" or asked.length is None:
                return _malformed(asked, known=call is not None)
            check_term(call, asked.header("X-Gantry-Term"), asked.header("X-Gantry-Master"), self._promised)
        except NodeRefused as err:
            log.warning("refused %s: %s", name, err)
            return _refusal(403, err)
        except Error as err:  # the list of candidates or this node's promise cannot be read
            log.error("cannot tell whom to obey: %s", err)  # noqa: TRY400 - a sentence, no bug
            return _refusal(403, NodeRefused(node="", call=name, detail=str(err)))
        return self._carry_out(call, asked)

    def _admit(self, asked: Asked) -> None:
        if not self._candidates.allows(asked.peer_digest(), asked.peer_names):
            raise NodeRefused(node="", call=asked.path[1:], detail="the caller's certificate is not one of a master "
                                                                   f"candidate ({asked.peer_digest()})")

    def _carry_out(self, call: CallType, asked: Asked) -> Answer:
        body, request = asked.body(), asked.header("X-Gantry-Request")
        if not request:
            return self._run(call, body)
        # With the arguments in the key, a job number of another cluster's life finds nothing.
        key = f"{request} {call.name} {hashlib.sha256(body).hexdigest()}"
        answer = self._memory.once(key, lambda: self._run(call, body), seconds=call.seconds)
        return answer or _error(NodeError(node="", detail=f"{call.name} ({request}) is still running since it was "
                                                          "first asked for"))

    def _run(self, call: CallType, body: bytes) -> Answer:
        try:
            result = self._result(call, body)
            return Answer(200, ('{"result":' + _dumps(codec.encode(result)) + "}").encode())
        except Error as err:
            log.info("%s failed: %s", call.name, err)
            return _error(err)
        except Exception as err:  # the outermost loop of the daemon's threads: the caller must hear
            log.exception("%s broke", call.name)
            return _error(Error(detail=f"{call.name} broke: {type(err).__name__}: {err}; see the node daemon's log"))

    def _result(self, call: CallType, body: bytes) -> Any:
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as err:
            raise codec.DecodeError(where=call.name, detail=f"the request is no JSON: {err}") from err
        if not isinstance(data, dict):
            raise codec.DecodeError(where=call.name, detail="the request is no object")
        args = call.decode_args(data)
        if call.task:
            raise codec.DecodeError(where=call.name, detail="it is a task, use task_start")
        function = self._find(call.name)
        faults.point(f"call:{call.name}:before")
        result = function(**args)
        faults.point(f"call:{call.name}:after")
        return result


def _malformed(asked: Asked, *, known: bool) -> Answer:
    name = asked.path[1:]
    if asked.method != "POST":
        return _refusal(405, NodeRefused(node="", call=name, detail=f"the method is {asked.method}, not POST"))
    if not known:
        return _refusal(404, NodeRefused(node="", call=name, detail="there is no such call"))
    return _refusal(411, NodeRefused(node="", call=name, detail="the request has no Content-Length"))


def _refusal(status: int, err: Error) -> Answer:
    return Answer(status, _error(err).body)


def _error(err: Error) -> Answer:
    return Answer(200, _dumps({"error": codec.encode(err.encode())}).encode())
