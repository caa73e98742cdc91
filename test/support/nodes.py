# SPDX-License-Identifier: BSD-2-Clause
"""Nodes of a test: roots with certificates of one authority, and servers on addresses of 127.0.0.0/8."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from gantry import paths
from gantry.rpc import client
from gantry.utils import x509

ADDRESS = "127.18.11.1"
MASTER, NODE = "11111111-aaaa-4000-8000-000000000001", "22222222-bbbb-4000-8000-000000000002"
SERVER = Path(__file__).with_name("node_server.py")


@cache
def authority(name="cluster.example.org"):
    """One for all tests: making its key takes time."""
    return x509.make_authority(name)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def make_root(root, uuid, name, *, pem=None, issuer=None):
    """A node's root folder with its certificates; the paths below it."""
    here = paths.below(str(root))
    issuer = issuer or authority()
    put(here.cluster_certificate, x509.certificate_only(issuer))
    put(here.node_certificate, pem or x509.issue(issuer, common_name=name, alt_names=[uuid, name, ADDRESS]))
    return here


def digest(here):
    return x509.digest(here.node_certificate.read_text())


@dataclass
class Server:
    """A server process; `master` is the caller's root, `node` the server's."""

    master: paths.Paths
    node: paths.Paths
    process: subprocess.Popen | None = None
    port: int = 0
    clients: list = field(default_factory=list)

    def start(self, argv=None):
        """Start it, at the same port as before if there was one."""
        env = os.environ | {"GANTRY_ROOT": str(self.node.root)}
        argv = argv or [sys.executable, str(SERVER)]
        log = (self.node.root / "server.log").open("ab")
        with log:
            self.process = subprocess.Popen([*argv, ADDRESS, str(self.port)], env=env, stdout=subprocess.PIPE,
                                            stderr=log, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("ready"), (self.node.root / "server.log").read_text()
        self.port = int(line.split()[1])
        return self

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def client(self, *, term=5, uuid=MASTER, node=NODE, blocking=False):
        kind = client.BlockingClient if blocking else client.NodeClient
        return kind(lambda _uuid: ("node1.example.org", ADDRESS), lambda: (term, uuid), port=self.port)

    def count(self, name):
        path = self.node.root / f"count-{name}"
        return int(path.read_text()) if path.exists() else 0


def make_server(tmp_path, monkeypatch):
    """A server that obeys MASTER in term 5, and this process as that master."""
    master, node = make_root(tmp_path / "master", MASTER, "master"), make_root(tmp_path / "node", NODE, "node1")
    put(node.ssconf("master_candidates_certs"), f"{MASTER}={digest(master)}\n")
    put(node.root / "promised", f"5 {MASTER}")
    monkeypatch.setenv("GANTRY_ROOT", str(master.root))
    return Server(master, node)
