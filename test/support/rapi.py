# SPDX-License-Identifier: BSD-2-Clause
"""The remote API without a cluster: a master daemon that is a table, requests as a WSGI server makes them."""

import base64
import io
import json
from dataclasses import dataclass, field
from typing import Any

from gantry.rapi.access import Access
from gantry.rapi.app import App
from gantry.rapi.events import Events
from gantry.rapi.metrics import Metrics
from gantry.rapi.openapi import Description
from gantry.rapi.routes import all_endpoints
from gantry.rapi.states import States

USERS = "admin secret write\nreader look read\nplain word\n"
ADMIN, READER, PLAIN = ("admin", "secret"), ("reader", "look"), ("plain", "word")


class FakeDoor:
    """`answers`: a value, an error to raise, or a function of the arguments, by method; jobs get ids of their own."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"QueryJobs": [], "WaitForRecord": 0} | answers
        self.calls: list[tuple[str, list[Any]]] = []
        self.jobs: list[list[dict[str, Any]]] = []

    def call(self, method: str, args=()):
        self.calls.append((method, list(args)))
        if method == "SubmitJob" and method not in self.answers:
            self.jobs.append(args[0])
            return 100 + len(self.jobs)
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer(*args) if callable(answer) else answer

    def raw(self, method: str, args=()):
        answer = self.call(method, args)
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    @property
    def ops(self) -> list[dict[str, Any]]:
        """All opcodes that were submitted, without their reason trails."""
        return [{key: value for key, value in op.items() if key != "reason"} for job in self.jobs for op in job]

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]


def endpoints(door):
    states = States(door)
    found = [*all_endpoints(), Metrics(door, states).endpoint(), Events(states).endpoint()]
    return found + Description(found).endpoints()


def application(door, folder, *, strict=False):
    """An App with `USERS`."""
    (folder / "users").write_text(USERS)
    return App(endpoints(door), door, Access(folder / "users", folder / "tokens.json", strict=strict))


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    raw: bytes
    body: Any = field(init=False)

    def __post_init__(self):
        try:
            self.body = json.loads(self.raw)
        except ValueError:
            self.body = None


def basic(user):
    return "Basic " + base64.b64encode(":".join(user).encode()).decode()


def ask(app, method, target, body=None, *, user=None, raw=None, content="application/json", **headers):
    """`body` is encoded, `raw` sent as it is; `headers`: name as in WSGI without HTTP_."""
    data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    path, _, query = target.partition("?")
    environ = {"REQUEST_METHOD": method, "REQUEST_URI": target, "PATH_INFO": path, "QUERY_STRING": query,
               "wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": str(len(data)), "REMOTE_ADDR": "127.0.0.1"}
    if data and content:
        environ["CONTENT_TYPE"] = content
    if user:
        environ["HTTP_AUTHORIZATION"] = basic(user)
    environ.update({f"HTTP_{name}": value for name, value in headers.items()})
    told = []
    parts = app(environ, lambda status, given: told.append((status, dict(given))))
    return Answered(int(told[0][0][:3]), told[0][1], b"".join(parts))
