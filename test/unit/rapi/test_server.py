# SPDX-License-Identifier: BSD-2-Clause
"""The server on real sockets: TLS, limits, kept connections, streams; the client against it."""

import json
import os
import select
import socket
import ssl
import threading

import pycurl
import pytest

from gantry.rapi import server as module
from gantry.rapi.certificates import contexts
from gantry.rapi.client import RapiClient, RapiError, Unreachable
from gantry.rapi.server import Limits, RapiServer, is_local
from gantry.rpc import tls
from gantry.utils import x509
from support.rapi import ADMIN, PLAIN, FakeDoor, application, basic

HOST = "127.0.0.1"


@pytest.fixture
def door():
    return FakeDoor()


@pytest.fixture
def pem(tmp_path):
    path = tmp_path / "rapi.pem"
    path.write_text(x509.self_signed("cluster.example.com"))
    return path


def run(app, pem, limits=None):
    server = RapiServer(HOST, 0, app, contexts(pem, pem) if pem else None, limits or Limits(threads=6))
    server.expiration_interval = 0.02
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    return server, thread


@pytest.fixture
def start(door, tmp_path):
    """Start a server; its port."""
    running = []

    def start(pem, limits=None):
        running.append(run(application(door, tmp_path), pem, limits))
        return running[-1][0].bind_addr[1]
    yield start
    for server, thread in running:
        server.stop()
        thread.join(20)


@pytest.fixture
def port(start, pem):
    return start(pem)


def connect(port, *, tls=True, **options):
    sock = socket.create_connection((HOST, port), timeout=20)
    if not tls:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in options.items():
        setattr(context, name, value)
    return context.wrap_socket(sock)


def read_answer(sock):
    """(status, headers, body) of one answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            break
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    while len(body) < int(headers.get("Content-Length", 0)):
        body += sock.recv(65536)
    return int(lines[0].split()[1]), headers, body


def say(sock, text, body=b""):
    sock.sendall(text.replace("\n", "\r\n").encode() + body)
    return read_answer(sock)


GET = "GET /version HTTP/1.1\nHost: x\n\n"


def test_a_connection_is_kept(port):
    with connect(port) as sock:
        for _ in range(3):
            status, headers, body = say(sock, GET)
            assert (status, body) == (200, b"2\n")
            assert headers["Server"] == "Ganeti 3.0.2"
            assert headers["Content-Type"] == "application/json"
            assert headers.keys() >= {"Date", "Content-Length"}
            assert "Connection" not in headers


@pytest.mark.parametrize(("request_", "kept"), [
    ("GET /version HTTP/1.1\nHost: x\nConnection: close\n\n", False), ("GET /version HTTP/1.0\n\n", False),
    ("GET /version HTTP/1.0\nConnection: Keep-Alive\n\n", True)])
def test_a_connection_ends_as_the_client_says(port, request_, kept):
    with connect(port) as sock:
        assert say(sock, request_)[0] == 200
        assert kept == bool(say(sock, request_)[0] if kept else sock.recv(10))


@pytest.mark.parametrize(("request_", "status"), [
    ("GET /version HTTP/1.1\n\n", 400), ("GARBAGE\n\n", 400), ("GET version HTTP/1.1\nHost: x\n\n", 400),
    ("get /version HTTP/1.1\nHost: x\n\n", 400), ("GET /version HTTP/9.9\nHost: x\n\n", 505),
    ("GET /version HTTP/1.1\nHost: x\nContent-Length: -5\n\n", 400),
    ("GET /version HTTP/1.1\nHost: x\nContent-Length: 1x\n\n", 400),
    ("GET /version HTTP/1.1\nHost: x\nTransfer-Encoding: odd\n\n", 501),
    ("GET /" + "x" * 20000 + " HTTP/1.1\nHost: x\n\n", 414),
    ("GET /version HTTP/1.1\nHost: x\nX: " + "x" * 20000 + "\n\n", 413), ("FOO /version HTTP/1.1\nHost: x\n\n", 405)])
def test_requests_that_are_no_http_or_too_long(port, request_, status):
    with connect(port) as sock:
        found, headers, body = say(sock, request_)
    assert found == status
    assert json.loads(body)["code"] == status
    assert headers["Content-Type"] == "application/json"


def test_head_has_no_body(port):
    with connect(port) as sock:
        sock.sendall(b"HEAD /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    assert data.startswith(b"HTTP/1.1 501 ")
    assert data.endswith(b"\r\n\r\n")


def rename(headers):
    lines = "".join(f"{name}: {value}\n" for name, value in headers.items())
    return f"PUT /2/instances/web1/rename HTTP/1.1\nHost: x\nAuthorization: {basic(ADMIN)}\n{lines}\n"


BODY = b'{"new_name": "x"}'
JSON = {"Content-Type": "application/json"}


def test_bodies_in_pieces(port, door):
    with connect(port) as sock:
        chunks = b"5\r\n" + BODY[:5] + b"\r\n" + hex(len(BODY) - 5)[2:].encode() + b"\r\n" + BODY[5:] + b"\r\n0\r\n\r\n"
        assert say(sock, rename(JSON | {"Transfer-Encoding": "chunked"}), chunks)[0] == 200
        assert say(sock, rename(JSON | {"Content-Length": len(BODY)}), BODY)[0] == 200
    assert [item["new_name"] for item in door.ops] == ["x", "x"]


def test_a_body_that_nobody_read_does_not_become_a_request(port, door):
    with connect(port) as sock:
        smuggled = GET.replace("\n", "\r\n").encode()
        assert say(sock, f"GET /version HTTP/1.1\nHost: x\nContent-Length: {len(smuggled)}\n\n", smuggled)[0] == 200
        assert say(sock, f"GET /nosuch HTTP/1.1\nHost: x\nContent-Length: {len(smuggled)}\n\n", smuggled)[0] == 404
        assert say(sock, GET)[2] == b"2\n"


def test_a_huge_body_is_refused(port, door):
    with connect(port) as sock:
        assert say(sock, rename(JSON | {"Content-Length": 11 << 20}), b"x" * (11 << 20))[0] == 413
    with connect(port) as sock:
        assert say(sock, GET)[0] == 200
    assert door.calls == []


def test_a_huge_body_in_pieces_is_refused(port, door):
    with connect(port) as sock:
        chunks = (b"100000\r\n" + b"x" * (1 << 20) + b"\r\n") * 11 + b"0\r\n\r\n"
        assert say(sock, rename(JSON | {"Transfer-Encoding": "chunked"}), chunks)[0] == 413
    assert door.calls == []


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\n{}\r\n0\r\n\r\n", b"-1\r\n\r\n"])
def test_pieces_that_make_no_sense(port, door, chunks):
    with connect(port) as sock:
        assert say(sock, rename(JSON | {"Transfer-Encoding": "chunked"}), chunks)[0] == 400
    assert door.calls == []


def test_a_body_that_breaks_off_submits_nothing(port, door):
    with connect(port) as sock:
        sock.sendall(rename(JSON | {"Content-Length": 100}).replace("\n", "\r\n").encode() + BODY)
    with connect(port) as sock:
        assert say(sock, GET)[0] == 200
    assert door.calls == []


def test_a_body_that_does_not_come_is_not_waited_for(start, pem, door, monkeypatch):
    monkeypatch.setattr(tls, "SECONDS", 1)
    with connect(start(pem)) as sock:
        assert say(sock, rename(JSON | {"Content-Length": 100}), BODY)[0] == 408
    assert door.calls == []


def test_large_answers(port, door):
    door.answers["QueryClusterInfo"] = {"name": "x" * (5 << 20)}
    with connect(port) as sock:
        assert len(json.loads(say(sock, "GET /2/info HTTP/1.1\nHost: x\n\n")[2])["name"]) == 5 << 20


def test_silent_and_broken_clients_keep_nobody_away(port):
    silent = [connect(port, tls=False) for _ in range(20)]
    garbage = [connect(port, tls=False) for _ in range(5)]
    for sock in garbage:
        sock.sendall(b"\x16\x03\x01garbage that is no hello" * 10)
    half = [connect(port) for _ in range(5)]
    for sock in half:
        sock.close()
    with connect(port) as sock:
        assert say(sock, GET)[0] == 200
    for sock in [*silent, *garbage]:
        sock.close()


def test_slow_clients_are_let_go(start, pem, monkeypatch):
    monkeypatch.setattr(module, "READ_SECONDS", 0.0)
    monkeypatch.setattr(tls, "SECONDS", 1)
    port = start(pem, Limits(threads=2))
    slow = [connect(port) for _ in range(4)]
    for sock in slow:
        sock.sendall(b"GET /version HTTP/1.1\r\n")
    for sock in slow:
        assert read_answer(sock)[0] == 408
        sock.close()


def test_there_are_not_too_many_connections(start, pem):
    port = start(pem, Limits(threads=2, connections=3))
    kept = []
    for _ in range(3):
        kept.append(connect(port))
        say(kept[-1], GET)
    with pytest.raises((ssl.SSLError, OSError)):
        say(connect(port), GET)
    for sock in kept:
        sock.close()


def test_old_tls_is_refused(port):
    with pytest.raises(ssl.SSLError), pytest.warns(DeprecationWarning, match="TLSVersion"):
        connect(port, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)


def test_programs_on_this_machine_may_speak_without_tls(port):
    with connect(port, tls=False) as sock:
        assert say(sock, GET)[0] == 200
        assert say(sock, GET)[0] == 200


@pytest.mark.parametrize(("address", "local"), [
    ("127.0.0.1", True), ("127.44.0.3", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False),
    ("fe80::1", False), (None, False), ("x", False)])
def test_what_is_this_machine(address, local):
    assert is_local(address) == local


def test_others_may_not(start, pem, monkeypatch):
    monkeypatch.setattr(module, "is_local", lambda address: False)
    with connect(start(pem), tls=False) as sock:
        sock.sendall(GET.replace("\n", "\r\n").encode())
        with pytest.raises((OSError, IndexError)):
            read_answer(sock)


def test_without_tls_at_all(start):
    with connect(start(None), tls=False) as sock:
        assert say(sock, GET)[0] == 200


def certificate(port):
    with connect(port) as sock:
        return ssl.DER_cert_to_PEM_cert(sock.getpeercert(binary_form=True))


def test_a_new_certificate_is_shown_at_once(port, pem):
    first = certificate(port)
    assert first == x509.certificate_only(pem.read_text())
    new = x509.self_signed("cluster.example.com")
    pem.with_suffix(".new").write_text(new)
    os.rename(pem.with_suffix(".new"), pem)
    assert certificate(port) == x509.certificate_only(new)
    pem.write_text("rubbish")
    assert certificate(port) == x509.certificate_only(new)


# --- the client -----------------------------------------------------------------------------------------


@pytest.fixture
def rapi(port, pem):
    with RapiClient(f"https://{HOST}:{port}", credentials=ADMIN, authority=str(pem)) as client:
        yield client


def test_the_client_speaks_to_the_server(rapi, door):
    assert rapi.cluster.version() == 2
    assert rapi.instances.rename("web1", "web2", reason="because of ä") == 101
    assert rapi.instances.rename("web1", "web2") == 102
    assert door.jobs[0][0]["reason"][0][1] == "because of ä"
    with pytest.raises(RapiError) as caught:
        rapi.instances.rename("web1", "")
    assert caught.value.status == 400
    assert "new_name" in str(caught.value)


def test_the_client_checks_whom_it_speaks_to(port, tmp_path):
    other = tmp_path / "other.pem"
    other.write_text(x509.self_signed("other"))
    for options in ({"authority": str(other)}, {}):
        with RapiClient(f"https://{HOST}:{port}", **options) as client, pytest.raises(Unreachable):
            client.cluster.version()
    with RapiClient(f"https://{HOST}:{port}", verify=False) as client:
        assert client.cluster.version() == 2


def test_the_client_without_rights(port):
    with RapiClient(f"https://{HOST}:{port}", credentials=PLAIN, verify=False) as client:
        with pytest.raises(RapiError) as caught:
            client.cluster.redistribute_config()
        assert caught.value.status == 403


def test_a_server_that_is_not_there():
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        with RapiClient(f"https://{HOST}:{sock.getsockname()[1]}") as client:
            client._transport._clock = type("Clock", (), {"sleep": lambda self, seconds: None})()
            with pytest.raises(Unreachable):
                client.cluster.version()


def test_a_submission_whose_answer_was_lost_is_sent_again_and_done_once(rapi, door, monkeypatch):
    exchange, asked = rapi._transport._exchange, []

    def lose_the_first(*args):
        asked.append(exchange(*args))
        if len(asked) == 1:
            raise pycurl.error(pycurl.E_RECV_ERROR, "gone")
        return asked[-1]
    monkeypatch.setattr(rapi._transport, "_exchange", lose_the_first)
    monkeypatch.setattr(rapi._transport, "_clock", type("Clock", (), {"sleep": lambda self, seconds: None})())
    assert rapi.instances.startup("web1") == 101
    assert asked == [101, 101]
    assert len(door.jobs) == 1


def test_events_reach_the_client(rapi, door):
    rows = [[1, "running", ["X"]]]
    door.answers |= {"QueryJobs": lambda ids, fields: [list(row) for row in rows],
                     "QueryInstanceObjects": b'{"version": "v", "objects": []}'}
    stream = rapi.events.listen(["job"])
    assert next(stream) is None
    rows[0][1] = "success"
    event = next(item for item in stream if item is not None)
    assert (event.kind, event.data) == ("job", {"id": 1, "status": "success", "summary": ["X"]})
    stream.close()
    with pytest.raises(RapiError) as caught:
        next(rapi.events.listen(["nosuch"]))
    assert caught.value.status == 400


@pytest.mark.parametrize(("request_", "status"), [
    ("GET /version HTTP/1.1\r\nHost: x\r\nX: ", 408),
    (f"PUT /2/modify HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(ADMIN)}\r\nContent-Type: application/json\r\n"
     "Content-Length: 100\r\n\r\n{", 400)])
def test_a_slow_client_makes_way_when_others_wait(door, tmp_path, pem, monkeypatch, request_, status):
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    server, thread = run(application(door, tmp_path), pem, Limits(threads=1))
    with connect(server.bind_addr[1], tls=False) as slow:
        slow.sendall(request_.encode())
        others = [connect(server.bind_addr[1], tls=False) for _ in range(3)]
        for other in others:
            other.sendall(GET.replace("\n", "\r\n").encode())
        while not select.select([slow], [], [], 0.01)[0]:
            server.relieve()
        assert read_answer(slow)[0] == status
        for other in others:
            assert read_answer(other)[0] == 200
            other.close()
    server.stop()
    thread.join(20)


def test_connections_that_ask_for_nothing_yet_take_no_thread(start, pem):
    port = start(pem, Limits(threads=1))
    idle = [connect(port) for _ in range(5)]
    for sock in idle:
        assert say(sock, GET)[0] == 200
        sock.close()
