# SPDX-License-Identifier: BSD-2-Clause
"""The blocking client: what it sends, what it repeats, what it says when the master daemon is not there."""

import json
import socket
import threading

import pytest

from gantry.errors import RemoteError, WrongInput
from gantry.luxi import client as luxi
from gantry.luxi.client import Client, ConnectionLost, NoMaster, NotPermitted, TimedOut
from gantry.luxi.protocol import ProtocolError, RequestRefused


class Clock:
    def __init__(self):
        self.slept = []

    def now(self):
        return sum(self.slept)

    def sleep(self, seconds):
        self.slept.append(seconds)


class Daemon:
    """Answers each request with the next of `replies`; None closes the connection instead."""

    def __init__(self, path, replies):
        self.received = []
        self._replies = list(replies)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while self._replies:
            link, _ = self._listener.accept()
            with link, link.makefile("rb") as stream:
                self._talk(link, stream)

    def _talk(self, link, stream):
        while self._replies:
            message = b""
            while not message.endswith(b"\x03"):
                part = stream.read(1)
                if not part:
                    return
                message += part
            self.received.append(json.loads(message[:-1]))
            reply = self._replies.pop(0)
            if reply is None:
                return
            link.sendall(reply)

    def close(self):
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def daemon(tmp_path):
    started = []

    def start(*replies):
        started.append(Daemon(tmp_path / "luxi", replies))
        return started[-1]
    yield start
    for item in started:
        item.close()


def reply(result, *, success=True):
    return json.dumps({"success": success, "result": result}).encode() + b"\x03"


def ask(tmp_path, method="QueryTags", args=("cluster", "")):
    with Client(tmp_path / "luxi", clock=Clock()) as client:
        return client.call(method, args)


def test_a_call(tmp_path, daemon):
    server = daemon(reply(["a"]))
    assert ask(tmp_path) == ["a"]
    assert server.received == [{"method": "QueryTags", "args": ["cluster", ""]}]


def test_one_connection_for_many_calls(tmp_path, daemon):
    daemon(reply(1), reply(2))
    with Client(tmp_path / "luxi", clock=Clock()) as client:
        assert [client.call("QueryClusterInfo"), client.call("QueryClusterInfo")] == [1, 2]


def test_an_error_of_the_server(tmp_path, daemon):
    daemon(reply(["OpPrereqError", ["no room", "insufficient_resources"]], success=False))
    with pytest.raises(RemoteError, match="no room") as caught:
        ask(tmp_path)
    assert caught.value.facts["name"] == "OpPrereqError"
    assert caught.value.facts["args"] == ["no room", "insufficient_resources"]


def test_a_request_that_was_not_understood(tmp_path, daemon):
    daemon(reply("Failed to parse request: x", success=False))
    with pytest.raises(RequestRefused, match="Failed to parse request: x"):
        ask(tmp_path)


@pytest.mark.parametrize("answer", [b"hello\x03", b"[]\x03", b'{"success": true}\x03'])
def test_an_answer_that_is_none(tmp_path, daemon, answer):
    daemon(answer)
    with pytest.raises(ProtocolError, match="Unhandled protocol error while talking to the master daemon:"):
        ask(tmp_path)


def test_a_query_is_asked_again_when_the_connection_broke(tmp_path, daemon):
    server = daemon(None, None, reply("here"))
    assert ask(tmp_path) == "here"
    assert len(server.received) == 3


@pytest.mark.parametrize("method", ["SubmitJob", "SubmitManyJobs", "CancelJob", "ArchiveJob", "ReplaceFilter"])
def test_a_change_is_never_sent_twice(tmp_path, daemon, method):
    server = daemon(None)
    with pytest.raises(ConnectionLost, match=f"before it answered {method}"):
        ask(tmp_path, method, [[]])
    assert len(server.received) == 1


def test_a_connection_that_died_while_idle_does_not_lose_a_submit(tmp_path, daemon):
    daemon(reply(1))
    client = Client(tmp_path / "luxi", clock=Clock())
    client.call("QueryClusterInfo")
    client._socket.shutdown(socket.SHUT_RDWR)
    (tmp_path / "luxi").unlink()
    server = daemon(reply(17))
    assert client.call("SubmitJob", [[]]) == 17
    assert len(server.received) == 1
    client.close()


def test_no_answer_in_time(tmp_path, daemon, monkeypatch):
    monkeypatch.setattr(luxi, "ANSWER_SECONDS", 0.01)
    server = socket.socket(socket.AF_UNIX)
    with server:
        server.bind(str(tmp_path / "luxi"))
        server.listen()
        with pytest.raises(TimedOut, match=r"^Timeout while talking to the master daemon\.") as caught:
            ask(tmp_path)
    for command in ("list", "cancel", "watch"):
        assert f"gnt-job {command}" in str(caught.value)


def test_nobody_listens_on_a_socket_that_was_named(tmp_path):
    with pytest.raises(NoMaster, match=f"Cannot communicate with socket '{tmp_path}/luxi'.\nIs the process running"):
        ask(tmp_path)


def test_no_permission(tmp_path, monkeypatch):
    def refuse(link, path):
        raise PermissionError(13, "denied")
    monkeypatch.setattr(luxi, "connect_unix", refuse)
    with pytest.raises(NotPermitted, match="permissions to connect to the master daemon"):
        ask(tmp_path)


# --- the default socket ----------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    monkeypatch.delenv("FORCE_LUXI_SOCKET", raising=False)
    for folder in ("etc/gantry", "var/lib/gantry", "run/gantry/socket"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/hostname").write_text("node1.example.org\n")
    return tmp_path


def default_call(clock=None):
    with Client(clock=clock or Clock()) as client:
        return client.call("QueryClusterInfo")


def test_this_host_is_in_no_cluster(root):
    with pytest.raises(WrongInput, match="not part of a cluster"):
        default_call()


def test_another_node_is_the_master(root):
    (root / "var/lib/gantry/ssconf_master_node").write_text("node2.example.org\n")
    with pytest.raises(WrongInput, match=r"please connect to node 'node2.example.org' and rerun the command"):
        default_call()


def test_the_master_is_waited_for_and_then_given_up(root):
    (root / "var/lib/gantry/ssconf_master_node").write_text("node1.example.org\n")
    clock = Clock()
    with pytest.raises(NoMaster, match=r"^Cannot communicate with the master daemon\.\nIs the process"):
        default_call(clock)
    assert 25 <= sum(clock.slept) <= 30


def test_the_environment_names_another_socket(root, daemon, tmp_path, monkeypatch):
    daemon(reply("other"))
    monkeypatch.setenv("FORCE_LUXI_SOCKET", str(tmp_path / "luxi"))
    assert default_call() == "other"


def test_the_query_daemon_is_called_by_its_name(root, monkeypatch):
    (root / "var/lib/gantry/ssconf_master_node").write_text("node1.example.org\n")
    monkeypatch.setenv("FORCE_LUXI_SOCKET", "query")
    with pytest.raises(NoMaster, match="Cannot communicate with the config daemon"):
        default_call()
