# SPDX-License-Identifier: BSD-2-Clause
"""Calls that copy a disk to another node: one connection from node to node, both show certificates of the cluster.

The sender begins with one line of JSON (disk and size in MiB); then come frames: a kind, an offset and a length, and as
many bytes.  Zeros travel as a frame without bytes.  The receiver answers with one byte when all is on its disk.
"""

import json
import os
import socket
import ssl
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from gantry import paths
from gantry.backend import disk_data
from gantry.backend.disk_data import MIB
from gantry.errors import StorageError
from gantry.objects.instance import Disk
from gantry.utils import clock, retry

Progress = Callable[[float, str], None]

MEET_SECONDS = 60.0 * clock.PATIENCE
"""How long the two ends look for each other."""
GREET_SECONDS = 5.0 * clock.PATIENCE
"""How long whoever calls may take to show who it is."""
STALL_SECONDS = 60.0 * clock.PATIENCE
"""Longest pause in the middle of the copy."""
_FRAME = struct.Struct(">BQI")
_DATA, _ZEROS, _PACKED, _END = range(4)
_DONE = b"\1"
_NOTHING = bytes(disk_data.BLOCK)
_MOST = 2 * disk_data.BLOCK
_LINE = 4096


def disk_receive(*, disk: Disk, source: str, listen: str, port: int, progress: Progress) -> None:
    progress(0.0, f"waiting for {disk.size} MiB")
    with _failing(disk), disk_data.opened(disk, os.O_WRONLY) as handle, \
            _met(source, listen, port, progress) as stream, stream.makefile("rb") as incoming:
        told = json.loads(incoming.readline(_LINE))
        if told != {"disk": disk.uuid, "size": disk.size}:
            raise StorageError(detail=f"another disk is sent than the one that is expected: {told}")
        _take(handle, incoming.read, disk, progress)
        os.fsync(handle)
        stream.sendall(_DONE)


def disk_send(*, disk: Disk, target: str, host: str, port: int, compress: bool, progress: Progress) -> None:
    total = disk.size * MIB
    with _failing(disk), disk_data.opened(disk, os.O_RDONLY) as handle, _reached(target, host, port) as stream:
        stream.sendall(json.dumps({"disk": disk.uuid, "size": disk.size}).encode() + b"\n")
        for offset, block in disk_data.blocks(handle, total):
            progress(offset / total, f"sending, {offset // MIB} of {disk.size} MiB")
            stream.sendall(_framed(offset, block, compress=compress))
        stream.sendall(_FRAME.pack(_END, total, 0))
        if stream.recv(1) != _DONE:
            raise StorageError(detail="the other node ended the copy before all was written there")
    progress(1.0, f"{disk.size} MiB sent")


# --- frames ---

def _framed(offset: int, block: bytes, *, compress: bool) -> bytes:
    if block == _NOTHING[:len(block)]:
        return _FRAME.pack(_ZEROS, offset, len(block))
    if compress:
        packed = zlib.compress(block, 1)
        return _FRAME.pack(_PACKED, offset, len(packed)) + packed
    return _FRAME.pack(_DATA, offset, len(block)) + block


def _take(handle: int, read: Callable[[int], bytes], disk: Disk, progress: Progress) -> None:
    """Write what comes; raises StorageError when it ends before its end.  A file that was just made has zeros."""
    total, reached, sparse = disk.size * MIB, 0, stat.S_ISREG(os.fstat(handle).st_mode)
    while True:
        kind, offset, length = _FRAME.unpack(_exactly(read, _FRAME.size))
        if kind == _END and offset == reached == total:
            return
        if kind not in (_DATA, _ZEROS, _PACKED) or offset != reached or length > _MOST:
            raise StorageError(detail=f"what was sent makes no sense after {reached // MIB} MiB")
        block = bytes(length) if kind == _ZEROS else _exactly(read, length)
        if kind == _PACKED:
            block = zlib.decompress(block)
        if reached + len(block) > total:
            raise StorageError(detail=f"more was sent than the {disk.size} MiB of the disk")
        if kind != _ZEROS or not sparse:
            disk_data.write_all(handle, block, offset)
        reached += len(block)
        progress(reached / total, f"receiving, {reached // MIB} of {disk.size} MiB")


def _exactly(read: Callable[[int], bytes], length: int) -> bytes:
    found = read(length)
    if len(found) < length:
        raise StorageError(detail="the other node ended the copy before its end")
    return found


# --- the connection ---

@contextmanager
def _met(peer: str, listen: str, port: int, progress: Progress) -> Iterator[ssl.SSLSocket]:
    """A connection from the node `peer` (UUID); others are turned away."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    deadline = clock.SYSTEM.now() + MEET_SECONDS
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    with closing(socket.create_server((listen, port), family=family)) as server:
        server.settimeout(0.5)
        while True:
            progress(0.0, "waiting for the other node")
            try:
                plain, address = server.accept()
            except TimeoutError:
                if clock.SYSTEM.now() > deadline:
                    raise StorageError(detail=f"the other node did not call at {listen} port {port}") from None
                continue
            plain.settimeout(GREET_SECONDS)
            try:
                stream = context.wrap_socket(plain, server_side=True)
            except (ssl.SSLError, OSError):
                plain.close()
                continue
            with stream:
                if _is(stream, peer):
                    stream.settimeout(STALL_SECONDS)
                    yield stream
                    return
                disk_data.log.warning("a call from %s was turned away: it is not node %s", address, peer)


@contextmanager
def _reached(peer: str, host: str, port: int) -> Iterator[ssl.SSLSocket]:
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
    with context.wrap_socket(found[0]) as stream:
        if not _is(stream, peer):
            raise StorageError(detail=f"who answers at {host} port {port} is not the node that is meant ({peer})")
        yield stream


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


@contextmanager
def _failing(disk: Disk) -> Iterator[None]:
    """Errors on the way become a sentence."""
    try:
        yield
    except (OSError, ValueError, zlib.error) as err:
        raise StorageError(detail=f"disk {disk.uuid} could not be copied: {err}") from err
