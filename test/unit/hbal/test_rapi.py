# SPDX-License-Identifier: BSD-2-Clause
"""Cluster data over RAPI: from a folder, and from a server on 127.0.0.1 with and without TLS."""

import json
import shutil
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hbal.errors import LoadError
from hbal.load import rapi, text
from hbal.model import Disk, Status, Template

DATA = Path(__file__).parents[2] / "data" / "hbal" / "rapi"
CREDENTIALS = "Basic dXNlcjpzZWNyZXQ="  # user:secret


@contextmanager
def server(certificate: Path | None = None, code: int = 200) -> Iterator[tuple[int, list[str]]]:
    """The port of a server that answers from DATA to user:secret, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            known = self.headers.get("Authorization") == CREDENTIALS
            body = (DATA / f"{self.path.split('/')[2].split('?')[0]}.json").read_bytes()
            self.send_response(code if known or certificate is None else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # named so by the base class
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield http.server_port, asked
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")])
    now = datetime.now(UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256()))
    path = tmp_path / "rapi.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path


def test_what_is_read_of_a_cluster() -> None:
    data = rapi.load(f"file://{DATA}")
    assert (data.hypervisor, data.tags) == ("kvm", ("htools:iextags:t",))
    live, drained, offline, incapable, bare, exclusive = data.nodes
    assert (live.master, live.total_memory, live.node_memory, live.free_memory, live.free_disk, live.node_cpus,
            live.spindles, live.cpu_speed) == (True, 16384.0, 900, 12000, 400000, 1, 2, 1.0)
    assert (drained.offline, drained.free_memory) == (True, 12000)
    assert (offline.offline, offline.total_memory, offline.node_cpus, offline.tags) == (True, 0.0, 0, ("a",))
    assert incapable.offline
    assert (bare.offline, bare.total_disk, bare.free_spindles) == (False, 0.0, 0)
    assert (exclusive.spindles, exclusive.free_spindles) == (3, 2)
    running, down, two_disks = data.instances
    assert (running.memory, running.template, running.disk) == (1000, Template.DRBD, 1128)
    assert (down.memory, down.status, down.secondary) == (1024, Status.ADMIN_DOWN, -1)
    assert two_disks.disks == (Disk(1, 3), Disk(2, 4))
    assert text.parse(text.dump(data)).instances[2].spindles == 7


def test_over_https_with_credentials_in_the_address(certificate: Path) -> None:
    with server(certificate) as (port, asked):
        data = rapi.load(f"https://user:secret@127.0.0.1:{port}")
    assert asked == ["/2/groups?bulk=1", "/2/nodes?bulk=1", "/2/instances?bulk=1", "/2/info"]
    assert data == rapi.load(f"file://{DATA}")


def test_host_and_port_is_plain_http() -> None:
    with server() as (port, _):
        assert rapi.load(f"127.0.0.1:{port}") == rapi.load(f"file://{DATA}")


def test_a_server_that_refuses(certificate: Path) -> None:
    with server(certificate) as (port, _), pytest.raises(LoadError) as caught:
        rapi.load(f"https://user:wrong@127.0.0.1:{port}")
    assert caught.value.detail == f"https://127.0.0.1:{port} answered /2/groups?bulk=1 with HTTP code 401"


def test_a_server_that_is_not_there() -> None:
    with server() as (port, _):
        pass
    with pytest.raises(LoadError, match=f"127.0.0.1:{port}: .*connect"):
        rapi.load(f"127.0.0.1:{port}")


@pytest.mark.parametrize(("address", "url", "shown"), [
    ("host", "https://host:5080", "host"), ("host:1", "host:1", "host:1"), ("http://h", "http://h", "http://h"),
    ("https://u:p@h:1", "https://u:p@h:1", "https://h:1"), ("u:p@h", "u:p@h", "h"),
])
def test_addresses(address: str, url: str, shown: str) -> None:
    assert rapi.base_url(address) == url
    assert rapi.visible(address) == shown


def _set(name: str, value: Any, *keys: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = inner = json.loads((folder / f"{name}.json").read_text())
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        (folder / f"{name}.json").write_text(json.dumps(content))
    return change


@pytest.mark.parametrize(("change", "complaint"), [
    (lambda folder: (folder / "info.json").write_text("{"), "info of file://.*: Invalid JSON"),
    (lambda folder: (folder / "nodes.json").write_text("{}"), "nodes: Unable to read JSArray"),
    (lambda folder: (folder / "nodes.json").write_text("[3]"), "invalid data for node 'None': Unable to read JSObj"),
    (lambda folder: (folder / "groups.json").unlink(), "groups.json: No such file or directory"),
    (_set("nodes", "x", 0, "group.uuid"), "Unknown group 'x' for node n1.x"),
    (_set("nodes", None, 0, "mtotal"), "invalid data for node 'n1.x': key 'mtotal': Unable to read Double"),
    (_set("nodes", -5, 0, "mtotal"), "invalid data for node 'n1.x': key 'mtotal': negative size '-5'"),
    (_set("nodes", 1.5, 0, "mfree"), "invalid data for node 'n1.x': key 'mfree': Unable to read Int"),
    (_set("nodes", "no", 0, "offline"), "key 'offline': Unable to read Bool"),
    (_set("instances", "n9", 0, "pnode"), "Unknown node 'n9' for instance i1.x"),
    (_set("instances", "odd", 0, "status"), 'Invalid string value for type InstanceStatus: "odd"'),
    (_set("instances", [1, 2, 3], 2, "disk.sizes"), "2 values for 3 disks"),
    (_set("instances", ["x"], 2, "disk.sizes"), "key 'disk.sizes': Unable to read Int"),
    (_set("instances", {}, 0, "beparams"), "key 'maxmem' not found|key 'vcpus' not found"),
    (_set("info", "n9", "master"), "The master node 'n9' is not among the nodes"),
    (_set("groups", {}, 0, "ipolicy"), "key 'std' not found, object contains only"),
    (_set("groups", ["x"], 0, "ipolicy", "disk-templates"), 'Invalid string value for type DiskTemplate: "x"'),
])
def test_what_a_cluster_should_not_say(change: Callable[[Path], None], complaint: str, tmp_path: Path) -> None:
    folder = tmp_path / "rapi"
    shutil.copytree(DATA, folder)
    change(folder)
    with pytest.raises(LoadError, match=complaint) as caught:
        rapi.load(f"file://{folder}")
    assert "\n" not in str(caught.value)
