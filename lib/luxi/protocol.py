# SPDX-License-Identifier: BSD-2-Clause
"""Messages on the master daemon's socket: UTF-8 JSON, ended by one byte 0x03.

    request   {"method": name, "args": [...]}                 other keys are ignored
    success   {"success": true, "result": value}
    failure   {"success": false, "result": [class name, [arguments]]}
    garbage   {"success": false, "result": "Failed to parse request: ..."}

One request, one reply, in order.  JSON escapes control characters, so the end byte is never inside.
"""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from gantry.constants import LUXI_END
from gantry.errors import Error, LuxiError, RemoteError

MAX_MESSAGE = 32 << 20
"""Bytes of the longest request that is accepted."""

PATH_LIMIT = 107
"""Bytes of the longest path that fits into a unix socket's address."""


class ProtocolError(LuxiError):
    text = "Unhandled protocol error while talking to the master daemon:\n{detail}"


class RequestRefused(ProtocolError):
    """The server could not make sense of the request."""

    text = "{detail}"


class BadRequest(LuxiError):
    """A request that is answered with a plain string."""

    text = "Failed to parse request: {detail}"


class Request(NamedTuple):
    method: str
    args: list[Any]


def encode_request(method: str, args: Sequence[Any]) -> bytes:
    return json.dumps({"method": method, "args": list(args)}).encode() + LUXI_END


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number that can be used")
    return value


def decode_request(message: bytes) -> Request:
    """The request in `message` (without its end byte); raises BadRequest, also for texts and numbers that JSON
    can write and no store can keep: halves of characters, and what is no number.
    """
    try:
        data = json.loads(message.decode(), parse_float=_finite, parse_constant=_finite)
        if b"\\u" in message:
            json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as err:
        raise BadRequest(detail=f"not JSON: {err}") from err
    if not isinstance(data, dict):
        raise BadRequest(detail="an object with the keys method and args is expected")
    method, args = data.get("method"), data.get("args")
    if not isinstance(method, str):
        raise BadRequest(detail="the key method must be a string")
    if not isinstance(args, list):
        raise BadRequest(detail="the key args must be a list")
    return Request(method, args)


SUCCESS, SUCCESS_END = b'{"success": true, "result": ', b"}"


def raw_result(message: bytes) -> bytes:
    """As `decode_reply`, but the result is left as JSON text."""
    if message.startswith(SUCCESS) and message.endswith(SUCCESS_END):
        return message[len(SUCCESS):-len(SUCCESS_END)]
    return json.dumps(decode_reply(message)).encode()


class Ready(NamedTuple):
    """A result that is JSON text already, in parts."""

    parts: tuple[bytes, ...]


def encode_success(result: Any) -> bytes:
    return SUCCESS + json.dumps(result).encode() + SUCCESS_END + LUXI_END


def encode_failure(error: Error) -> bytes:
    shown = str(error) if isinstance(error, BadRequest) else error.wire()
    return json.dumps({"success": False, "result": shown}).encode() + LUXI_END


def decode_reply(message: bytes) -> Any:
    """The result in `message` (without its end byte).

    Raises RemoteError for an error of the server, RequestRefused when it could not read the request, and
    ProtocolError for anything that is no reply.
    """
    try:
        data = json.loads(message)
        success, result = data["success"], data["result"]
    except (ValueError, KeyError, TypeError) as err:
        raise ProtocolError(detail=f"the answer is not a reply: {message[:80]!r}") from err
    if success:
        return result
    if (isinstance(result, list) and len(result) == 2 and isinstance(result[0], str)
            and isinstance(result[1], list)):
        raise RemoteError(name=result[0], args=result[1])
    raise RequestRefused(detail=str(result))
