# SPDX-License-Identifier: BSD-2-Clause
"""The remote API as a WSGI application: who calls, what they want, and the answer as JSON.

A server may put into the environment: `gantry.gone`, a function that tells whether the client has hung up, and
`gantry.detach`, a function that takes the connection over for a stream of events.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from cheroot.errors import MaxSizeExceeded

from gantry import constants
from gantry.errors import Error
from gantry.rapi.access import Access, Caller
from gantry.rapi.door import Door
from gantry.rapi.endpoint import Endpoint
from gantry.rapi.failures import HttpError, from_luxi
from gantry.rapi.idempotency import Idempotency
from gantry.rapi.request import JSON, Raw, Request
from gantry.rapi.routes import Routes
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


class App:
    def __init__(self, endpoints: Iterable[Endpoint], door: Door, access: Access) -> None:
        self._routes = Routes(endpoints)
        self._door, self._access = door, access
        self._idempotency = Idempotency(door)
        self._guard = threading.Lock()

    def __call__(self, environ: Environ, start_response: Callable[[str, Headers], object]) -> list[bytes]:
        start = SYSTEM.now()
        answer, caller, resource = self._answer(environ)
        status = answer.status
        seconds = SYSTEM.now() - start
        with self._guard:
            counting.REQUEST_SECONDS.observe(seconds, resource or "-", environ["REQUEST_METHOD"], str(status.value))
        requests.info('%s %s "%s %s" %d %d %.1f ms', environ.get("REMOTE_ADDR", "-"), caller.name or "-",
                      environ["REQUEST_METHOD"], _target(environ), status, len(answer.body),
                      seconds * 1000)
        start_response(f"{status.value} {status.phrase}", [
            ("Content-Type", answer.content), ("Content-Length", str(len(answer.body))), *answer.headers])
        return [answer.body]

    def _answer(self, environ: Environ) -> tuple[Answer, Caller, str]:
        """The answer, who asked, and for which resource."""
        caller, resource = Caller(), ""
        try:
            endpoint, names = self._routes.find(environ["REQUEST_METHOD"], _path(environ))
            resource = endpoint.resource or endpoint.path
            caller = self._access.admit(environ.get("HTTP_AUTHORIZATION"), endpoint.need)
            request = Request(
                method=endpoint.method, path=_path(environ), query_string=environ.get("QUERY_STRING", ""),
                content_type=environ.get("CONTENT_TYPE", ""), source=lambda: _body(environ), door=self._door,
                caller=caller, gone=environ.get("gantry.gone", lambda: False), names=names, resource=endpoint.resource,
                last_event=environ.get("HTTP_LAST_EVENT_ID", ""), detach=environ.get("gantry.detach"))
            return self._run(endpoint, request, environ), caller, resource
        except HttpError as err:
            return refusal(err), caller, resource
        except Error as err:
            return refusal(from_luxi(err)), caller, resource
        except Exception as err:
            log.exception("%s %s failed", environ["REQUEST_METHOD"], _target(environ))  # the others must go on
            return refusal(HttpError(500, f"internal error: {type(err).__name__}")), caller, resource

    def _run(self, endpoint: Endpoint, request: Request, environ: Environ) -> Answer:
        key = environ.get("HTTP_IDEMPOTENCY_KEY")
        if key is not None and request.method != "GET":
            return self._idempotency.once(key, request, lambda: _made(endpoint.run(request)))
        return _made(endpoint.run(request))


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
