# SPDX-License-Identifier: BSD-2-Clause
"""One stream of data over a connection between two nodes, and how both ends learn how it ended.

The sender begins with one line of JSON: what it is, and the tool that packs it.  Then come frames, the last of which
may say why there is no more.  The receiver answers once: all is where it belongs, or the sentence that says why it is
not, which may come at any time.
"""

import contextlib
import json
import ssl
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from gantry.backend import frames
from gantry.errors import Error, StorageError
from gantry.utils import clock

_DONE, _REFUSED = b"\1", b"\0"
_LINE = 4096
_DRAIN_SECONDS = 5.0
_TOOL = "tool"


def send(stream: ssl.SSLSocket, what: Mapping[str, Any], blocks: Iterable[bytes], tool: str) -> int:
    """Send blocks of at most `disk_data.BLOCK` bytes; how many bytes it was.

    Raises StorageError when the receiver refuses it or goes away, and what the blocks raise; the receiver is told.
    """
    total, coming = 0, _framed(blocks, tool)
    _put(stream, json.dumps({**what, _TOOL: tool}).encode() + b"\n")
    while (item := _next(stream, coming, total)) is not None:
        total, frame = item
        _hear(stream)
        _put(stream, frame)
    _put(stream, frames.end(total))
    _judge(_answer(stream))
    return total


def _framed(blocks: Iterable[bytes], tool: str) -> Iterator[tuple[int, bytes]]:
    """Frames, and how many bytes it was with each."""
    total = 0
    for block in blocks:
        frame = frames.framed(total, block, tool)
        total += len(block)
        yield total, frame


def _next(stream: ssl.SSLSocket, coming: Iterator[tuple[int, bytes]], total: int) -> tuple[int, bytes] | None:
    """The next one of them; the receiver is told why there is none."""
    try:
        return next(coming, None)
    except (Error, OSError) as err:
        with contextlib.suppress(OSError, StorageError):
            stream.settimeout(_DRAIN_SECONDS)
            _put(stream, frames.broken(total, str(err)))
            stream.recv(_LINE)  # it has taken note; what is not read yet is lost when a connection is closed
        raise


@contextmanager
def received(stream: ssl.SSLSocket, what: Mapping[str, Any], tool: str) -> Iterator[Iterator[frames.Piece]]:
    """What is sent, for the block to put where it belongs; the sender is told how the block ended.

    Raises StorageError when it is something else than `what`, packed by another tool, or ends before its end.
    """
    with stream.makefile("rb") as data:
        try:
            _require(data, {**what, _TOOL: tool})
            yield frames.pieces(data.read, tool)
        except Error as err:
            _refuse(stream, data, str(err))
            raise
        except (OSError, ValueError, zlib.error) as err:
            _refuse(stream, data, str(err))
            raise StorageError(detail=f"it could not be received: {err}") from err
        _put(stream, _DONE)


def _require(data: BinaryIO, expected: Mapping[str, Any]) -> None:
    """The tool is among it: no node runs a program because another one says so."""
    told = json.loads(data.readline(_LINE))
    if told != expected:
        raise StorageError(detail=f"something else is sent than what is expected: {told}")


def _refuse(stream: ssl.SSLSocket, data: BinaryIO, why: str) -> None:
    """Tell the sender, and let it come to where it listens."""
    end = clock.SYSTEM.now() + _DRAIN_SECONDS
    with contextlib.suppress(OSError, ValueError, StorageError):
        _put(stream, _REFUSED + why.encode()[:_LINE - 1])
        stream.settimeout(_DRAIN_SECONDS)
        while data.read(1 << 20) and clock.SYSTEM.now() < end:
            pass


def _put(stream: ssl.SSLSocket, data: bytes) -> None:
    try:
        stream.sendall(data)
    except OSError as err:
        _hear(stream)
        raise StorageError(detail=f"the connection to the other node broke: {err}") from err


def _hear(stream: ssl.SSLSocket) -> None:
    """Raise what the receiver has said already, if it has."""
    wait = stream.gettimeout()
    try:
        stream.settimeout(0.0)
        said = stream.recv(_LINE)
    except OSError:  # nothing, or the connection is broken, which the next one to use it finds out
        return
    finally:
        stream.settimeout(wait)
    _judge(said)


def _answer(stream: ssl.SSLSocket) -> bytes:
    try:
        return stream.recv(_LINE)
    except OSError as err:
        raise StorageError(detail=f"the other node did not say whether all was written there: {err}") from err


def _judge(answer: bytes) -> None:
    if answer[:1] == _REFUSED:
        raise StorageError(detail=f"the other node does not take it: {answer[1:].decode(errors='replace')}")
    if answer != _DONE:
        raise StorageError(detail="the other node ended the copy before all was written there")
