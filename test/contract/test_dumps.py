# SPDX-License-Identifier: BSD-2-Clause
"""Disks into exports and back: two ends in threads, real certificates, real scripts."""

import errno
import io
import os
import socket
import struct
import threading
import tracemalloc
import zlib
from types import SimpleNamespace

import pytest

from gantry import paths
from gantry.backend import dumps, exports, frames, peer_stream
from gantry.backend.disk_data import MIB
from gantry.constants import DiskTemplate
from gantry.errors import Error, StorageError
from gantry.objects.dump import Dump, Meeting
from gantry.objects.instance import Disk, FileLocation
from gantry.storage import base
from support.nodes import ADDRESS, make_root

ONE, TWO = "11111111-aaaa-4000-8000-000000000001", "22222222-bbbb-4000-8000-000000000002"
COPY = {"export": 'cat "$EXPORT_DISK_PATH"', "import": 'cat > "$IMPORT_DISK_PATH"'}


def quiet(fraction, message):
    assert 0.0 <= fraction <= 1.0
    assert message


class Ends:
    """`one` has the disk, `two` the export; a disk's path is its file's below the test's folder."""

    def __init__(self, tmp_path, monkeypatch):
        self.roots = {ONE: make_root(tmp_path / "one", ONE, "node1"), TWO: make_root(tmp_path / "two", TWO, "node2")}
        self.folder, self.here = tmp_path, threading.local()
        monkeypatch.setattr(peer_stream, "MEET_SECONDS", 5.0)
        monkeypatch.setattr(paths, "here", lambda: self.roots[self.here.node])
        (tmp_path / "disks/web1").mkdir(parents=True)
        for root in self.roots.values():
            root.etc.mkdir(parents=True, exist_ok=True)
            root.file_storage_paths.write_text(f"{tmp_path}/disks\n")
        with socket.create_server((ADDRESS, 0)) as server:
            self.port = server.getsockname()[1]

    def define(self, **scripts):
        folder = self.roots[ONE].os_search[0] / "tiny"
        folder.mkdir(parents=True)
        (folder / "ganeti_api_version").write_text("20\n")
        (folder / "parameters.list").write_text("")
        for name, text in {**dict.fromkeys(("create", "rename", "verify"), "true"), **COPY, **scripts}.items():
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)

    def dump(self, name="d1", *, os_name="tiny", size=10):
        disk = Disk(uuid=name, name="", dev_type=DiskTemplate.FILE, size=size,
                    file=FileLocation(path=f"{self.folder}/disks/web1/{name}"))
        env = {"INSTANCE_NAME": "web1", "DISK_COUNT": "1", "EXPORT_INDEX": "0", "IMPORT_INDEX": "0"}
        return Dump(name="d1", disk=disk, os=os_name, disks=(disk,), env=env if os_name else {})

    def as_node(self, node, call, **args):
        self.here.node = node
        return call(**args)

    def both(self, receive, send):
        """[(node, call, arguments)] of both ends, the receiver first: results, or errors."""
        ends = [None, None]

        def run(place, node, call, args):
            try:
                ends[place] = self.as_node(node, call, progress=quiet, **args)
            except Error as err:
                ends[place] = err

        thread = threading.Thread(target=run, args=(0, *receive))
        thread.start()
        run(1, *send)
        thread.join()
        return ends

    def export(self, dump, *, compress="none"):
        self.as_node(TWO, exports.export_begin, name="web1")
        return self.both((TWO, dumps.export_receive, {"name": "web1", "dump": "d1", "size": 10,
                                                      "source": self.meet(ONE), "compress": compress}),
                         (ONE, dumps.export_send, {"dump": dump, "target": self.meet(TWO), "compress": compress}))

    def restore(self, dump, *, compress="none"):
        return self.both((ONE, dumps.import_receive, {"dump": dump, "source": self.meet(TWO), "compress": compress}),
                         (TWO, dumps.import_send, {"path": "web1", "dump": "d1", "target": self.meet(ONE),
                                                   "compress": compress}))

    def meet(self, peer):
        return Meeting(peer=peer, host=ADDRESS, port=self.port)

    def finish(self):
        self.as_node(TWO, exports.export_finish, name="web1", config="[export]\n", dumps=["d1"])

    def written(self):
        return self.as_node(TWO, exports.unfinished, name="web1") / "d1"

    def file(self, name):
        return self.folder / "disks/web1" / name


@pytest.fixture
def ends(tmp_path, monkeypatch):
    return Ends(tmp_path, monkeypatch)


def content():
    return bytes(2 * MIB) + os.urandom(3 * MIB) + bytes(5 * MIB)


@pytest.mark.parametrize("os_name", ["tiny", ""])
@pytest.mark.parametrize("compress", ["none", "gzip"])
def test_there_and_back(ends, os_name, compress):
    ends.define()
    data = content()
    ends.file("d1").write_bytes(data)
    assert ends.export(ends.dump(os_name=os_name), compress=compress) == [10 * MIB, 10 * MIB]
    assert ends.written().read_bytes() == data
    ends.finish()
    ends.file("d2").write_bytes(bytes(10 * MIB))
    assert ends.restore(ends.dump("d2", os_name=os_name), compress=compress) == [None, None]
    assert ends.file("d2").read_bytes() == data


def test_scripts_see_what_the_interface_promises(ends):
    ends.define(export="bash -c 'echo 3 >&$EXP_SIZE_FD'; env; echo said >&2", **{"import": "env >seen; exit 0"})
    ends.file("d1").write_bytes(content())
    ends.export(ends.dump())
    seen = dict(line.split("=", 1) for line in ends.written().read_text().splitlines())
    path = str(ends.file("d1"))
    assert {seen[name] for name in ("EXPORT_DEVICE", "EXPORT_DISK_PATH", "EXPORT_DISK_URI", "DISK_0_PATH")} == {path}
    assert (seen["EXPORT_INDEX"], seen["OS_NAME"], seen["OS_API_VERSION"]) == ("0", "tiny", "20")
    [log] = ends.roots[ONE].os_log.glob("export-tiny-web1-*.log")
    assert log.read_text() == "said\n"
    ends.finish()
    assert ends.restore(ends.dump()) == [None, None], "it need not read all"
    seen = (ends.roots[ONE].os_search[0] / "tiny/seen").read_text().splitlines()
    assert f"IMPORT_DEVICE={path}" in seen


def test_a_script_that_fails_is_told_at_both_ends(ends):
    ends.define(export="echo half; echo 'no such device' >&2; exit 3", **{"import": "echo 'bad dump' >&2; exit 4"})
    ends.file("d1").write_bytes(content())
    received, sent = ends.export(ends.dump())
    assert "exited with exit code 3" in str(sent)
    assert "no such device" in str(sent)
    assert "no such device" in str(received)
    ends.written().write_bytes(content())
    ends.finish()
    received, sent = ends.restore(ends.dump())
    assert "bad dump" in str(received)
    assert "bad dump" in str(sent)


def test_a_script_that_fails_is_not_sent_the_rest(ends, monkeypatch):
    ends.define(**{"import": "echo 'bad dump' >&2; exit 4"})
    ends.as_node(TWO, exports.export_begin, name="web1")
    ends.written().write_bytes(os.urandom(64 * MIB))
    ends.finish()
    ends.file("d2").write_bytes(bytes(64 * MIB))
    blocks, framed = [], frames.framed
    monkeypatch.setattr(frames, "framed", lambda offset, block, tool: (blocks.append(offset),
                                                                       framed(offset, block, tool))[1])
    for end in ends.restore(ends.dump("d2", size=64)):
        assert "bad dump" in str(end)
    assert 0 < len(blocks) < 16


def test_a_small_frame_takes_no_more_memory_than_a_block():
    packed = zlib.compress(bytes(64 * MIB))
    stream = io.BytesIO(struct.pack(">BQI", 2, 0, len(packed)) + packed)
    tracemalloc.start()
    try:
        with pytest.raises(StorageError, match="no block once gzip has unpacked it"):
            list(frames.pieces(stream.read, "gzip"))
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_no_room_for_the_export_is_told_at_both_ends(ends, monkeypatch):
    """In the midst of it, with much more to come than fits into the connection."""
    def full(handle, piece, *, sparse):
        if piece.offset >= 8 * MIB:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(handle, piece, sparse=sparse)

    write = frames.write
    monkeypatch.setattr(frames, "write", full)
    ends.define()
    ends.file("d1").write_bytes(os.urandom(64 * MIB))
    for end in ends.export(ends.dump(size=64)):
        assert "d1 cannot be written after 8 MiB: No space left on device" in str(end)


def test_a_node_keeps_room_for_itself(ends, monkeypatch):
    ends.define()
    ends.file("d1").write_bytes(bytes(4 * MIB) + os.urandom(6 * MIB))
    monkeypatch.setattr(os, "fstatvfs", lambda handle: SimpleNamespace(f_bavail=99, f_frsize=MIB, f_blocks=5000))
    for end in ends.export(ends.dump()):
        assert "99 MiB are free there, of which this node keeps 100 MiB for itself" in str(end)


def test_a_snapshot_that_was_lost_is_no_export(ends, monkeypatch):
    ends.define()
    ends.file("d1").write_bytes(content())
    driver = base.load("file")
    monkeypatch.setattr(type(driver), "status", lambda self, disk: base.DiskStatus(
        path=str(ends.file("d1")), exists=not any(ends.roots[ONE].os_log.glob("export-*"))))
    assert "the snapshot that was read is lost" in str(ends.export(ends.dump())[1])


def test_a_dump_larger_than_the_disk_is_refused(ends):
    ends.as_node(TWO, exports.export_begin, name="web1")
    ends.written().write_bytes(content())
    ends.finish()
    ends.file("d2").write_bytes(bytes(4 * MIB))
    for end in ends.restore(ends.dump("d2", os_name="", size=4)):
        assert "larger than the disk, which has 4 MiB" in str(end)
    assert ends.file("d2").stat().st_size == 4 * MIB


@pytest.mark.parametrize("dump", ["../cluster.db", ".x", "a/b"])
def test_only_files_of_the_export_are_sent(ends, dump):
    with pytest.raises(Error, match="no name of a dump"):
        ends.as_node(TWO, dumps.import_send, path="web1", dump=dump, target=ends.meet(ONE), compress="none",
                     progress=quiet)
