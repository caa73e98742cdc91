# SPDX-License-Identifier: BSD-2-Clause
"""Clients that wait for jobs: over real sockets, with a master daemon that answers when it is told to."""

import json
import os
import socket
import threading

import pytest

from gantry.constants import LUXI_END
from gantry.rapi import waits as module
from gantry.rapi.access import Access
from gantry.rapi.app import App
from gantry.rapi.server import Limits, RapiServer
from gantry.rapi.waits import Waits
from support.rapi import ADMIN, USERS, FakeDoor, basic, endpoints

SECONDS = 20


class Master:
    """Takes LUXI connections; questions wait for an answer, or for the end."""

    def __init__(self, path):
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(100)
        self._server.settimeout(SECONDS)
        self._links = []

    def question(self):
        """The next connection and what is asked on it."""
        link = self._server.accept()[0]
        self._links.append(link)
        link.settimeout(SECONDS)
        data = b""
        while not data.endswith(LUXI_END):
            data += link.recv(65536)
        return link, json.loads(data[:-1])

    def close(self):
        for link in (*self._links, self._server):
            link.close()


def reply(link, result, *, success=True):
    link.sendall(json.dumps({"success": success, "result": result}).encode() + LUXI_END)
    link.close()


@pytest.fixture
def master(tmp_path):
    found = Master(tmp_path / "luxi")
    yield found
    found.close()


@pytest.fixture
def port(tmp_path):
    """One thread: who waits must not have it."""
    (tmp_path / "users").write_text(USERS)
    door = FakeDoor()
    app = App(endpoints(door), door, Access(tmp_path / "users", tmp_path / "tokens"), Waits(tmp_path / "luxi"))
    server = RapiServer("127.0.0.1", 0, app, None, Limits(threads=1))
    server.expiration_interval = 0.02
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server.bind_addr[1]
    server.stop()
    thread.join(SECONDS)


@pytest.fixture
def wait(port):
    """Connect and ask; the connection."""
    opened = []

    def wait(job=7, path=None, **body):
        sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        opened.append(sock)
        ask(sock, job, path, **body)
        return sock
    yield wait
    for sock in opened:
        sock.close()


def ask(sock, job=7, path=None, **body):
    text = json.dumps({"fields": ["status"], "previous_job_info": ["running"]} | body)
    sock.sendall((f"GET {path or f'/2/jobs/{job}/wait'} HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(ADMIN)}\r\n"
                  f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}").encode())


def answer(sock):
    """(status, body)."""
    with sock.makefile("rb") as lines:
        status = int(lines.readline().split()[1])
        head = dict(line.split(b":", 1) for line in iter(lines.readline, b"\r\n"))
        return status, json.loads(lines.read(int(head[b"Content-Length"])))


def test_many_wait_and_take_no_thread(master, wait):
    clients = [wait() for _ in range(20)]
    link, asked = master.question()
    assert asked["method"] == "WaitForJobChange"
    assert asked["args"] == [7, ["status"], ["running"], None, 10]
    assert answer(wait(path="/version")) == (200, 2)
    reply(link, [["success"], [[1, [2, 3], "message", "x"]]])
    for client in clients:
        assert answer(client) == (200, {"job_info": ["success"], "log_entries": [[1, [2, 3], "message", "x"]]})


def test_a_connection_goes_on_after_its_answer(master, wait):
    client = wait()
    reply(master.question()[0], "nochange")
    assert answer(client) == (200, None)
    ask(client, 8)
    link, asked = master.question()
    assert asked["args"][0] == 8
    reply(link, [["success"], []])
    assert answer(client) == (200, {"job_info": ["success"], "log_entries": []})


def test_long_answers_are_sent_whole(master, wait):
    client = wait()
    entries = [[number, [1, 2], "message", "x" * 1000] for number in range(3000)]
    reply(master.question()[0], [["running"], entries])
    assert answer(client) == (200, {"job_info": ["running"], "log_entries": entries})
    ask(client, path="/version")
    assert answer(client) == (200, 2)


@pytest.mark.parametrize(("result", "status"), [
    (["JobLost", ["Job 7 lost"]], 404), (["OpPrereqError", ["no", "wrong_input"]], 400),
    ("Failed to parse request: no", 502)])
def test_what_the_master_daemon_refuses_has_the_status_it_always_has(master, wait, result, status):
    client = wait()
    reply(master.question()[0], result, success=False)
    assert answer(client)[0] == status


def test_a_master_daemon_that_dies_is_said_to_be_gone(master, wait):
    client = wait()
    master.question()[0].close()
    status, body = answer(client)
    assert (status, body["code"]) == (502, 502)


def test_no_master_daemon(tmp_path, wait):
    assert answer(wait())[0] == 502


def test_who_hangs_up_is_not_waited_for(master, wait):
    """The master daemon learns that nobody waits any more."""
    client, other = wait(), wait(9)
    first, second = master.question(), master.question()
    client.close()
    link, _ = first if first[1]["args"][0] == 7 else second
    assert link.recv(1) == b""
    left = second[0] if link is first[0] else first[0]
    reply(left, [["success"], []])
    assert answer(other)[0] == 200


def test_there_is_a_limit(master, wait, monkeypatch):
    monkeypatch.setattr(module, "MOST", 1)
    client = wait()
    link, _ = master.question()
    assert answer(wait())[0] == 503
    reply(link, [["success"], []])
    assert answer(client)[0] == 200


def test_nothing_is_left_open(master, wait):
    reply_to = wait()
    link, _ = master.question()
    before = len(os.listdir("/proc/self/fd"))
    reply(link, [["success"], []])
    answer(reply_to)
    assert len(os.listdir("/proc/self/fd")) < before
