# SPDX-License-Identifier: BSD-2-Clause
"""The remote API's HTTPS server: cheroot's threads around the WSGI application, with limits.

A connection takes a thread only while a request is under way.  What is read of a request must come within a minute;
what is longer than it may be is refused.  Programs on this machine may also speak plain HTTP to the same port: the
balancing tools do so when they are given `HOST:PORT`.
"""

import contextlib
import email.utils
import errno
import functools
import ipaddress
import logging
import select
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from cheroot import wsgi
from cheroot.errors import FatalSSLAlert
from cheroot.server import HTTPConnection, HTTPRequest

from gantry.rapi.app import MAX_BODY, SERVER, Environ
from gantry.rapi.failures import error_body
from gantry.rpc.tls import Contexts, Reader, TlsAdapter, TlsSocket, Writer, set_limits
from gantry.utils import clock
from gantry.utils.clock import SYSTEM

log = logging.getLogger(__name__)

MAX_HEADER = 16 << 10
READ_SECONDS = 60
IDLE_SECONDS = 60
PATIENCE = 5.0
"""Seconds after which a request that is still coming has to make way, when all threads are taken."""
DRAIN = 1 << 20
"""Bytes of a body that nobody wanted which are read and dropped, so that the connection can go on."""
LINGER = 64 << 20
"""The same for a body that is refused: a client that is still sending must come to see the refusal."""
LINGER_SECONDS = 5
PIECE = 1 << 18
SMALL = 8 << 10
"""Bytes that fit into a connection's empty buffer."""
WRITE_SECONDS = 120
_TLS_HANDSHAKE = 0x16


class PlainSocket:
    """A connection without TLS, in the ways of `TlsSocket`."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.deadline: float | None = None

    def fileno(self) -> int:
        return self._socket.fileno()

    def pending(self) -> int:
        return 0

    def recv_into(self, buffer: Any) -> int:
        if self.deadline is not None and SYSTEM.now() > self.deadline:
            raise TimeoutError("timed out")
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            raise TimeoutError("timed out") from None

    def sendall(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except BlockingIOError:
            raise TimeoutError("timed out") from None

    def shutdown(self, how: int) -> None:
        self._socket.shutdown(how)

    def close(self) -> None:
        self._socket.close()


class _Request(HTTPRequest):
    def parse_request(self) -> None:
        with self.server.reading_from(self.conn):
            super().parse_request()

    def simple_response(self, status: str, msg: str = "") -> None:
        """What cheroot refuses by itself, in the words of this interface; the connection ends."""
        code = HTTPStatus.REQUEST_TIMEOUT if self.conn.hurried else int(str(status)[:3])
        known = HTTPStatus(code if code in HTTPStatus._value2member_map_ else 400)
        self.close_connection = self.sent_headers = True
        body = error_body(known, msg or known.phrase)
        with contextlib.suppress(OSError):
            self.conn.wfile.write(head(known, [("Content-Type", "application/json")], body, close=True) + body)
        log.info("%s - refused: %d %s", self.conn.remote_addr, code, msg)
        if code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            self.conn.drop(LINGER)


def head(status: HTTPStatus, headers: list[tuple[str, str]], body: bytes, *, close: bool) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Date: {_date(int(clock.epoch()))}",
             f"Server: {SERVER}", *(f"{name}: {value}" for name, value in headers)]
    if not any(name == "Content-Length" for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _nothing() -> None:
    """Nobody has said yet what becomes of the connection."""


@functools.lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    return email.utils.formatdate(seconds, usegmt=True)


class _Connection(HTTPConnection):
    RequestHandlerClass = _Request
    rfile: Reader
    wfile: Writer
    silent = True
    """Nothing has come in yet."""
    detached = False
    """Somebody else writes to it, and says what becomes of it (`when_free`)."""
    hurried = False
    """It was told that its request takes too long."""
    late: tuple[bytes, bool] = (b"", False)
    """An answer that came later, and whether the connection goes on after it."""
    greeted = False
    """The handshake is over."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._guard = threading.Lock()
        self._free, self._then = False, _nothing

    def write_late(self) -> bool:
        """Write that answer; whether the connection goes on."""
        (data, more), self.late = self.late, (b"", False)
        self.wfile.write(data)
        return more

    def communicate(self) -> bool:
        if self.late[0]:
            return self.write_late()
        self.socket.deadline = SYSTEM.now() + READ_SECONDS
        if not self.greeted:
            self.greeted = True
            if isinstance(self.socket, TlsSocket):
                return self._shake_hands()
        more: bool = super().communicate()  # type: ignore[no-untyped-call]  # cheroot has no types
        return more and not self.detached

    def _shake_hands(self) -> bool:
        """Whether it went well: the request may be long in coming, and needs no thread before it does."""
        try:
            with self.server.reading_from(self):
                self.socket.shake_hands()
        except (OSError, FatalSSLAlert) as err:
            log.info("%s - no TLS: %s", self.remote_addr, err)
            return False
        return True

    def close(self) -> None:
        """For a detached one, this is the thread that read the request letting go of it."""
        if not self.detached:
            super().close()
            return
        with self._guard:
            self._free = True
            then, self._then = self._then, _nothing
        then()

    def when_free(self, then: Callable[[], None]) -> None:
        """Do this with a detached connection once the thread that read its request has let go of it."""
        with self._guard:
            if not self._free:
                self._then = then
                return
        then()

    def attach(self) -> None:
        """It is an ordinary one again."""
        self.detached = self._free = False

    def drop(self, most: int) -> None:
        """Read and forget what the client still sends, for a few seconds."""
        self.socket.deadline = SYSTEM.now() + LINGER_SECONDS
        with contextlib.suppress(OSError):
            while most > 0 and (part := self.rfile.read(min(most, PIECE))):
                most -= len(part)

    def gone(self) -> bool:
        """Whether the client has hung up."""
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))

    def first_byte(self) -> int | None:
        """The first byte that has come in; None when the client is gone."""
        raw: socket.socket = self.socket._socket
        with contextlib.suppress(OSError):
            data = raw.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return data[0] if data else None
        return None

    def use_plain(self) -> None:
        self.socket = PlainSocket(self.socket._socket)
        self.rfile, self.wfile = Reader(self.socket), Writer(self.socket)


class _Gateway(wsgi.Gateway_10):
    """One request, one answer, written in large pieces."""

    def get_environ(self) -> Environ:  # type: ignore[override]  # its stub says None
        environ: Environ = super().get_environ()  # type: ignore[no-untyped-call]  # cheroot has no types
        environ["gantry.detach"] = self._detach
        environ["gantry.hold"] = self._hold
        environ["gantry.reading"] = functools.partial(self.req.server.reading_from, self.req.conn)
        return environ

    def respond(self) -> None:
        req, close = self.req, True
        length = req.inheaders.get(b"Content-Length", b"0")
        if not length.isdigit():
            req.simple_response("400 Bad Request", "Malformed Content-Length header")
            return
        if req.response_protocol == "HTTP/1.1" and b"Host" not in req.inheaders:
            req.simple_response("400 Bad Request", "Missing Host header")
            return
        body = b"".join(req.server.wsgi_app(self.env, self._start))
        if req.conn.detached:
            req.sent_headers = True
            return
        drained = self._drain()
        close = req.close_connection or not req.server.can_add_keepalive_connection or not drained
        self._write(head(self.status, self.headers, body, close=close), b"" if req.method == b"HEAD" else body)
        req.close_connection = close
        if not drained:
            req.conn.drop(LINGER)

    def _start(self, status: str, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = HTTPStatus(int(status[:3])), headers
        if self.req.response_protocol == "HTTP/1.0" and not self.req.close_connection:
            self.headers.append(("Connection", "Keep-Alive"))

    def _drain(self) -> bool:
        """Whether what nobody has read of the body is out of the way."""
        left: int | None = getattr(self.req.rfile, "remaining", None)
        if left is None:
            return not self.req.chunked_read or bool(self.req.rfile.closed)
        if left > DRAIN:
            return False
        try:
            self.req.rfile.read()
        except TimeoutError:
            return False
        return True

    def _write(self, start: bytes, body: bytes) -> None:
        req, end = self.req, SYSTEM.now() + WRITE_SECONDS
        req.sent_headers = True
        if len(body) <= PIECE:
            req.conn.wfile.write(start + body)
            return
        req.conn.wfile.write(start)
        whole = memoryview(body)
        for place in range(0, len(body), PIECE):
            if SYSTEM.now() > end:
                raise ConnectionResetError(errno.ECONNRESET, "the client reads too slowly")
            req.conn.wfile.write(whole[place:place + PIECE])

    def _hold(self) -> "Held":
        """Let go of the connection until its answer is there."""
        req = self.req
        req.conn.detached = True
        return Held(req.conn, req.server, close=req.close_connection,
                    keep=req.response_protocol == "HTTP/1.0" and not req.close_connection)

    def _detach(self, headers: list[tuple[str, str]]) -> "Detached":
        """Answer 200 with these headers, and let go of the connection."""
        conn = self.req.conn
        lines = [f"HTTP/1.1 200 OK\r\nServer: {SERVER}\r\n", *(f"{name}: {value}\r\n" for name, value in headers)]
        conn.wfile.write(("".join(lines) + "Connection: close\r\n\r\n").encode())
        conn.detached = True
        return Detached(conn)


class Detached:
    """A connection that somebody else writes to and closes."""

    def __init__(self, conn: _Connection) -> None:
        self._conn = conn
        self.sendall = conn.socket.sendall
        self.gone = conn.gone

    def stop_blocking(self) -> None:
        self._conn.socket._socket.setblocking(False)  # noqa: FBT003 - its only parameter

    def close(self) -> None:
        self._conn.when_free(lambda: _end(self._conn))


class Held:
    """A connection whose answer comes from another thread.  `keep`: the client wants to be told that it goes on."""

    def __init__(self, conn: _Connection, server: "RapiServer", *, close: bool, keep: bool) -> None:
        self._conn, self._server, self._close, self._keep = conn, server, close, keep
        self.fileno, self.gone = conn.socket.fileno, conn.gone

    def respond(self, status: HTTPStatus, headers: list[tuple[str, str]], body: bytes) -> None:
        conn = self._conn
        close = self._close or not self._server.can_add_keepalive_connection
        more = [("Connection", "Keep-Alive")] if self._keep and not close else []
        conn.late = (head(status, [*headers, *more], body, close=close) + body, not close)
        if len(body) <= SMALL:
            try:
                self._close = not conn.write_late()
            except OSError:
                self._close = True

    def go_on(self) -> None:
        self._conn.when_free(self._go_on)

    def close(self) -> None:
        self._conn.when_free(lambda: _end(self._conn))

    def _go_on(self) -> None:
        conn = self._conn
        if not conn.late[0] and self._close:
            _end(conn)
            return
        conn.attach()
        if conn.late[0]:  # it may take a while until the client has taken it: a thread's work
            self._server.go_on(conn)
        else:
            self._server.put_conn(conn)


def _end(conn: _Connection) -> None:
    conn.attach()
    with contextlib.suppress(OSError):
        conn.close()


@dataclass(frozen=True)
class Limits:
    threads: int = 64
    connections: int = 2500


class RapiServer(wsgi.Server):
    """Serves `app` until `stop`.  `prepare` binds, `serve` runs in the calling thread.  `contexts` None: no TLS."""

    ConnectionClass = _Connection
    max_request_body_size = MAX_BODY
    max_request_header_size = MAX_HEADER

    def __init__(self, address: str, port: int, app: Callable[..., list[bytes]], contexts: Contexts | None,
                 limits: Limits) -> None:
        super().__init__((address, port), app, numthreads=limits.threads, server_name=SERVER, request_queue_size=128,
                         timeout=IDLE_SECONDS, shutdown_timeout=2)
        self.gateway = _Gateway
        self.keep_alive_conn_limit = limits.connections
        self._reading: dict[_Connection, float] = {}
        self.ssl_adapter = PlainAdapter() if contexts is None else TlsAdapter(contexts)

    @contextlib.contextmanager
    def reading_from(self, conn: _Connection) -> Iterator[None]:
        """While a thread reads what a client sends."""
        self._reading[conn] = SYSTEM.now()
        try:
            yield
        finally:
            del self._reading[conn]

    def relieve(self) -> None:
        """When no thread is left: end those requests that are the longest in coming, for as many as wait."""
        waiting = self.requests.qsize
        if waiting <= 0 or self.requests.idle > 0:
            return
        before = SYSTEM.now() - PATIENCE
        slow = sorted((since, id(conn), conn) for conn, since in list(self._reading.items()) if since < before)
        for _, _, conn in slow[:waiting]:
            log.warning("%s takes too long to send its request, and others wait", conn.remote_addr)
            conn.hurried = True
            with contextlib.suppress(OSError):
                conn.socket._socket.shutdown(socket.SHUT_RD)

    def process_conn(self, conn: _Connection) -> None:
        """A new connection gets a thread once it says something: silent ones must not use them up."""
        self.relieve()
        if conn.silent:
            conn.silent = False
            if self.can_add_keepalive_connection:
                self.put_conn(conn)
            else:
                log.warning("too many connections, one from %s was closed", conn.remote_addr)
                conn.close()
            return
        if isinstance(conn.socket, TlsSocket) and conn.requests_seen == 0 and is_local(conn.remote_addr):
            first = conn.first_byte()
            if first is not None and first != _TLS_HANDSHAKE:
                conn.use_plain()
        conn.requests_seen = 1
        super().process_conn(conn)

    def go_on(self, conn: _Connection) -> None:
        """Have a thread go on with a connection."""
        super().process_conn(conn)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:  # noqa: FBT001, FBT002 - cheroot's own signature
        log.log(level, "%s", msg, exc_info=traceback)


class PlainAdapter(TlsAdapter):
    """For `--no-ssl`: the same sockets without TLS."""

    def __init__(self) -> None:
        super().__init__(Contexts(lambda: None, _no_context))

    def bind(self, sock: socket.socket) -> socket.socket:
        return sock

    def wrap(self, sock: socket.socket) -> tuple[Any, dict[str, str]]:
        set_limits(sock)
        return PlainSocket(sock), {}


def _no_context() -> Any:
    raise AssertionError("there is no TLS here")


def is_local(address: str | None) -> bool:
    try:
        return ipaddress.ip_address((address or "").removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False
