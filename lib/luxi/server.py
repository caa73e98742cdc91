# SPDX-License-Identifier: BSD-2-Clause
"""The master daemon's unix socket: any number of clients at once, one request at a time each."""

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gantry.constants import LUXI_END
from gantry.errors import Error, LuxiError
from gantry.luxi.client import connect_unix
from gantry.luxi.protocol import (
    MAX_MESSAGE,
    PATH_LIMIT,
    SUCCESS,
    SUCCESS_END,
    BadRequest,
    Ready,
    decode_request,
    encode_failure,
    encode_success,
)
from gantry.utils.groups import share_with_daemons

log = logging.getLogger(__name__)

BACKLOG = 1024
CHUNK = 1 << 18
MODE = 0o660
SLICE = 200
"""Rows of a long answer that are turned into JSON before the loop may do something else."""


class AlreadyListening(LuxiError):
    text = "another process answers on {path}: is a master daemon running already?"


@dataclass(frozen=True)
class Method:
    """`run` takes the list of arguments.  `waits`: it changes nothing, so it ends when its client goes away."""

    run: Callable[[list[Any]], Awaitable[Any]]
    waits: bool = True


class LuxiServer:
    """Serves `methods` (by name) on the socket `path`.  A stale socket of that name is replaced."""

    def __init__(self, path: Path, methods: Mapping[str, Method], *, max_message: int = MAX_MESSAGE) -> None:
        self._path = path
        self._methods = methods
        self._max = max_message
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; raises OSError when the socket cannot be made."""
        self._server = await asyncio.start_unix_server(self._accept, sock=listen_unix(self._path), backlog=BACKLOG)

    async def stop(self) -> None:
        """Take no more connections and end those that are open."""
        if self._server is None:
            return
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._server = None
        with contextlib.suppress(OSError):
            self._path.unlink()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (a coroutine always runs in one)
        self._connections.add(task)
        try:
            await self._serve(_Messages(reader, self._max), writer)
        except (ConnectionError, TimeoutError):
            pass  # the client is gone; nobody is left to be told
        except asyncio.CancelledError:
            if self._server is not None and self._server.is_serving():
                raise
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, messages: "_Messages", writer: asyncio.StreamWriter) -> None:
        """Answer one message after the other.  The next one is read meanwhile: so we see the client leave."""
        following = asyncio.ensure_future(messages.next())
        answer: asyncio.Future[list[bytes]] | None = None
        try:
            while (message := await following) is not None:
                following = asyncio.ensure_future(messages.next())
                method, answer = self._begin(message)
                await asyncio.wait(_either(answer, following), return_when=asyncio.FIRST_COMPLETED)
                if not answer.done() and _ended(following) and _gone(writer):
                    if method.waits:
                        return
                    await asyncio.wait({answer})
                for part in await answer:
                    writer.write(part)
                await writer.drain()
        finally:
            following.cancel()
            if answer is not None:
                answer.cancel()

    def _begin(self, message: "bytes | BadRequest") -> tuple[Method, "asyncio.Future[list[bytes]]"]:
        """Start to answer."""
        try:
            if isinstance(message, BadRequest):
                raise message
            request = decode_request(message)
            method = self._methods.get(request.method)
            if method is None:
                raise BadRequest(detail=f"unknown method {request.method!r}")
        except BadRequest as err:
            refused = err
            method = Method(lambda args: _refuse(refused))
            return method, asyncio.ensure_future(self._answer(method, []))
        return method, asyncio.ensure_future(self._answer(method, request.args))

    async def _answer(self, method: Method, args: list[Any]) -> list[bytes]:
        try:
            return await encode_result(await method.run(args))
        except Error as err:
            return [encode_failure(err)]
        except Exception as err:
            log.exception("a LUXI request failed")  # the others must go on
            return [encode_failure(Error(detail=f"internal error: {type(err).__name__}: {err}"))]


async def _refuse(error: BadRequest) -> Any:
    raise error


async def encode_result(result: Any) -> list[bytes]:
    """The reply in parts; tables of many rows are encoded piece by piece, so that others get their turn."""
    if isinstance(result, Ready):
        return [SUCCESS, *result.parts, SUCCESS_END + LUXI_END]
    rows = result.get("data") if isinstance(result, dict) else result
    if not isinstance(rows, list) or len(rows) <= SLICE:
        return [encode_success(result)]
    parts = [SUCCESS]
    if isinstance(result, dict):
        head = json.dumps({key: value for key, value in result.items() if key != "data"})
        parts.append(head[:-1].encode() + (b', "data": ' if len(result) > 1 else b'"data": '))
    for start in range(0, len(rows), SLICE):
        piece = json.dumps(rows[start:start + SLICE])[1:-1]
        parts.append((b"[" if start == 0 else b", ") + piece.encode())
        await asyncio.sleep(0)
    parts.append(b"]" + (b"}" if isinstance(result, dict) else b"") + b"}" + LUXI_END)
    return parts


class _Messages:
    """Cuts what a client sends into messages."""

    def __init__(self, reader: asyncio.StreamReader, most: int) -> None:
        self._reader = reader
        self._most = most
        self._buffer = bytearray()

    async def next(self) -> bytes | BadRequest | None:
        """The next message; None when the client sends no more; BadRequest (after its end) for one too long."""
        looked = 0
        too_long = False
        while (end := self._buffer.find(LUXI_END, looked)) < 0:
            looked = len(self._buffer)
            if looked > self._most:
                too_long = True
                self._buffer.clear()
                looked = 0
            try:
                part = await self._reader.read(CHUNK)
            except ConnectionError:
                return None
            if not part:
                return None
            self._buffer += part
        message = bytes(self._buffer[:end])
        del self._buffer[:end + 1]
        if too_long or len(message) > self._most:
            return BadRequest(detail=f"longer than {self._most} bytes")
        return message


def _either(*futures: "asyncio.Future[Any]") -> "set[asyncio.Future[Any]]":
    return set(futures)


def _ended(following: "asyncio.Future[bytes | BadRequest | None]") -> bool:
    return following.done() and following.result() is None


def _gone(writer: asyncio.StreamWriter) -> bool:
    """Whether the client closed its end, rather than only having said that it will send no more."""
    if writer.is_closing():
        return True
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))


def listen_unix(path: Path) -> socket.socket:
    """A listening socket of mode 0660 at `path`, also where `path` is longer than an address can be.

    Raises AlreadyListening when another process answers there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(server, path)
        path.chmod(MODE)
        share_with_daemons(path)
        server.listen(BACKLOG)
    except OSError:
        server.close()
        raise
    return server


def _remove_stale(path: Path) -> None:
    """Remove the socket that a process which is gone left behind."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            connect_unix(probe, path)
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise AlreadyListening(path=path)


def _bind(server: socket.socket, path: Path) -> None:
    """Bind with the final mode from the first moment on: there is no time at which others may connect."""
    before = os.umask(0o117)
    try:
        if len(os.fsencode(path)) <= PATH_LIMIT:
            server.bind(os.fspath(path))
            return
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            server.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    finally:
        os.umask(before)
