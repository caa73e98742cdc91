# SPDX-License-Identifier: BSD-2-Clause
"""Refusals as HTTP: which status an error has, and the body `{code, message, explain}` that clients read."""

import html
import json
from http import HTTPStatus
from typing import Any

from gantry.errors import Error, LuxiError, ParameterError, RemoteError
from gantry.luxi.client import NotPermitted, TimedOut

REALM = "Ganeti Remote API"


class HttpError(Error):
    """An answer that is not 200; without words of its own it has the status's."""

    def __init__(self, status: int, message: str = "", *, allow: str = "") -> None:
        super().__init__(detail=message or HTTPStatus(status).phrase)
        self.status, self._allow = HTTPStatus(status), allow

    def headers(self) -> list[tuple[str, str]]:
        if self._allow:
            return [("Allow", self._allow)]
        if self.status == HTTPStatus.UNAUTHORIZED:
            return [("WWW-Authenticate", f'Basic realm="{REALM}"')]
        return []

    def body(self) -> bytes:
        return error_body(self.status, str(self))


def error_body(status: HTTPStatus, message: str) -> bytes:
    shown = {"code": int(status), "message": html.escape(message, quote=False), "explain": status.description}
    return json.dumps(shown).encode() + b"\n"


def bad_request(message: str) -> HttpError:
    return HttpError(400, message)


_BY_CODE = {"unknown_entity": 404, "wrong_input": 400}
_BY_NAME = {"JobQueueDrainError": 503, "JobQueueFull": 503, "JobLost": 404, "ParameterError": 400}


def from_luxi(err: Error) -> HttpError:
    """What the caller is told when the master daemon refused, or could not be asked."""
    if isinstance(err, RemoteError):
        return HttpError(_remote_status(err.facts["name"], err.facts["args"]), str(err))
    if isinstance(err, TimedOut):
        return HttpError(504, f"Timeout while talking to the master daemon: {err.facts['detail']}")
    if isinstance(err, NotPermitted):
        return HttpError(500, "Internal error: no permission to connect to the master daemon")
    if isinstance(err, LuxiError):
        return HttpError(502, str(err))
    return HttpError(500, str(err))


def _remote_status(name: str, args: list[Any]) -> int:
    if name == "ParameterError" and args and "unknown field" in str(args[0]):
        return 500  # a filter on a field that does not exist: clients know it as a fault of the server
    if name == "OpPrereqError":
        return _BY_CODE.get(str(args[1]) if len(args) > 1 else "", 500)
    return _BY_NAME.get(name, 500)


def invalid_body(err: ParameterError) -> HttpError:
    return bad_request(f"Invalid body parameters: {err}")
