# SPDX-License-Identifier: BSD-2-Clause
"""The border between master and nodes: a real server process, real certificates, TLS on the loopback."""

import asyncio
import json
import socket
import ssl

import pytest

from gantry import errors
from gantry.objects.codec import DecodeError
from gantry.rpc import calls, client, exchange
from gantry.utils import x509
from support import nodes


@pytest.fixture
def server(tmp_path, monkeypatch):
    server = nodes.make_server(tmp_path, monkeypatch).start()
    yield server
    server.kill()


def run(server, *wanted, **client_args):
    """Each (call, args) one after the other with one client; answers or errors."""
    async def asking():
        asker, answers = server.client(**client_args), []
        try:
            for call, args in wanted:
                try:
                    answers.append(await asker.call(nodes.NODE, call, **args))
                except errors.Error as err:
                    answers.append(err)
        finally:
            await asker.close()
        return answers
    return asyncio.run(asking())


def ask(server, call, client_args=None, /, **args):
    answer = run(server, (call, args), **(client_args or {}))[0]
    if isinstance(answer, errors.Error):
        raise answer
    return answer


def verify(server, **what):
    return (calls.node_verify, {"what": what})


def raw(server, data, *, master=None):
    """What the server sends back to these bytes over TLS, until it closes."""
    here = master or server.master
    context = ssl.create_default_context(cafile=here.cluster_certificate)
    context.load_cert_chain(here.node_certificate)
    with socket.create_connection((nodes.ADDRESS, server.port), timeout=10) as plain, \
            context.wrap_socket(plain, server_hostname=nodes.NODE) as tls:
        tls.sendall(data)
        answer = b""
        while chunk := tls.recv(65536):
            answer += chunk
            if b"\r\n\r\n" in answer and b"Connection: close" not in answer:
                break
    return answer


def test_a_call_returns_its_value(server):
    assert ask(server, calls.version).release == "test"


def test_the_blocking_client_says_the_same(server):
    asker = server.client(blocking=True)
    assert asker.call(nodes.NODE, calls.version).release == "test"
    with pytest.raises(errors.StaleOwner, match=r"node node1.example.org: inst"):
        asker.call(nodes.NODE, calls.disks_open, disks=[], instance="inst", owner_epoch=1)
    asker.close()
    peer = exchange.Peer(nodes.NODE, "node1", nodes.ADDRESS)
    assert client.ask(peer, calls.version, port=server.port).release == "test"


def test_an_argument_may_have_any_name(server):
    with pytest.raises(errors.ExecError, match="no task_start here"):
        ask(server, calls.task_start, task="1.2.3", call="disk_remove", args={})


def test_errors_come_back_as_their_class_with_the_nodes_name(server):
    answers = run(server, (calls.disks_open, {"disks": [], "instance": "i", "owner_epoch": 1}),
                  verify(server, **{"break": 1}), (calls.store_forget, {"status": None}),
                  (calls.test_delay, {"duration": "x"}),
                  (calls.os_list, {}))
    stale, broken, missing, wrong, strange = answers
    assert type(stale) is errors.StaleOwner
    assert "ValueError: a bug" in str(broken)
    assert "no store_forget here" in str(missing)
    assert type(wrong) is DecodeError
    assert type(strange) is DecodeError
    assert all("node1.example.org" in str(err) for err in answers)


def test_connections_are_kept(server):
    async def asking():
        asker = server.client()
        for _ in range(20):
            await asker.call(nodes.NODE, calls.version)
        await asyncio.gather(*(asker.call(nodes.NODE, calls.version) for _ in range(5)))
        for _ in range(5):
            await asker.call(nodes.NODE, calls.version)
        pool = asker._generation.idle
        opened = [handle.easy.getinfo(exchange.pycurl.NUM_CONNECTS) for handle in pool]
        await asker.close()
        return len(pool), opened
    handles, opened = asyncio.run(asking())
    assert handles == 5
    assert max(opened) <= 1
    assert server.count("version") == 30


def test_many_nodes_at_once_with_a_dead_one_among_them(server):
    def directory(uuid):
        return {nodes.NODE: ("node1", nodes.ADDRESS), "dead": ("node2", "127.18.11.99")}[uuid]

    async def asking():
        asker = client.NodeClient(directory, lambda: (5, nodes.MASTER), port=server.port)
        answers = await asker.call_many([nodes.NODE, "dead"], calls.version)
        failed = await asker.call_many([nodes.NODE], calls.node_verify, what={"break": 1})
        await asker.close()
        return answers, failed
    answers, failed = asyncio.run(asking())
    assert answers[nodes.NODE].release == "test"
    assert isinstance(answers["dead"], errors.NodeUnreachable)
    assert "node node2 did not answer version" in str(answers["dead"])
    assert isinstance(failed[nodes.NODE], errors.NodeError)
    assert "node node1: node_verify broke" in str(failed[nodes.NODE])


def test_a_node_is_verified_as_itself(server):
    other = "33333333-cccc-4000-8000-000000000003"
    peer = exchange.Peer(other, "node3", nodes.ADDRESS)
    with pytest.raises(errors.NodeRefused, match="node3"):
        client.ask(peer, calls.version, port=server.port)


def test_a_certificate_that_is_no_candidates_is_refused(server):
    stranger = x509.issue(nodes.authority(), common_name="n9", alt_names=["u9"])
    server.master.node_certificate.write_text(stranger)
    with pytest.raises(errors.NodeRefused, match="not one of a master candidate"):
        ask(server, calls.test_delay, duration=0)
    assert server.count("test_delay") == 0


def test_a_certificate_of_another_authority_is_refused(server, tmp_path):
    foreign = x509.make_authority("cluster.example.org")
    server.master.node_certificate.write_text(x509.issue(foreign, common_name="master", alt_names=[nodes.MASTER]))
    with pytest.raises(errors.NodeRefused):
        ask(server, calls.version)
    assert server.count("version") == 0


def say_without_certificate(server, data):
    context = ssl.create_default_context(cafile=server.master.cluster_certificate)
    with socket.create_connection((nodes.ADDRESS, server.port), timeout=10) as plain, \
            context.wrap_socket(plain, server_hostname=nodes.NODE) as tls:
        tls.sendall(data)
        return tls.recv(1000)


def test_without_a_certificate_nothing_is_answered(server):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        say_without_certificate(server, b"POST /version HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    assert server.count("version") == 0


def test_a_candidate_added_or_renewed_while_both_run_is_heard_at_once(server):
    async def asking():
        asker = server.client()
        await asker.call(nodes.NODE, calls.version)
        fresh = x509.issue(nodes.authority(), common_name="master", alt_names=[nodes.MASTER])
        server.node.ssconf("master_candidates_certs").write_text(f"{nodes.MASTER}={x509.digest(fresh)}\n")
        with pytest.raises(errors.NodeRefused):
            await asker.call(nodes.NODE, calls.version)
        server.master.node_certificate.write_text(fresh)
        await asker.call(nodes.NODE, calls.version)
        await asker.close()
    asyncio.run(asking())


def test_the_servers_own_certificate_may_be_renewed_while_it_runs(server):
    ask(server, calls.version)
    server.node.node_certificate.write_text(x509.issue(nodes.authority(), common_name="node1", alt_names=["renamed"]))
    with pytest.raises(errors.NodeRefused):
        ask(server, calls.version)
    assert client.ask(exchange.Peer("renamed", "node1", nodes.ADDRESS), calls.version, port=server.port)


def test_terms(server):
    with pytest.raises(errors.StaleTerm, match="no longer master"):
        ask(server, calls.test_delay, {"term": 4}, duration=0)
    with pytest.raises(errors.NodeRefused, match="it obeys"):
        ask(server, calls.test_delay, {"uuid": "somebody"}, duration=0)
    assert ask(server, calls.version, {"term": 0}).release == "test"
    assert server.count("test_delay") == 0


def test_a_new_master_gets_the_promise_of_a_node_that_was_away(server):
    ask(server, calls.test_delay, {"term": 6, "uuid": "new"}, duration=0)
    assert (server.node.root / "promised").read_text() == "6 new"
    with pytest.raises(errors.StaleTerm):
        ask(server, calls.test_delay, duration=0)


def test_the_same_request_is_carried_out_once(server):
    again = (calls.node_verify, {"what": {}, "request_id": "1.2.3"})
    answers = run(server, again, again, verify(server), (calls.node_verify, {"what": {}, "request_id": "1.2.4"}))
    assert [answer.time for answer in answers] == [1.0, 1.0, 2.0, 3.0]


def test_the_same_request_at_the_same_time_is_carried_out_once(server):
    async def asking():
        asker = server.client()
        again = {"what": {"sleep": 0.3}, "request_id": "1.2.3"}
        answers = await asyncio.gather(*(asker.call(nodes.NODE, calls.node_verify, **again) for _ in range(3)))
        await asker.close()
        return answers
    assert {answer.time for answer in asyncio.run(asking())} == {1.0}
    assert server.count("node_verify") == 1


def test_a_request_that_failed_is_carried_out_again(server):
    again = (calls.node_verify, {"what": {"fail_first": True}, "request_id": "1.2.3"})
    failed, good = run(server, again, again)
    assert isinstance(failed, errors.ExecError)
    assert good.time == 2.0


def head(path="/version", length=2, extra="", method="POST"):
    return (f"{method} {path} HTTP/1.1\r\nHost: x\r\nX-Gantry-Term: 5\r\nX-Gantry-Master: {nodes.MASTER}\r\n{extra}"
            f"Content-Length: {length}\r\n\r\n").encode()


@pytest.mark.parametrize("body", [b"\x00\xff\x01", b"[]", b"nil", b'{"a": ' * 50, b"[" * 50000])
def test_a_body_that_is_garbage_gets_an_error(server, body):
    answer = raw(server, head("/test_delay", len(body)) + body)
    assert answer.startswith(b"HTTP/1.1 200")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["error"] == "DecodeError"


@pytest.mark.parametrize(("request_", "status"), [
    (head("/version", 100 << 30), b"413"),
    (head("/make_coffee") + b"{}", b"404"),
    (head("/Any") + b"{}", b"404"),
    (head("/../version") + b"{}", b"404"),
    (head(method="GET") + b"{}", b"405"),
    (b"POST /version HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"411"),
    (b"POST /version HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
    (b"POST /version HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"41"),
    (b"POST /version HTTP/1.1\r\nX: " + b"y" * 70000 + b"\r\n\r\n", b"413"),
    (b"\x00\x01garbage\r\n\r\n", b"400"),
])
def test_bad_requests_are_refused(server, request_, status):
    assert raw(server, request_).startswith(b"HTTP/1.1 " + status)
    assert ask(server, calls.version)


def test_a_request_too_large_is_not_even_sent(server, monkeypatch):
    monkeypatch.setattr(exchange, "MAX_BODY", 1000)
    with pytest.raises(errors.NodeError, match="was not sent"):
        ask(server, calls.ssconf_write, values={"a": "x" * 2000}, serial=1)


def test_a_large_body_arrives(server):
    with pytest.raises(errors.ExecError, match="no ssconf_write here"):
        ask(server, calls.ssconf_write, values={"a": "x" * (20 << 20)}, serial=1)


def test_plain_http_and_silence_disturb_nobody(server):
    silent = [socket.create_connection((nodes.ADDRESS, server.port)) for _ in range(100)]
    with socket.create_connection((nodes.ADDRESS, server.port), timeout=10) as plain:
        plain.sendall(b"POST /version HTTP/1.1\r\n\r\n")
        assert b"200" not in plain.recv(1000)
    assert ask(server, calls.version)
    for sock in silent:
        sock.close()


def test_a_node_killed_during_a_call_did_not_answer(server):
    async def asking():
        asker = server.client()
        await asker.call(nodes.NODE, calls.version)
        slow = asyncio.create_task(asker.call(nodes.NODE, calls.test_delay, duration=60))
        while not server.count("test_delay"):
            await asyncio.sleep(0.01)
        server.kill()
        with pytest.raises(errors.NodeUnreachable, match=r"node1.example.org did not answer test_delay"):
            await slow
        with pytest.raises(errors.NodeUnreachable):
            await asker.call(nodes.NODE, calls.version)
        server.start()
        assert (await asker.call(nodes.NODE, calls.version)).release == "test"
        await asker.close()
    asyncio.run(asking())


def test_a_call_that_is_cancelled_leaves_the_client_usable(server):
    async def asking():
        asker = server.client()
        slow = asyncio.create_task(asker.call(nodes.NODE, calls.test_delay, duration=1))
        while not server.count("test_delay"):
            await asyncio.sleep(0.01)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert (await asker.call(nodes.NODE, calls.version)).release == "test"
        await asker.close()
    asyncio.run(asking())


def test_closing_the_client_ends_what_is_under_way(server):
    async def asking():
        asker = server.client()
        slow = asyncio.create_task(asker.call(nodes.NODE, calls.test_delay, duration=1))
        while not server.count("test_delay"):
            await asyncio.sleep(0.01)
        await asker.close()
        with pytest.raises(errors.NodeUnreachable, match="connections were closed"):
            await slow
    asyncio.run(asking())


def test_a_server_that_is_told_to_stop_stops(server):
    server.process.terminate()
    assert server.process.wait(10) == 0


def test_a_node_that_is_cut_off_hears_and_says_nothing(tmp_path, monkeypatch):
    server = nodes.make_server(tmp_path, monkeypatch).start()
    nodes.put(server.node.run / "cut-off", "")
    with pytest.raises(errors.NodeUnreachable):
        ask(server, calls.version)
    assert server.count("version") == 0
    (server.node.run / "cut-off").unlink()
    assert ask(server, calls.version)
    server.kill()
