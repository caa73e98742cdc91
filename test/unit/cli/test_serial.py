# SPDX-License-Identifier: BSD-2-Clause
"""The bridge between a terminal and a guest's serial socket."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gantry.cli import serial


def pair(tmp_path: Path) -> tuple[socket.socket, str]:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path = str(tmp_path / "serial")
    server.bind(path)
    server.listen(1)
    return server, path


def test_both_ways_without_a_terminal(tmp_path: Path) -> None:
    server, path = pair(tmp_path)
    with server, subprocess.Popen([sys.executable, "-m", "gantry.cli.serial", path], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) as program:
        guest, _ = server.accept()
        with guest:
            assert program.stdin is not None
            program.stdin.write(b"uptime\n")
            program.stdin.flush()
            assert guest.recv(100) == b"uptime\n"
            guest.sendall(b"a year\n")
        assert program.stdout is not None
        assert program.stdout.read() == b"a year\n"
        assert program.wait(10) == 0


def test_the_escape_key_leaves(tmp_path: Path) -> None:
    ours, guest = socket.socketpair()
    source, typed = os.pipe()
    with ours, guest:
        os.write(typed, b"ls\x1dlost")
        serial.bridge(ours, source, 1, terminal=True)
        assert guest.recv(100) == b"ls"
    os.close(source)
    os.close(typed)


def test_a_long_path_can_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("d" * 60) / ("e" * 60)
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind("s")
        server.listen(1)
        serial.attach(str(folder / "s")).close()


def test_no_guest_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert serial.main(["serial", str(tmp_path / "none")]) == 1
    assert "is the instance running?" in capsys.readouterr().err
