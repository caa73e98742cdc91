# SPDX-License-Identifier: BSD-2-Clause
"""Data on its way from node to node: frames of a kind, an offset and a length, and as many bytes.

Zeros travel as a frame without bytes; other blocks are packed by a tool of the cluster, where that makes them smaller.
The last frame tells how much it was, or why there is no more.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from gantry.backend import disk_data
from gantry.backend.disk_data import BLOCK, MIB
from gantry.errors import StorageError
from gantry.utils import command

UNPACKED = "none"
LEVELS = {"gzip": 6, "gzip-fast": 1, "gzip-slow": 9}
"""What needs no program: the levels of zlib for these tools.  Others are run, for each block: TOOL, TOOL -d."""
_TOOL = re.compile(r"[A-Za-z0-9][\w.-]*")
_TOOL_SECONDS = 600.0
_FRAME = struct.Struct(">BQI")
_DATA, _ZEROS, _PACKED, _END, _BROKEN = range(5)
_NOTHING = bytes(BLOCK)
_MOST = 2 * BLOCK
_REASON = 4096
"""Bytes of why there is no more."""


class Piece(NamedTuple):
    """`zeros`: it holds nothing else, so where there are zeros already it need not be written."""

    offset: int
    data: bytes
    zeros: bool


def framed(offset: int, block: bytes, tool: str) -> bytes:
    """A frame for at most BLOCK bytes."""
    if block == _NOTHING[:len(block)]:
        return _FRAME.pack(_ZEROS, offset, len(block))
    if tool != UNPACKED:
        packed = _pack(block, tool)
        if len(packed) < len(block):
            return _FRAME.pack(_PACKED, offset, len(packed)) + packed
    return _FRAME.pack(_DATA, offset, len(block)) + block


def end(total: int) -> bytes:
    """The last frame."""
    return _FRAME.pack(_END, total, 0)


def broken(total: int, why: str) -> bytes:
    """The last frame of what cannot be sent to its end."""
    reason = why.encode(errors="replace")[:_REASON]
    return _FRAME.pack(_BROKEN, total, len(reason)) + reason


def pieces(read: Callable[[int], bytes], tool: str) -> Iterator[Piece]:
    """What comes, in order and without gaps; raises StorageError when it ends before its end, with the reason if that
    is told.
    """
    reached = 0
    while True:
        kind, offset, length = _FRAME.unpack(_exactly(read, _FRAME.size))
        if kind == _END and offset == reached:
            return
        if kind == _BROKEN and length <= _REASON:
            raise StorageError(detail=f"the other node gave up after {reached // MIB} MiB: "
                                      f"{_exactly(read, length).decode(errors='replace')}")
        if kind not in (_DATA, _ZEROS, _PACKED) or offset != reached or length > _MOST:
            raise StorageError(detail=f"what was sent makes no sense after {reached // MIB} MiB")
        block = bytes(length) if kind == _ZEROS else _exactly(read, length)
        if kind == _PACKED:
            block = _unpack(block, tool)
        yield Piece(reached, block, kind == _ZEROS)
        reached += len(block)


def write(handle: int, piece: Piece, *, sparse: bool) -> None:
    """`sparse`: there are zeros where nothing was written."""
    if not (piece.zeros and sparse):
        disk_data.write_all(handle, piece.data, piece.offset)


def _exactly(read: Callable[[int], bytes], length: int) -> bytes:
    found = read(length)
    if len(found) < length:
        raise StorageError(detail="the other node ended the copy before its end")
    return found


def _pack(block: bytes, tool: str) -> bytes:
    return zlib.compress(block, LEVELS[tool]) if tool in LEVELS else _filter([tool], block)


def _unpack(data: bytes, tool: str) -> bytes:
    block = _inflate(data) if tool in LEVELS else _filter([tool, "-d"], data)
    if not block or len(block) > BLOCK:
        raise StorageError(detail=f"what was sent is no block once {tool} has unpacked it")
    return block


def _inflate(data: bytes) -> bytes:
    """No more than is needed to see that it is more than a block; empty when it has no end."""
    unpacker = zlib.decompressobj()
    block = unpacker.decompress(data, BLOCK + 1)
    return block if unpacker.eof or len(block) > BLOCK else b""


def _filter(argv: list[str], data: bytes) -> bytes:
    if not _TOOL.fullmatch(argv[0]):
        raise StorageError(detail=f"'{argv[0]}' is no name of a compression tool")
    return command.pipe(argv, data, seconds=_TOOL_SECONDS)
