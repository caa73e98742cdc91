# SPDX-License-Identifier: BSD-2-Clause
"""Calls that copy a disk to another node."""

import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from gantry.backend import disk_data, frames, peer_stream, transfer
from gantry.backend.disk_data import MIB
from gantry.errors import StorageError
from gantry.objects.instance import Disk

Progress = Callable[[float, str], None]


def disk_receive(*, disk: Disk, source: str, listen: str, port: int, compress: str, progress: Progress) -> None:
    progress(0.0, f"waiting for {disk.size} MiB")
    with peer_stream.met(source, listen, port, progress) as stream, \
            transfer.received(stream, _told(disk), compress) as incoming, disk_data.opened(disk, os.O_WRONLY) as handle:
        _take(handle, incoming, disk, progress)
        os.fsync(handle)


def disk_send(*, disk: Disk, target: str, host: str, port: int, compress: str, progress: Progress) -> None:
    total = disk.size * MIB

    def blocks(handle: int) -> Iterator[bytes]:
        for offset, block in disk_data.blocks(handle, total):
            progress(offset / total, f"sending, {offset // MIB} of {disk.size} MiB")
            yield block

    with disk_data.opened(disk, os.O_RDONLY) as handle, \
            peer_stream.reached(target, host, port) as stream:
        transfer.send(stream, _told(disk), blocks(handle), compress)
    progress(1.0, f"{disk.size} MiB sent")


def _told(disk: Disk) -> dict[str, Any]:
    return {"disk": disk.uuid, "size": disk.size}


def _take(handle: int, incoming: Iterator[frames.Piece], disk: Disk, progress: Progress) -> None:
    """Write what comes, which is as much as the disk has.  A file that was just made has zeros."""
    total, reached, sparse = disk.size * MIB, 0, stat.S_ISREG(os.fstat(handle).st_mode)
    for piece in incoming:
        reached += len(piece.data)
        if reached > total:
            raise StorageError(detail=f"more was sent than the {disk.size} MiB of the disk")
        frames.write(handle, piece, sparse=sparse)
        progress(reached / total, f"receiving, {reached // MIB} of {disk.size} MiB")
    if reached != total:
        raise StorageError(detail=f"{reached // MIB} MiB were sent instead of the {disk.size} MiB of the disk")
