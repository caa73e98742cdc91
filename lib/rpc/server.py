# SPDX-License-Identifier: BSD-2-Clause
"""The node daemon's HTTPS server: cheroot's threads around `Answers`."""

import errno
import logging
from typing import Any

from cheroot.server import Gateway, HTTPConnection, HTTPServer

from gantry.rpc import credentials
from gantry.rpc.admission import Promised
from gantry.rpc.answers import Answer, Answers, Find
from gantry.rpc.exchange import IDLE_SECONDS, MAX_BODY
from gantry.rpc.tls import TlsAdapter, TlsSocket, node_contexts
from gantry.utils import faults

log = logging.getLogger(__name__)

THREADS = 32
"""Calls at once.  Long polls and slow calls keep a thread each, so there are more than the work needs."""
MAX_HEADER = 64 << 10
_DRAIN = 1 << 20
"""Body of a refused request that is read and dropped, so that the refusal can be seen."""
_REASONS = {200: "OK", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 411: "Length Required"}


class _Asked:
    """A cheroot request as `Answers` looks at it."""

    def __init__(self, req: Any) -> None:
        self._req = req
        self._socket: TlsSocket = req.conn.socket
        self.method, self.path = req.method.decode("latin-1"), req.path.decode("latin-1")
        length = req.inheaders.get(b"Content-Length")
        self.length = None if length is None or req.chunked_read or int(length) < 0 else int(length)
        self.read = False

    def header(self, name: str) -> str:
        return str(self._req.inheaders.get(name.encode(), b"").decode("latin-1"))

    def body(self) -> bytes:
        self.read = True
        data: bytes = self._req.rfile.read(self.length)
        if len(data) != self.length:
            raise ConnectionResetError(errno.ECONNRESET, "the request broke off")
        return data

    def peer_digest(self) -> str:
        return self._socket.peer_digest()

    def peer_names(self) -> tuple[str, ...]:
        return self._socket.peer_names()


class _Gateway(Gateway):
    """One request, one answer, written at once: cheroot's own way takes two records and a date."""

    def respond(self) -> None:
        req = self.req
        asked = _Asked(req)
        if faults.cut_off() and asked.peer_digest() != credentials.own_digest():
            req.sent_headers = req.close_connection = True  # no word reaches the other end
            return
        answer = req.server.answers.answer(asked)
        if not asked.read:
            if asked.length is not None and asked.length <= _DRAIN:
                asked.body()
            else:
                req.close_connection = True
        req.sent_headers = True
        req.conn.wfile.write(_raw(answer, close=req.close_connection))


def _raw(answer: Answer, *, close: bool) -> bytes:
    head = (f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(answer.body)}\r\n{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n")
    return head.encode() + answer.body


class _Connection(HTTPConnection):
    silent = True
    """Nothing has come in yet."""


class NodeServer(HTTPServer):
    """Answers calls on one address until `stop`.  `prepare` binds, `serve` runs in the calling thread."""

    ConnectionClass = _Connection
    max_request_body_size = MAX_BODY
    max_request_header_size = MAX_HEADER
    request_queue_size = 128
    keep_alive_conn_limit = 1000
    timeout = 2 * IDLE_SECONDS
    shutdown_timeout = 2

    def __init__(self, address: str, port: int, find: Find, promised: Promised) -> None:
        super().__init__((address, port), _Gateway, minthreads=THREADS, server_name="gnt-noded")
        self.ssl_adapter = TlsAdapter(node_contexts())
        self.answers = Answers(find, promised)

    def process_conn(self, conn: _Connection) -> None:
        """A new connection gets a thread once it says something: silent ones must not use them up."""
        if conn.silent:
            conn.silent = False
            self.put_conn(conn)
        else:
            super().process_conn(conn)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:  # noqa: FBT001, FBT002 - cheroot's own signature
        log.log(level, "%s", msg, exc_info=traceback)
