# SPDX-License-Identifier: BSD-2-Clause
"""A connection from node to node, for data: both ends show certificates of the cluster, and are who is expected."""

import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from gantry import paths
from gantry.errors import StorageError
from gantry.utils import clock, retry

Progress = Callable[[float, str], None]

MEET_SECONDS = 60.0 * clock.PATIENCE
"""How long the two ends look for each other."""
GREET_SECONDS = 5.0 * clock.PATIENCE
"""How long whoever calls may take to show who it is."""
STALL_SECONDS = 60.0 * clock.PATIENCE
"""Longest pause in the middle of a copy."""

log = logging.getLogger(__name__)


@contextmanager
def met(peer: str, listen: str, port: int, progress: Progress, *,
        stall: float = STALL_SECONDS) -> Iterator[ssl.SSLSocket]:
    """A connection from the node `peer` (UUID); others are turned away.  `stall`: longest pause, in seconds."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    deadline = clock.SYSTEM.now() + MEET_SECONDS
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    try:
        listener = socket.create_server((listen, port), family=family)
    except OSError as err:
        raise StorageError(detail=f"cannot listen at {listen} port {port}: {err.strerror}") from err
    with closing(listener) as server:
        server.settimeout(0.5)
        while clock.SYSTEM.now() <= deadline:
            progress(0.0, "waiting for the other node")
            try:
                plain, address = server.accept()
            except TimeoutError:
                continue
            plain.settimeout(GREET_SECONDS)
            try:
                stream = context.wrap_socket(plain, server_side=True)
            except (ssl.SSLError, OSError):
                plain.close()
                continue
            with stream:
                if _is(stream, peer):
                    _settle(stream, stall)
                    yield stream
                    return
                log.warning("a call from %s was turned away: it is not node %s", address, peer)
        raise StorageError(detail=f"the other node did not call at {listen} port {port}")


@contextmanager
def reached(peer: str, host: str, port: int, *, stall: float = STALL_SECONDS) -> Iterator[ssl.SSLSocket]:
    """A connection to the node `peer` (UUID), which may not listen yet."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    found: list[socket.socket] = []

    def call() -> bool:
        try:
            found.append(socket.create_connection((host, port), timeout=STALL_SECONDS))
        except OSError:
            return False
        return True

    if not retry.wait_for(call, seconds=MEET_SECONDS, waits=retry.growing(0.05, most=1.0)):
        raise StorageError(detail=f"{host} port {port} cannot be reached")
    try:
        secure = context.wrap_socket(found[0])
    except OSError as err:
        found[0].close()
        raise StorageError(detail=f"who answers at {host} port {port} is no node of this cluster: {err}") from err
    with secure as stream:
        if not _is(stream, peer):
            raise StorageError(detail=f"who answers at {host} port {port} is not the node that is meant ({peer})")
        _settle(stream, stall)
        yield stream


def _settle(stream: ssl.SSLSocket, stall: float) -> None:
    """How long it may be silent; the kernel asks all the same whether the other end is there."""
    stream.settimeout(stall)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 6)):
        stream.setsockopt(socket.IPPROTO_TCP, option, value)


def _context(protocol: int) -> ssl.SSLContext:
    """Nodes are known by the UUID in their certificates, not by the names they are called at."""
    here = paths.here()
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(here.node_certificate)
    context.load_verify_locations(here.cluster_certificate)
    return context


def _is(stream: ssl.SSLSocket, peer: str) -> bool:
    names = (stream.getpeercert() or {}).get("subjectAltName", ())
    return any(name[-1] == peer for name in names)
