# SPDX-License-Identifier: BSD-2-Clause
"""The server's end of TLS: both sides show certificates of the cluster's authority.

Sockets block, with the kernel's own time limits.  cheroot's adapter for pyOpenSSL sleeps and tries again
instead, and reads through the slow Python version of `io`; so cheroot gets these sockets and files.
"""

import contextlib
import errno
import io
import logging
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any, Protocol

from cheroot import errors as cheroot_errors
from cheroot.ssl import Adapter
from cryptography import x509 as cryptography_x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from gantry import paths
from gantry.errors import ConfigurationError
from gantry.rpc import credentials
from gantry.utils import clock, x509

log = logging.getLogger(__name__)

SECONDS = int(10 * clock.PATIENCE)
"""For a handshake, and for each read and write within a request."""
LINGER_SECONDS = 1
_BUFFER = 64 << 10


class TlsSocket:
    """A connection as cheroot uses one.  One thread at a time."""

    def __init__(self, connection: SSL.Connection, sock: socket.socket) -> None:
        self._tls, self._socket = connection, sock
        self.deadline: float | None = None
        """When the request that is being read must be there, by the clock that does not jump."""
        self._digest = ""
        self._peer: x509.Subject | None = None

    def fileno(self) -> int:
        return self._socket.fileno()

    def pending(self) -> int:
        return self._tls.pending()

    def shake_hands(self) -> None:
        """Raises OSError or FatalSSLAlert.  Otherwise the first read does it."""
        end = clock.SYSTEM.now() + SECONDS
        while True:
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                if clock.SYSTEM.now() >= end:
                    raise TimeoutError("timed out") from None
            except SSL.SysCallError as err:
                raise OSError(*err.args) from err
            except SSL.Error as err:
                self.linger()
                raise cheroot_errors.FatalSSLAlert(*err.args) from err
            else:
                return

    def recv_into(self, buffer: Any) -> int:
        """Number of bytes; 0 at the end."""
        end = clock.SYSTEM.now() + SECONDS
        while True:
            try:
                return self._receive(buffer)
            except SSL.WantReadError:  # no time is up when the whole process was stopped and continued
                if clock.SYSTEM.now() >= end:
                    raise TimeoutError("timed out") from None

    def _receive(self, buffer: Any) -> int:
        try:
            return int(self._tls.recv_into(buffer))
        except SSL.ZeroReturnError:
            return 0
        except SSL.WantReadError:
            raise
        except SSL.SysCallError as err:
            if err.args[0] in (-1, errno.ECONNRESET):
                return 0
            raise OSError(*err.args) from err
        except SSL.Error as err:
            log.info("TLS with %s failed: %s", self._address(), err)
            self.linger()
            raise cheroot_errors.FatalSSLAlert(*err.args) from err

    def sendall(self, data: bytes) -> None:
        try:
            self._tls.sendall(data)
        except (SSL.WantWriteError, SSL.WantReadError):
            raise TimeoutError("timed out") from None
        except SSL.SysCallError as err:
            raise OSError(*err.args) from err
        except SSL.Error as err:
            raise cheroot_errors.FatalSSLAlert(*err.args) from err

    def shutdown(self, how: int) -> None:
        try:
            self._tls.shutdown()
        except SSL.Error:
            log.debug("no orderly end of TLS with %s", self._address())
        self._socket.shutdown(how)

    def close(self) -> None:
        self._socket.close()

    def peer_digest(self) -> str:
        if not self._digest:
            certificate = self._tls.get_peer_certificate()
            self._digest = certificate.digest("sha256").decode() if certificate else "none"
        return self._digest

    def peer_names(self) -> tuple[str, ...]:
        certificate = self._tls.get_peer_certificate()
        if self._peer is None and certificate is not None:
            self._peer = x509.subject(crypto.dump_certificate(crypto.FILETYPE_PEM, certificate).decode())
        return self._peer.alt_names if self._peer else ()

    def linger(self) -> None:
        """Let the alert arrive: closing with something unread would take it back."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", LINGER_SECONDS, 0))
            for _ in range(16):
                if not self._socket.recv(_BUFFER):
                    break

    def _address(self) -> str:
        try:
            return str(self._socket.getpeername()[0])
        except OSError:
            return "a client that is gone"


class ServedSocket(Protocol):
    """What a connection is read from and written to."""

    def recv_into(self, buffer: Any) -> int: ...

    def sendall(self, data: bytes) -> None: ...

    def pending(self) -> int: ...


class _Source(io.RawIOBase):
    def __init__(self, sock: ServedSocket) -> None:
        self._sock, self.dry = sock, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        return None if self.dry else self._sock.recv_into(buffer)


class Reader(io.BufferedReader):
    """What cheroot reads requests from."""

    def __init__(self, sock: ServedSocket) -> None:
        self._sock, self._source = sock, _Source(sock)
        super().__init__(self._source, _BUFFER)

    def has_data(self) -> bool:
        """Whether something was read from the socket that nobody has taken yet."""
        self._source.dry = True
        try:
            return bool(self.peek()) or self._sock.pending() > 0
        finally:
            self._source.dry = False


class Writer:
    """What cheroot writes answers to; nothing is held back."""

    def __init__(self, sock: ServedSocket) -> None:
        self._sock = sock

    def write(self, data: bytes) -> int:
        self._sock.sendall(data)
        return len(data)


class Contexts:
    """The server's end of TLS as its files say now: `make` is called again when `stamp` has changed."""

    def __init__(self, stamp: Callable[[], object], make: Callable[[], SSL.Context]) -> None:
        self._read_stamp, self._make = stamp, make
        self._lock = threading.Lock()
        self._stamp: object = None
        self._context: SSL.Context | None = None

    def current(self) -> SSL.Context:
        """A new context that does not work is logged and the old one stays; without an old one ConfigurationError
        is raised."""
        stamp = self._read_stamp()
        with self._lock:
            if stamp != self._stamp or self._context is None:
                try:
                    self._context = self._make()
                except ConfigurationError:
                    if self._context is None:
                        raise
                    log.exception("the new certificates do not work, the old ones stay in use")
                self._stamp = stamp
            return self._context


class TlsAdapter(Adapter):
    """Gives cheroot a TLS socket for each connection, with the certificates as they are by then."""

    def __init__(self, contexts: Contexts) -> None:
        super().__init__("", "")
        self._contexts = contexts

    def bind(self, sock: socket.socket) -> socket.socket:
        self._contexts.current()
        return sock

    def wrap(self, sock: socket.socket) -> tuple[TlsSocket, dict[str, str]]:
        """The handshake is left to the first read, which a worker thread does."""
        set_limits(sock)
        connection = SSL.Connection(self._contexts.current(), sock)
        connection.set_accept_state()
        return TlsSocket(connection, sock), {}

    def get_environ(self) -> dict[str, str]:
        return {}

    def makefile(self, sock: ServedSocket, mode: str = "r", _bufsize: int = -1) -> Reader | Writer:
        return Reader(sock) if "r" in mode else Writer(sock)


def set_limits(sock: socket.socket) -> None:
    """Reads and writes that block, but not for long."""
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", SECONDS, 0))


def node_contexts() -> Contexts:
    """For the node daemon: this node's certificate, clients of the cluster's authority."""
    return Contexts(credentials.own_stamp, make_context)


def make_context() -> SSL.Context:
    """A context from this node's certificate files; raises ConfigurationError."""
    here = paths.here()
    own, authority = credentials.read_pem(here.node_certificate), credentials.read_pem(here.cluster_certificate)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        key = load_pem_private_key(x509.key_only(own).encode(), password=None)
        context.use_privatekey(crypto.PKey.from_cryptography_key(key))  # type: ignore[arg-type]  # RSA or EC, x509 saw to it
        context.use_certificate(_loaded(own))
        context.check_privatekey()
        trusted = _loaded(authority)
        store = context.get_cert_store()
        assert store is not None  # noqa: S101 - only None before the context has one, for the type checker
        store.add_cert(trusted)
        context.add_client_ca(trusted)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verified)
    except SSL.Error as err:
        raise ConfigurationError(detail=f"{here.node_certificate} or {here.cluster_certificate} "
                                        f"does not work for TLS: {err}") from err
    return context


def _loaded(pem: str) -> crypto.X509:
    return crypto.X509.from_cryptography(cryptography_x509.load_pem_x509_certificate(
        x509.certificate_only(pem).encode()))


def _verified(_connection: SSL.Connection, certificate: crypto.X509, error: int, _depth: int, okay: int) -> bool:
    if not okay:
        why = {9: "not valid yet", 10: "expired"}.get(error, f"not issued by the cluster's authority (code {error})")
        log.warning("refused a client's certificate, name %s: %s", certificate.get_subject().CN, why)
    return bool(okay)
