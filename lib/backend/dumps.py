# SPDX-License-Identifier: BSD-2-Clause
"""Calls that write an instance's disks into an export, and back.

    export_send: export script  ->  export_receive: EXPORTS/.INSTANCE.new/DUMP
    import_send: EXPORT/DUMP    ->  import_receive: import script

The two ends are tasks on two nodes, or on one.  An instance without an OS has no scripts: its disks go as they are.
A script may take its time, so nobody minds a pause; an end that is gone is noticed by the kernel.
"""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from gantry.backend import disk_data, exports, frames, peer_stream, scripts, transfer
from gantry.backend.disk_data import BLOCK, MIB
from gantry.backend.os import disk_script
from gantry.errors import StorageError, WrongInput
from gantry.objects.dump import Dump, Meeting
from gantry.objects.instance import Disk
from gantry.storage import base

Progress = Callable[[float, str], None]

SECONDS = 48 * 3600.0
"""The longest that a script may take; cancelling its task ends it at any time."""
LEAST_FREE = 512 * MIB
"""Bytes that an export leaves free where it is written, or 2 % of a small file system."""


def export_send(*, dump: Dump, target: Meeting, compress: str, progress: Progress) -> int:
    with peer_stream.reached(target.peer, target.host, target.port, stall=SECONDS) as stream:
        progress(0.0, f"sending what is on a disk of {dump.disk.size} MiB")
        blocks = _of_script(dump, progress) if dump.os else _of_disk(dump.disk, progress)
        return transfer.send(stream, {"dump": dump.name}, _surely(dump.disk, blocks), compress)


def export_receive(*, name: str, dump: str, size: int, source: Meeting, compress: str, progress: Progress) -> int:
    path, total = exports.unfinished(name) / _plain(dump), 0
    with peer_stream.met(source.peer, source.host, source.port, progress, stall=SECONDS) as stream, \
            transfer.received(stream, {"dump": dump}, compress) as incoming:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                for piece in incoming:
                    if not piece.zeros:
                        _require_room(handle, path)
                    frames.write(handle, piece, sparse=True)
                    total += len(piece.data)
                    progress(min(0.99, total / (size * MIB)), f"receiving, {total // MIB} MiB so far")
                os.ftruncate(handle, total)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as err:
            raise StorageError(detail=f"{path} cannot be written after {total // MIB} MiB: {err.strerror}") from err
    return total


def import_send(*, path: str, dump: str, target: Meeting, compress: str, progress: Progress) -> None:
    file = exports.folder_of(path) / _plain(dump)
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as err:
        raise StorageError(detail=f"{file} of the export cannot be read: {err.strerror}") from err
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise StorageError(detail=f"{file} of the export is no file")
        with peer_stream.reached(target.peer, target.host, target.port, stall=SECONDS) as stream:
            transfer.send(stream, {"dump": dump}, _of_file(handle, file, progress), compress)
    finally:
        os.close(handle)


def import_receive(*, dump: Dump, source: Meeting, compress: str, progress: Progress) -> None:
    with peer_stream.met(source.peer, source.host, source.port, progress, stall=SECONDS) as stream, \
            transfer.received(stream, {"dump": dump.name}, compress) as incoming:
        if dump.os:
            _into_script(dump, incoming, progress)
            with disk_data.opened(dump.disk, os.O_RDONLY) as handle:
                os.fsync(handle)
        else:
            _onto_disk(dump.disk, incoming, progress)


# --- from a disk ---

def _of_script(dump: Dump, progress: Progress) -> Iterator[bytes]:
    script, disk, done = disk_script("export", dump), dump.disk, 0
    with scripts.piped(script.argv, log=script.log, env=script.env, cwd=script.cwd, feeds=False,
                       watch=lambda: progress(min(0.99, done / (disk.size * MIB)), script.message)) as running:
        for block in running.blocks(BLOCK):
            yield block
            done += len(block)
            size = running.expected or disk.size
            progress(min(0.99, done / (size * MIB)), f"sending, {done // MIB} of about {size} MiB")
        script.judge(running.end(SECONDS), SECONDS)


def _of_disk(disk: Disk, progress: Progress) -> Iterator[bytes]:
    total = disk.size * MIB
    with disk_data.opened(disk, os.O_RDONLY) as handle:
        for offset, block in disk_data.blocks(handle, total):
            progress(offset / total, f"sending, {offset // MIB} of {disk.size} MiB")
            yield block


def _surely(disk: Disk, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """A script need not notice that it reads from a snapshot that was lost."""
    yield from blocks
    if not base.load(disk.dev_type).status(disk).exists:
        raise StorageError(detail="the snapshot that was read is lost: more was written to the disk meanwhile than it "
                                  "has room for; export the instance when it writes less, or with more free space in "
                                  "its volume group")


# --- from a file, onto a disk ---

def _of_file(handle: int, file: Path, progress: Progress) -> Iterator[bytes]:
    total, done = os.fstat(handle).st_size, 0
    while True:
        try:
            block = os.read(handle, BLOCK)
        except OSError as err:
            raise StorageError(detail=f"{file} cannot be read after {done // MIB} MiB: {err.strerror}") from err
        if not block:
            return
        yield block
        done += len(block)
        progress(min(1.0, done / max(total, 1)), f"sending, {done // MIB} of {total // MIB} MiB")


def _into_script(dump: Dump, incoming: Iterator[frames.Piece], progress: Progress) -> None:
    """A script that has read enough may end before all has come."""
    script, total, done = disk_script("import", dump), dump.disk.size * MIB, 0

    def watch() -> None:
        progress(min(0.99, done / total), script.message)

    with scripts.piped(script.argv, log=script.log, env=script.env, cwd=script.cwd, feeds=True, watch=watch) as running:
        reads = True
        for piece in incoming:
            if reads and not running.feed(piece.data):
                reads = False
                script.judge(running.end(SECONDS), SECONDS)  # one that failed need not be sent the rest
            done = piece.offset + len(piece.data)
            watch()
        if reads:
            script.judge(running.end(SECONDS), SECONDS)


def _onto_disk(disk: Disk, incoming: Iterator[frames.Piece], progress: Progress) -> None:
    total = disk.size * MIB
    with disk_data.opened(disk, os.O_WRONLY) as handle:
        sparse = stat.S_ISREG(os.fstat(handle).st_mode)
        for piece in incoming:
            if piece.offset + len(piece.data) > total:
                raise StorageError(detail=f"the dump is larger than the disk, which has {disk.size} MiB")
            frames.write(handle, piece, sparse=sparse)
            progress(piece.offset / total, f"writing, {piece.offset // MIB} of {disk.size} MiB")
        os.fsync(handle)


def _require_room(handle: int, path: Path) -> None:
    """A node whose state has no room left stops working."""
    space = os.fstatvfs(handle)
    free, least = space.f_bavail * space.f_frsize, min(LEAST_FREE, space.f_blocks * space.f_frsize // 50)
    if free < least:
        raise StorageError(detail=f"there is no room for {path}: {free // MIB} MiB are free there, of which this node "
                                  f"keeps {least // MIB} MiB for itself")


def _plain(dump: str) -> str:
    if not dump or "/" in dump or dump.startswith("."):
        raise WrongInput(detail=f"'{dump}' is no name of a dump")
    return dump
