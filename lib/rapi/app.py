# SPDX-License-Identifier: BSD-2-Clause
"""The remote API as a WSGI application: who calls, what they want, and the answer as JSON.

A server may put into the environment: `gantry.detach`, a function that takes the connection over for a stream of
events; `gantry.hold`, one that takes it over until the answer is there; `gantry.reading`, one that makes a context in
which the body is read.
"""

import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

from cheroot.errors import MaxSizeExceeded

from gantry import constants
from gantry.errors import Error
from gantry.rapi.access import Access, Caller
from gantry.rapi.door import Door
from gantry.rapi.endpoint import Endpoint
from gantry.rapi.failures import HttpError, from_luxi
from gantry.rapi.idempotency import Idempotency
from gantry.rapi.request import JSON, Later, Raw, Request
from gantry.rapi.routes import Routes
from gantry.rapi.waits import Told, Waits
from gantry.utils import counting
from gantry.utils.clock import SYSTEM

log = logging.getLogger(__name__)
requests = logging.getLogger("gantry.rapi.requests")
"""A line a request."""

MAX_BODY = 10 << 20
SERVER = f"Ganeti {constants.RELEASE_VERSION}"
Headers = list[tuple[str, str]]
Environ = dict[str, Any]


@dataclass
class Answer:
    status: HTTPStatus
    body: bytes
    content: str = JSON
    headers: Headers = field(default_factory=list)

    def all_headers(self) -> Headers:
        return [("Content-Type", self.content), ("Content-Length", str(len(self.body))), *self.headers]


class Held(Protocol):
    """A connection that waits for its answer."""

    def fileno(self) -> int: ...

    def gone(self) -> bool: ...

    def respond(self, status: HTTPStatus, headers: Headers, body: bytes) -> None:
        """Answer, if that does not block.  Does not raise."""

    def go_on(self) -> None:
        """What is left of that, and the next request."""

    def close(self) -> None: ...


class _Held:
    """A `Waiter`."""

    def __init__(self, connection: Held, later: Later, note: Callable[[Answer], None]) -> None:
        self._connection, self._later, self._note = connection, later, note
        self._answer: Answer | None = None
        self.fileno, self.gone, self.give_up = connection.fileno, connection.gone, connection.close

    def answer(self, told: Told) -> None:
        if told.shown is None:
            told.shown = self._made(told.result)
        self._answer = answer = told.shown
        self._connection.respond(answer.status, answer.all_headers(), answer.body)

    def _made(self, result: Any) -> Answer:
        if isinstance(result, Error):
            return refusal(result if isinstance(result, HttpError) else from_luxi(result))
        return _made(self._later.made(result))

    def answered(self) -> None:
        if self._answer is not None:
            self._note(self._answer)
        self._connection.go_on()


class App:
    def __init__(self, endpoints: Iterable[Endpoint], door: Door, access: Access, waits: Waits | None = None) -> None:
        self._routes = Routes(endpoints)
        self._door, self._access, self._waits = door, access, waits
        self._idempotency = Idempotency(door)
        self._guard = threading.Lock()

    def __call__(self, environ: Environ, start_response: Callable[[str, Headers], object]) -> list[bytes]:
        start = SYSTEM.now()
        answer, caller, resource = self._answer(environ)

        def note(answer: Answer) -> None:
            self._note(environ, answer, caller, resource, SYSTEM.now() - start)

        if isinstance(answer, Later):
            held = _Held(environ["gantry.hold"](), answer, note)
            try:
                answer.start(held)
            except Error as err:
                held.answer(Told(err))
                held.answered()
            return []
        note(answer)
        start_response(f"{answer.status.value} {answer.status.phrase}", answer.all_headers())
        return [answer.body]

    def _note(self, environ: Environ, answer: Answer, caller: Caller, resource: str, seconds: float) -> None:
        status = answer.status
        with self._guard:
            counting.REQUEST_SECONDS.observe(seconds, resource or "-", environ["REQUEST_METHOD"], str(status.value))
        requests.info('%s %s "%s %s" %d %d %.1f ms', environ.get("REMOTE_ADDR", "-"), caller.name or "-",
                      environ["REQUEST_METHOD"], _target(environ), status, len(answer.body),
                      seconds * 1000)

    def _answer(self, environ: Environ) -> "tuple[Answer | Later, Caller, str]":
        """The answer, who asked, and for which resource."""
        caller, resource = Caller(), ""
        try:
            endpoint, names = self._routes.find(environ["REQUEST_METHOD"], _path(environ))
            resource = endpoint.resource or endpoint.path
            caller = self._access.admit(environ.get("HTTP_AUTHORIZATION"), endpoint.need)
            request = Request(
                method=endpoint.method, path=_path(environ), query_string=environ.get("QUERY_STRING", ""),
                content_type=environ.get("CONTENT_TYPE", ""), source=lambda: _body(environ), door=self._door,
                caller=caller, names=names, resource=endpoint.resource,
                last_event=environ.get("HTTP_LAST_EVENT_ID", ""), detach=environ.get("gantry.detach"),
                waits=self._waits if "gantry.hold" in environ else None)
            return self._run(endpoint, request, environ), caller, resource
        except HttpError as err:
            return refusal(err), caller, resource
        except Error as err:
            return refusal(from_luxi(err)), caller, resource
        except Exception as err:
            log.exception("%s %s failed", environ["REQUEST_METHOD"], _target(environ))  # the others must go on
            return refusal(HttpError(500, f"internal error: {type(err).__name__}")), caller, resource

    def _run(self, endpoint: Endpoint, request: Request, environ: Environ) -> "Answer | Later":
        key = environ.get("HTTP_IDEMPOTENCY_KEY")
        if key is not None and request.method != "GET":
            return self._idempotency.once(key, request, lambda: _made(endpoint.run(request)))
        result = endpoint.run(request)
        return result if isinstance(result, Later) else _made(result)


def _made(result: Any) -> Answer:
    if isinstance(result, Raw):
        return Answer(HTTPStatus.OK, result.body, result.content)
    return Answer(HTTPStatus.OK, json.dumps(result).encode() + b"\n")


def refusal(err: HttpError) -> Answer:
    return Answer(err.status, err.body(), headers=err.headers())


def _path(environ: Environ) -> str:
    """As it was sent: a server decodes PATH_INFO."""
    return str(environ.get("REQUEST_URI") or environ.get("PATH_INFO", "")).partition("?")[0]


def _target(environ: Environ) -> str:
    text = str(environ.get("REQUEST_URI") or environ.get("PATH_INFO", ""))
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _body(environ: Environ) -> bytes:
    """Raises HttpError 413 for more than `MAX_BODY`, 408 or 400 for what does not come, or not as it should."""
    length = environ.get("CONTENT_LENGTH")
    if length in (None, "") and not environ.get("wsgi.input_terminated"):
        return b""
    most = MAX_BODY + 1 if length in (None, "") else min(int(length), MAX_BODY + 1)
    try:
        with environ.get("gantry.reading", contextlib.nullcontext)():
            body: bytes = environ["wsgi.input"].read(most)
    except TimeoutError as err:
        raise HttpError(408) from err
    except MaxSizeExceeded as err:
        raise HttpError(413, f"The body is longer than {MAX_BODY} bytes") from err
    except (OSError, ValueError) as err:
        raise HttpError(413 if "Too Large" in str(err) else 400, f"The body cannot be read: {err}") from err
    if len(body) > MAX_BODY:
        raise HttpError(413, f"The body is longer than {MAX_BODY} bytes")
    if length not in (None, "") and len(body) < int(length):
        raise HttpError(400, "The request broke off")
    return body
