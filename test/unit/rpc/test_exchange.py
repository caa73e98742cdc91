# SPDX-License-Identifier: BSD-2-Clause
"""What an answer, or none, means to the caller."""

import json

import pycurl
import pytest

from gantry import errors
from gantry.objects.codec import DecodeError
from gantry.rpc import calls, exchange

PEER = exchange.Peer("uuid", "node1", "127.0.0.9")


def read(call, data, status=200):
    return exchange.read_answer(PEER, call, status, json.dumps(data).encode())


def test_a_result_is_decoded():
    assert read(calls.leader_accept, {"result": True}) is True
    assert read(calls.node_leave, {"result": None}) is None


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"what": 1}', b'{"error": "text"}', b'{"result": "yes"}'])
def test_an_answer_that_makes_no_sense_is_a_decode_error_with_the_nodes_name(body):
    with pytest.raises(DecodeError, match="node1"):
        exchange.read_answer(PEER, calls.leader_accept, 200, body)


def test_a_result_with_another_status_is_not_believed():
    with pytest.raises(DecodeError, match="500"):
        read(calls.leader_accept, {"result": True}, status=500)


def test_the_error_a_node_raised_keeps_its_class_and_names_the_node():
    error = errors.StaleOwner(disk="d1", ours=2, theirs=3)
    with pytest.raises(errors.StaleOwner, match="node node1: d1 was opened") as caught:
        read(calls.node_leave, {"error": error.encode()})
    assert caught.value.facts["theirs"] == 3
    again = errors.decode(caught.value.encode())
    assert str(again) == str(caught.value)


def test_an_error_of_an_unknown_class_keeps_its_words():
    with pytest.raises(errors.Error, match="node node1: too new"):
        read(calls.node_leave, {"error": {"error": "FutureError", "facts": {"x": 1}, "message": "too new"}})


def test_a_refusal_names_the_node_and_the_call():
    refusal = errors.NodeRefused(node="", call="x", detail="no candidate")
    with pytest.raises(errors.NodeRefused, match="node node1 refused node_leave: no candidate"):
        read(calls.node_leave, {"error": refusal.encode()}, status=403)
    stale = errors.StaleTerm(node="", call="", detail="", ours=1, theirs=2)
    with pytest.raises(errors.StaleTerm, match="term 1 is older than 2"):
        read(calls.node_leave, {"error": stale.encode()}, status=403)


@pytest.mark.parametrize(("code", "message", "kind"), [
    (pycurl.E_COULDNT_CONNECT, "Connection refused", errors.NodeUnreachable),
    (pycurl.E_OPERATION_TIMEDOUT, "timed out", errors.NodeUnreachable),
    (pycurl.E_GOT_NOTHING, "Empty reply from server", errors.NodeUnreachable),
    (pycurl.E_SSL_CONNECT_ERROR, "OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection", errors.NodeUnreachable),
    (pycurl.E_RECV_ERROR, "OpenSSL SSL_read: tlsv13 alert certificate required", errors.NodeRefused),
    (pycurl.E_PEER_FAILED_VERIFICATION, "certificate verify failed", errors.NodeRefused),
    (pycurl.E_SSL_CERTPROBLEM, "could not load PEM client certificate", errors.NodeError),
])
def test_curls_errors_become_ours(code, message, kind):
    error = exchange.no_answer(PEER, calls.version, code, message)
    assert type(error) is kind
    assert "node1" in str(error)
    assert "version" in str(error)


def test_a_node_that_cannot_be_reached_is_named_as_people_know_it():
    said = f"Failed to connect to {PEER.uuid}:1811 via {PEER.address}:1811 after 52 ms"
    error = exchange.no_answer(PEER, calls.version, pycurl.E_COULDNT_CONNECT, said)
    assert str(error).endswith(f"did not answer version: Failed to connect to {PEER.address}:1811 after 52 ms")


def test_addresses_of_ip_version_6_and_request_ids_are_written_as_http_wants_them():
    wanted = exchange.request(calls.test_delay, {"duration": 1.5}, (3, "m"), "7.0.2")
    assert wanted.body == b'{"duration":1.5}'
    assert {"X-Gantry-Term: 3", "X-Gantry-Master: m", "X-Gantry-Request: 7.0.2"} <= set(wanted.headers)
