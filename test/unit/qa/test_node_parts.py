# SPDX-License-Identifier: BSD-2-Clause
"""Parts of the node machines that need no machine."""

import json
import socket
import struct
import threading
import time

import pytest

from qa import declared, main, work
from qa.image import build, kernel
from qa.machines import network, shell
from qa.scenarios import runner


def test_a_module_loses_its_signature_and_nothing_else():
    code, signature = b"\x7fELF module", b"s" * 40
    signed = code + signature + bytes(8) + struct.pack(">I", len(signature)) + b"~Module signature appended~\n"
    assert kernel.without_signature(signed) == code
    assert kernel.without_signature(code) == code


def test_every_program_of_setup_py_has_a_module_and_a_function():
    programs = declared.programs()
    assert programs["gnt-noded"] == ("gantry.server.noded", "main")
    assert {package for package in declared.folders()} >= {"gantry", "hbal"}
    assert any(name.startswith("psutil") for name in declared.requirements())


class Node:
    """A machine's agent, as far as a port shows it: answers one request, after the rest of an older answer."""

    def __init__(self, path, frames):
        self._server, self._frames, self.request = socket.socket(socket.AF_UNIX), frames, None
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        connection, _ = self._server.accept()
        with connection, connection.makefile("rb") as lines:
            while not (self.request and self.request["argv"]):  # the first one asks whether anybody listens
                assert lines.readline() == b"\n"
                self.request = json.loads(lines.readline())
                self.stdin = lines.read(self.request["stdin"])
                connection.sendall(b"o\0\0\0\5old answer" + shell.MAGIC + self.request["token"].encode())
            for kind, data in self._frames:
                connection.sendall(kind + struct.pack(">I", len(data)) + data)

    def end(self):
        self._thread.join()
        self._server.close()


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setattr(shell, "PORTS", 1)
    nodes = []

    def make(*frames):
        path = shell.port_socket(tmp_path, "node1", 0)
        path.unlink(missing_ok=True)
        nodes.append(Node(path, frames))
        return nodes[-1]
    yield make
    for each in nodes:
        each.end()


def test_a_program_runs_and_its_output_comes_back(node, tmp_path):
    answering = node((b"o", b"out "), (b"e", b"err"), (b"o", b"more"), (b"x", b"3"))
    done = shell.run(tmp_path, "node1", ["cat", "-n"], seconds=20, stdin=b"input")
    assert done == shell.Outcome(3, "out more", "err")
    assert (answering.request["argv"], answering.stdin) == (["cat", "-n"], b"input")


def test_a_machine_that_ends_in_the_middle_is_told_from_one_that_fails(node, tmp_path):
    node((b"o", b"begun"))
    with pytest.raises(shell.NoAnswer, match="node1 ended"):
        shell.run(tmp_path, "node1", ["true"], seconds=20)


def test_a_port_where_nobody_listens_is_passed_over(node, tmp_path, monkeypatch):
    monkeypatch.setattr(shell, "PORTS", 2)
    monkeypatch.setattr(shell, "HEARD_SECONDS", 0.2)
    monkeypatch.setattr(shell.random, "sample", lambda ports, count: list(reversed(ports)))
    answering = node((b"x", b"0"))
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(shell.port_socket(tmp_path, "node1", 1)))
        deaf.listen()
        assert shell.run(tmp_path, "node1", ["true"], seconds=20).status == 0
    assert answering.request["argv"] == ["true"]


def test_a_call_that_is_closed_while_a_thread_reads_it_lets_go_of_its_port(tmp_path, monkeypatch):
    monkeypatch.setattr(shell, "PORTS", 1)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(shell.port_socket(tmp_path, "node1", 0)))
    server.listen()
    call = shell.Call(tmp_path, "node1")
    connection, _ = server.accept()
    ended = threading.Event()

    def read():
        with pytest.raises(shell.NoAnswer):
            list(call.frames(time.monotonic() + 60))
        ended.set()
    reader = threading.Thread(target=read)
    reader.start()
    call.close()
    assert connection.recv(1) == b""
    reader.join()
    assert ended.is_set()
    shell.Call(tmp_path, "node1").close()
    server.close()
    connection.close()


def unavailable(*_):
    raise work.Unavailable("debootstrap failed")


def test_where_the_machines_cannot_be_made_it_is_said_and_nothing_fails(monkeypatch, capsys):
    monkeypatch.setattr(work, "missing", str)
    monkeypatch.setattr(build, "prepared", unavailable)
    assert main.main(["scenarios", "kill"]) == 0
    assert capsys.readouterr().out == "qa: no scenario was run: debootstrap failed\n"


def test_a_host_without_such_networks_is_none_for_machines(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(work.Unavailable, match="network namespaces"):
        network.try_out()


@pytest.mark.parametrize(("answers", "status", "said"), [
    ([True], 0, ["passed"]), ([False, True], 0, ["FAILED", "passed"]), ([False, False], 1, ["FAILED", "FAILED"])])
def test_a_scenario_that_fails_is_tried_again_and_both_are_told(monkeypatch, capsys, answers, status, said):
    left = iter(answers)
    monkeypatch.setattr(runner, "_passes", lambda *_: next(left))
    monkeypatch.setattr(runner.setup, "up", lambda _count: None)
    monkeypatch.setattr(runner.lab, "down", lambda: None)
    assert runner.run(["kill"], count=3, keep=False, attempts=2) == status
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == said
