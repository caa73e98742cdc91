# SPDX-License-Identifier: BSD-2-Clause
"""gnt-noded as operators start it: alone on its node, with the certificates it finds, tasks beside it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest

from gantry import errors
from gantry.rpc import calls, client
from gantry.utils import command, retry, x509
from support import nodes
from support.processes import gone

MODULE = [sys.executable, "-m", "gantry.server.noded"]


class Noded:
    def __init__(self, tmp_path):
        self.master = nodes.make_root(tmp_path / "master", nodes.MASTER, "master")
        self.here = nodes.make_root(tmp_path / "node", nodes.NODE, "node1.example.org")
        nodes.put(self.here.ssconf("master_candidates_certs"), f"{nodes.MASTER}={nodes.digest(self.master)}\n")
        nodes.put(self.here.ssconf("node_primary_ips"), f"node0 1.2.3.4\nnode1.example.org {nodes.ADDRESS}\n")
        nodes.put(self.here.hostname, "node1.example.org\n")
        with socket.socket() as sock:
            sock.bind((nodes.ADDRESS, 0))
            self.port = sock.getsockname()[1]

    def start(self, **env):
        return subprocess.run([*MODULE, "--port", str(self.port)], check=False, capture_output=True, text=True,
                              timeout=60, env=os.environ | {"GANTRY_ROOT": str(self.here.root)} | env)

    @property
    def pid(self):
        path = self.here.pid_file("gnt-noded")
        return int(path.read_text()) if path.exists() else 0

    def kill(self):
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            assert gone(pid)
            self.here.pid_file("gnt-noded").unlink(missing_ok=True)

    def ask(self, call, term=1, /, **args):
        async def asking():
            asker = client.NodeClient(lambda _uuid: ("node1.example.org", nodes.ADDRESS),
                                      lambda: (term, nodes.MASTER), port=self.port)
            try:
                return await asker.call(nodes.NODE, call, **args)
            finally:
                await asker.close()
        return asyncio.run(asking())


@pytest.fixture
def noded(tmp_path, monkeypatch):
    noded = Noded(tmp_path)
    monkeypatch.setenv("GANTRY_ROOT", str(noded.master.root))
    yield noded
    noded.kill()


def test_it_answers_at_its_own_address_and_promises_to_the_first_master(noded):
    done = noded.start()
    assert (done.returncode, done.stderr) == (0, "")
    noded.ask(calls.test_delay, duration=0)
    with pytest.raises(errors.StaleTerm):
        noded.ask(calls.test_delay, 0, duration=0)
    noded.kill()
    noded.start()
    with pytest.raises(errors.StaleTerm):
        noded.ask(calls.test_delay, 0, duration=0)


def test_a_host_without_certificates_is_in_no_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path))
    done = subprocess.run(MODULE, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 5
    assert "not part of a cluster" in done.stderr


def test_a_port_in_use_is_told(noded):
    with socket.socket() as sock:
        sock.bind((nodes.ADDRESS, noded.port))
        sock.listen()
        done = noded.start()
    assert done.returncode == 12
    assert f"cannot listen on {nodes.ADDRESS} port {noded.port}" in done.stderr


@pytest.mark.parametrize("text", ["", "garbage"])
def test_a_damaged_certificate_is_told(noded, text):
    noded.here.node_certificate.write_text(text)
    done = noded.start()
    assert done.returncode == 12
    assert "certificate" in done.stderr


def test_a_certificate_nobody_here_can_renew_is_told(noded):
    noded.here.cluster_certificate.write_text(x509.certificate_only(x509.make_authority("other")))
    done = noded.start()
    assert done.returncode == 12
    assert "gnt-cluster renew-crypto" in done.stderr


def test_after_an_admin_replaced_the_clusters_certificate_everybody_talks_again(noded, monkeypatch):
    made = noded.here.root / "new.pem"
    command.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-days", "1825", "-nodes", "-x509",
                 "-keyout", str(made), "-out", str(made), "-batch"], seconds=60)
    for here in (noded.master, noded.here):
        here.cluster_certificate.write_text(made.read_text())
    before = nodes.digest(noded.here)
    assert noded.start().returncode == 0
    assert nodes.digest(noded.here) != before
    assert x509.subject(noded.here.node_certificate.read_text()).alt_names[0] == nodes.NODE
    # The master's own node daemon does the same for the master.
    from gantry.rpc import credentials
    monkeypatch.setenv("GANTRY_ROOT", str(noded.master.root))
    assert credentials.check_own()
    noded.ask(calls.test_delay, duration=0)
    nodes.put(noded.here.ssconf("master_candidates_certs"), f"{nodes.MASTER}=AA:BB\n")
    with pytest.raises(errors.NodeRefused, match="candidate"):
        noded.ask(calls.test_delay, duration=0)


def test_tasks_survive_the_daemon(noded, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("from support import task_calls\ntask_calls.install()\n")
    path = f"{site}{os.pathsep}{nodes.SERVER.parents[1]}"
    assert noded.start(PYTHONPATH=path).returncode == 0
    disk = {"uuid": "d", "name": "works", "dev_type": "file", "size": 4}
    task = {"task": "1.0.0", "call": "disk_remove", "args": {"disk": disk}}
    noded.ask(calls.task_start, **task)
    while noded.ask(calls.task_status, task="1.0.0", wait=10, seen=0.0).fraction < 0.5:
        pass
    noded.kill()
    with pytest.raises(errors.NodeUnreachable):
        noded.ask(calls.task_status, task="1.0.0", wait=0, seen=0)
    assert noded.start(PYTHONPATH=path).returncode == 0
    assert noded.ask(calls.task_start, **task).state == "running"
    (noded.here.root / "go-on").touch()
    while (status := noded.ask(calls.task_status, task="1.0.0", wait=10, seen=0.5)).state == "running":
        pass
    assert status.state == "done"
    assert (noded.here.root / "count").read_text() == "x"


@pytest.mark.parametrize("when", ["before", "after"])
def test_it_dies_where_a_fault_test_wants_it_to(noded, when):
    noded.start(GANTRY_KILL_AT=f"call:test_delay:{when}")
    with pytest.raises(errors.NodeUnreachable):
        noded.ask(calls.test_delay, duration=0)
    noded.here.pid_file("gnt-noded").unlink()
    assert noded.start().returncode == 0
    noded.ask(calls.test_delay, duration=0)


def test_it_ends_when_the_node_has_left_the_cluster(noded):
    noded.start()
    pid = noded.pid
    noded.here.node_certificate.unlink()
    assert gone(pid)
    assert not noded.pid


def test_it_stops_while_a_call_is_under_way(noded):
    noded.start()
    with pytest.raises(errors.NodeUnreachable):
        asyncio.run(_stop_during_a_call(noded))
    assert retry.wait_for(lambda: not noded.pid, seconds=20, waits=retry.growing(0.01))


async def _stop_during_a_call(noded):
    asker = client.NodeClient(lambda _uuid: ("node1", nodes.ADDRESS), lambda: (1, nodes.MASTER), port=noded.port)
    await asker.call(nodes.NODE, calls.test_delay, duration=0)
    slow = asyncio.create_task(asker.call(nodes.NODE, calls.test_delay, duration=50))
    await asyncio.sleep(0.2)
    os.kill(noded.pid, signal.SIGTERM)
    try:
        await slow
    finally:
        await asker.close()
