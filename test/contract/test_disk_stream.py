# SPDX-License-Identifier: BSD-2-Clause
"""A disk that goes from node to node: two ends in threads, real certificates, real files."""

import contextlib
import io
import os
import socket
import threading

import pytest

from gantry import paths
from gantry.backend import disk_data, disk_stream, frames, peer_stream
from gantry.constants import DiskTemplate
from gantry.errors import Error, StorageError
from gantry.objects.instance import Disk, FileLocation
from support.nodes import ADDRESS, authority, make_root

MIB = 1 << 20
ONE, TWO = "11111111-aaaa-4000-8000-000000000001", "22222222-bbbb-4000-8000-000000000002"


def quiet(fraction, message):
    assert 0.0 <= fraction <= 1.0
    assert message


class Ends:
    """Two nodes in one process: each end's certificates are read when its connection is made."""

    def __init__(self, tmp_path, monkeypatch):
        self.roots = {ONE: make_root(tmp_path / "one", ONE, "node1"), TWO: make_root(tmp_path / "two", TWO, "node2")}
        self.folder, self.here = tmp_path, threading.local()
        monkeypatch.setattr(peer_stream, "MEET_SECONDS", 1.5)
        monkeypatch.setattr(paths, "here", lambda: self.roots[self.here.node])
        monkeypatch.setattr(disk_data, "path_of", lambda disk: self.folder / disk.file.path)
        with socket.create_server((ADDRESS, 0)) as server:
            self.port = server.getsockname()[1]

    def disk(self, name, size=10, uuid="d1"):
        return Disk(uuid=uuid, name="", dev_type=DiskTemplate.FILE, size=size, file=FileLocation(path=name))

    def as_node(self, node, call, **args):
        self.here.node = node
        return call(progress=quiet, **args)

    def copy(self, source, target, *, compress="none", expected=None):
        """The errors of both ends; `expected` by the receiver, where that is another tool."""
        failed = []

        def receive():
            try:
                self.as_node(TWO, disk_stream.disk_receive, disk=target, source=ONE, listen=ADDRESS, port=self.port,
                             compress=expected or compress)
            except Error as err:
                failed.append(err)

        thread = threading.Thread(target=receive)
        thread.start()
        try:
            self.as_node(ONE, disk_stream.disk_send, disk=source, target=TWO, host=ADDRESS, port=self.port,
                         compress=compress)
        except Error as err:
            failed.append(err)
        thread.join()
        return failed


@pytest.fixture
def ends(tmp_path, monkeypatch):
    return Ends(tmp_path, monkeypatch)


@pytest.mark.parametrize("compress", ["none", "gzip-fast", "gzip", "xz"])
def test_all_of_it_arrives(ends, compress):
    content = os.urandom(5 * MIB) + bytes(4 * MIB) + b"end" * (MIB // 3) + b"!"
    (ends.folder / "a").write_bytes(content)
    with (ends.folder / "b").open("wb") as file:
        file.truncate(10 * MIB)
    assert len(content) == 10 * MIB
    assert ends.copy(ends.disk("a"), ends.disk("b"), compress=compress) == []
    assert (ends.folder / "b").read_bytes() == content


def test_a_source_that_is_too_short(ends):
    (ends.folder / "a").write_bytes(bytes(3 * MIB))
    (ends.folder / "b").write_bytes(b"")
    texts = ends.copy(ends.disk("a"), ends.disk("b"))
    assert ["ends after 3 of 10 MiB" in str(text) for text in texts] == [True, True], "whichever is heard first"


def test_a_source_that_cannot_be_read(ends, monkeypatch):
    for name in "ab":
        (ends.folder / name).write_bytes(bytes(10 * MIB))

    def broken(handle, length, offset):
        if offset >= 4 * MIB:
            raise OSError(5, "Input/output error")
        return bytes(length)

    monkeypatch.setattr(os, "pread", broken)
    texts = ends.copy(ends.disk("a"), ends.disk("b"))
    assert ["Input/output error" in str(text) for text in texts] == [True, True]


def test_a_tool_that_the_sender_has_not_got(ends):
    for name in "ab":
        (ends.folder / name).write_bytes(b"#" * (10 * MIB))
    texts = ends.copy(ends.disk("a"), ends.disk("b"), compress="nosuchtool")
    assert ["No such file or directory: 'nosuchtool'" in str(text) for text in texts] == [True, True]


@pytest.mark.parametrize("length", [0, 5, 13, 100])
def test_a_stream_that_is_cut_off(length):
    sent = io.BytesIO((frames.framed(0, os.urandom(200), "none") + frames.end(200))[:length])
    with pytest.raises(StorageError, match="ended the copy before its end"):
        list(frames.pieces(sent.read, "none"))


def test_another_disk_is_not_taken(ends):
    for name in "ab":
        (ends.folder / name).write_bytes(bytes(10 * MIB))
    texts = " ".join(map(str, ends.copy(ends.disk("a", uuid="d9"), ends.disk("b"))))
    assert texts.count("something else is sent") == 2, "the sender is told, too"


def test_a_sender_does_not_choose_what_the_receiver_runs(ends, monkeypatch):
    """Packed frames go through a program with the rights of the receiver."""
    (ends.folder / "a").write_bytes(b"#" * (10 * MIB))
    (ends.folder / "b").write_bytes(bytes(10 * MIB))
    (ends.folder / "evil").write_text(f"#!/bin/sh\n[ -z $1 ] || touch {ends.folder}/ran\nhead -c 9\n")
    (ends.folder / "evil").chmod(0o755)
    monkeypatch.setenv("PATH", str(ends.folder), prepend=os.pathsep)
    texts = ends.copy(ends.disk("a"), ends.disk("b"), compress="evil", expected="gzip")
    assert not (ends.folder / "ran").exists()
    assert " ".join(map(str, texts)).count("something else is sent") == 2


def test_another_node_is_turned_away(ends):
    for name in "ab":
        (ends.folder / name).write_bytes(bytes(10 * MIB))
    ends.roots[ONE] = make_root(ends.folder / "three", "33333333-cccc-4000-8000-000000000003", "node3")
    texts = [str(err) for err in ends.copy(ends.disk("a"), ends.disk("b"))]
    assert any("did not call" in text for text in texts)
    assert len(texts) == 2


def test_others_who_call_again_and_again_do_not_keep_it_waiting(ends):
    (ends.folder / "b").write_bytes(bytes(10 * MIB))
    enough = threading.Event()

    def call():
        while not enough.wait(0.01):
            with contextlib.suppress(OSError), socket.create_connection((ADDRESS, ends.port)):
                pass

    thread = threading.Thread(target=call)
    thread.start()
    stop = threading.Timer(20, enough.set)
    stop.start()
    try:
        with pytest.raises(StorageError, match="did not call"):
            ends.as_node(TWO, disk_stream.disk_receive, disk=ends.disk("b"), source=ONE, listen=ADDRESS,
                         port=ends.port, compress="none")
        assert not enough.is_set()
    finally:
        stop.cancel()
        enough.set()
        thread.join()


def test_a_node_of_another_cluster_is_turned_away(ends):
    for name in "ab":
        (ends.folder / name).write_bytes(bytes(10 * MIB))
    ends.roots[ONE] = make_root(ends.folder / "three", ONE, "node1", issuer=authority("other.example.org"))
    texts = [str(err) for err in ends.copy(ends.disk("a"), ends.disk("b"))]
    assert any("did not call" in text for text in texts)


def test_nobody_listens(ends):
    (ends.folder / "a").write_bytes(bytes(10 * MIB))
    with pytest.raises(StorageError, match="cannot be reached"):
        ends.as_node(ONE, disk_stream.disk_send, disk=ends.disk("a"), target=TWO, host=ADDRESS, port=ends.port,
                     compress="none")
