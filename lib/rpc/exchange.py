# SPDX-License-Identifier: BSD-2-Clause
"""One call as HTTP: how a request is put on a curl handle, what an answer or its absence means.

A request is `POST /NAME` with a JSON object of the arguments; headers carry the caller's term and master.
The answer is `{"result": ...}` or `{"error": {error, facts, message}}`.
"""

import io
import json
import re
from dataclasses import dataclass
from typing import Any

import pycurl

from gantry import paths
from gantry.errors import Error, NodeError, NodeRefused, NodeUnreachable, decode
from gantry.objects.codec import DecodeError
from gantry.rpc.declare import CallType
from gantry.utils import faults, resolver
from gantry.utils.clock import PATIENCE

TERM_HEADER, MASTER_HEADER, REQUEST_HEADER = "X-Gantry-Term", "X-Gantry-Master", "X-Gantry-Request"
MAX_BODY = 64 << 20
CONNECT_MS = int(5000 * PATIENCE)
IDLE_SECONDS = 300
"""Connections that were not used for longer are opened anew; the server keeps them for twice as long."""
REQUEST_TIMEOUT = 408
"""HTTP status of a request that was not carried out, because not all of it came."""

_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

# What curl says when TLS itself was refused, by us or by the other end.
_TLS_ERRORS = frozenset({pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_ISSUER_ERROR})
_OWN_ERRORS = frozenset({pycurl.E_SSL_CERTPROBLEM, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_CIPHER})

_DETOUR = re.compile(r"(\S+) via \1(?=\s)")


@dataclass(frozen=True)
class Peer:
    """A node as the caller knows it."""

    uuid: str
    name: str
    address: str


@dataclass(frozen=True)
class Request:
    """An encoded call, the same for every node it goes to."""

    call: CallType
    body: bytes
    headers: list[str]


def request(call: CallType, args: dict[str, Any], standing: tuple[int, str], request_id: str = "") -> Request:
    """`standing`: the caller's term and the UUID of its master."""
    body = _dumps(call.encode_args(args)).encode()
    headers = [f"{TERM_HEADER}: {standing[0]}", f"{MASTER_HEADER}: {standing[1]}",
               "Content-Type: application/json", "Expect:", "Accept:", "User-Agent:"]
    if request_id:
        headers.append(f"{REQUEST_HEADER}: {request_id}")
    return Request(call, body, headers)


class Handle:
    """A curl handle with everything set that does not depend on the call, and the last answer's body."""

    def __init__(self) -> None:
        here = paths.here()
        self.easy = easy = pycurl.Curl()
        self._body = io.BytesIO()
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.POST, 1)
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        easy.setopt(pycurl.PROXY, "")
        easy.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        easy.setopt(pycurl.SSLCERT, str(here.node_certificate))
        easy.setopt(pycurl.SSLKEY, str(here.node_certificate))
        easy.setopt(pycurl.CAINFO, str(here.cluster_certificate))
        easy.setopt(pycurl.SSL_VERIFYPEER, 1)
        easy.setopt(pycurl.SSL_VERIFYHOST, 2)
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, CONNECT_MS)
        easy.setopt(pycurl.TCP_KEEPALIVE, 1)
        easy.setopt(pycurl.MAXAGE_CONN, IDLE_SECONDS)

    def aim(self, peer: Peer, port: int, wanted: Request) -> None:
        """Make it ready to perform this request.  The UUID is the host name that TLS verifies."""
        address = f"[{peer.address}]" if ":" in peer.address else peer.address
        self._body = io.BytesIO()
        easy = self.easy
        easy.setopt(pycurl.URL, f"https://{peer.uuid}:{port}/{wanted.call.name}")
        easy.setopt(pycurl.CONNECT_TO, [f"::{address}:{port}"])
        easy.setopt(pycurl.HTTPHEADER, wanted.headers)
        easy.setopt(pycurl.POSTFIELDS, wanted.body)
        easy.setopt(pycurl.TIMEOUT_MS, int(wanted.call.seconds * 1000))
        easy.setopt(pycurl.WRITEFUNCTION, self._body.write)

    def answer(self, peer: Peer, call: CallType) -> Any:
        """The result in the answer that has arrived; raises as `read_answer` does."""
        return read_answer(peer, call, self.easy.getinfo(pycurl.RESPONSE_CODE), self._body.getvalue())


def check(peer: Peer, wanted: Request) -> None:
    """Raises a NodeError for what need not be sent."""
    if faults.cut_off() and peer.name != resolver.own_name():
        raise NodeUnreachable(node=peer.name, call=wanted.call.name, detail="this node is cut off from the others")
    if len(wanted.body) > MAX_BODY:
        raise NodeError(node=peer.name, detail=f"{wanted.call.name} was not sent: its {len(wanted.body)} bytes "
                                               f"are more than the {MAX_BODY} allowed")


def read_answer(peer: Peer, call: CallType, status: int, body: bytes) -> Any:
    """The result; raises the error the node reported, or DecodeError when the answer makes no sense."""
    where = f"answer of node {peer.name} to {call.name}"
    if status == REQUEST_TIMEOUT:
        raise NodeUnreachable(node=peer.name, call=call.name, detail="it did not get the whole request in time")
    try:
        data = json.loads(body)
    except ValueError:
        text = body[:200].decode(errors="replace").strip()
        raise DecodeError(where=where, detail=f"HTTP status {status}, no JSON: {text!r}") from None
    if isinstance(data, dict):
        if "result" in data and status == 200:
            try:
                return call.decode_result(data["result"])
            except DecodeError as err:
                raise DecodeError(where=where, detail=str(err)) from err
        if isinstance(data.get("error"), dict):
            raise reported(peer, call, data["error"])
    raise DecodeError(where=where, detail=f"HTTP status {status}, {str(data)[:200]!r}")


def reported(peer: Peer, call: CallType, data: dict[str, Any]) -> Error:
    """The error that a node sent, its sentence with the node's name."""
    facts = data.get("facts")
    facts = dict(facts) if isinstance(facts, dict) else {}
    plain = decode({"error": str(data.get("error")), "facts": facts, "message": str(data.get("message"))})
    if isinstance(plain, NodeRefused):
        return type(plain)(**facts | {"node": peer.name, "call": call.name})
    if isinstance(plain, NodeError):
        return plain
    return type(plain)(**{"on_node": peer.name} | plain.facts)


def no_answer(peer: Peer, call: CallType, code: int, message: str) -> NodeError:
    """What curl's error means; curl knows the node by its UUID and calls it by way of its address, people do not."""
    message = _DETOUR.sub(r"\1", message.replace(peer.uuid, peer.address))
    if code in _OWN_ERRORS:
        return NodeError(node=peer.name, detail=f"{call.name} was not sent, our own certificates in "
                                                f"{paths.here().state} do not work: {message}")
    lost = any(sign in message for sign in ("SYSCALL", "reset by peer", "unexpected eof", "Broken pipe"))
    alert = "alert" in message
    if alert or (code in _TLS_ERRORS and not lost):
        return NodeRefused(node=peer.name, call=call.name, detail=_tls_words(message))
    detail = message or f"curl error {code}"
    return NodeUnreachable(node=peer.name, call=call.name, detail=detail)


def _tls_words(message: str) -> str:
    for sign, words in (("certificate required", "it wants a certificate"),
                        ("unknown ca", "it does not know the authority of our certificate"),
                        ("certificate expired", "our certificate has expired"),
                        ("bad certificate", "it does not accept our certificate")):
        if sign in message:
            return f"{words} ({message})"
    return message
