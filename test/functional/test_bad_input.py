# SPDX-License-Identifier: BSD-2-Clause
"""What can be wrong is said in a sentence, with the right exit status; nothing changes, nothing is left behind."""

import json
import os
import resource
import socket
import subprocess

import pytest

from gantry.constants import LUXI_END
from support.definitions import write_os
from support.harness import OP_CREATE
from vcluster import processes

ADD = ["gnt-instance", "add", "-o", "gantry-guest", "-n", "node2"]
SMALL = ["-t", "file", "--disk", "0:size=8m"]


@pytest.fixture(scope="module")
def cluster(shared_cluster):
    shared_cluster.add("taken", "node1", nics=[{"mac": "aa:00:00:00:00:01"}])
    yield shared_cluster
    shared_cluster.remove("taken")


@pytest.fixture
def unchanged(cluster):
    """Configuration, disks, guests, processes, plans and locks are afterwards what they were before."""
    before = cluster.snapshot()
    yield
    cluster.until(lambda: not cluster.workers(), what="no process is left")
    assert cluster.snapshot() == before


WRONG = {
    "unknown instance": (["gnt-instance", "startup", "nosuch"], "unknown_entity", "Instance 'nosuch' not known"),
    "unknown node": ([*ADD[:4], "-n", "nosuch", *SMALL, "one"], "unknown_entity", "Node 'nosuch' not known"),
    "unknown OS": (["gnt-instance", "add", "-o", "nosuch", "-n", "node2", *SMALL, "one"], "wrong_input", "nosuch"),
    "unknown group": (["gnt-group", "modify", "--alloc-policy=preferred", "nosuch"], "unknown_entity", "nosuch"),
    "busy name": ([*ADD, *SMALL, "taken"], "resource_not_unique", "'taken' is already in the cluster"),
    "impossible name": ([*ADD, *SMALL, "a b"], "wrong_input", "a b"),
    "busy address": ([*ADD, *SMALL, "--net", "0:mac=aa:00:00:00:00:01", "one"], "resource_not_unique",
                     "aa:00:00:00:00:01"),
    "wrong address": ([*ADD, *SMALL, "--net", "0:mac=01:00:00:00:00:01", "one"], "wrong_input", "01:00:00:00:00:01"),
    "wrong IP": ([*ADD, *SMALL, "--net", "0:ip=1.2.3", "one"], "wrong_input", "1.2.3"),
    "no disk": ([*ADD, "-t", "file", "one"], "wrong_input", "No disk information specified"),
    "no size": ([*ADD, "-t", "file", "--disk", "0:mode=rw", "one"], "wrong_input", "size"),
    "disks of the diskless": ([*ADD, "-t", "diskless", "--disk", "0:size=8m", "one"], "wrong_input", "diskless"),
    "template off": ([*ADD, "-t", "plain", "--disk", "0:size=8m", "one"], "wrong_input", "plain"),
    "too big for the policy": ([*ADD, "-t", "file", "--disk", "0:size=2t", "one"], "wrong_input", "disk-size"),
    "too big for the storage": ([*ADD, "-t", "file", *[word for index in range(16) for word in (
        "--disk", f"{index}:size=1000g")], "one"], "insufficient_resources", "node2"),
    "no memory": ([*ADD, *SMALL, "-B", "memory=32g", "one"], "insufficient_resources", "node2"),
    "hypervisor off": ([*ADD, *SMALL, "-H", "kvm", "one"], "wrong_input", "kvm"),
    "same node": (["gnt-instance", "migrate", "-f", "-n", "node1", "taken"], "wrong_input", "node1"),
    "running": (["gnt-instance", "rename", "taken", "other"], "wrong_state", "taken"),
    "no such disk": (["gnt-instance", "grow-disk", "taken", "7", "8m"], "", "7"),
    "no such tag": (["gnt-instance", "remove-tags", "taken", "nosuch"], "unknown_entity", "nosuch"),
    "wrong tag": (["gnt-instance", "add-tags", "taken", "a b"], "", "a b"),
    "node in use": (["gnt-node", "remove", "node1"], "wrong_", "node1"),
}
WRONG_VALUES = {
    "unit": ([*ADD, "-t", "file", "--disk", "0:size=8q", "one"], 1, "Unknown unit: q"),
    "no number": ([*ADD, "-t", "file", "--disk", "0:size=big", "one"], 1, "big"),
    "negative": ([*ADD, "-t", "file", "--disk", "0:size=-5", "one"], 1, "-5"),
    "backend parameter": (["gnt-instance", "modify", "-B", "nosuch=1", "taken"], 1,
                          "Parameter Error: Unknown parameter 'nosuch'"),
    "backend value": (["gnt-instance", "modify", "-B", "vcpus=x", "taken"], 1, "Parameter Error: 'vcpus' (value x)"),
    "twice": (["gnt-instance", "modify", "-B", "vcpus=1,vcpus=2", "taken"], 1, "Duplicate key 'vcpus'"),
    "hypervisor parameter": ([*ADD, *SMALL, "-H", "fake:nosuch=1", "one"], 1, "nosuch"),
    "option": (["gnt-instance", "modify", "--nosuch", "taken"], 2, "no such option: --nosuch"),
    "priority": (["gnt-debug", "delay", "--priority", "soon", "1"], 2, "soon"),
    "reboot type": (["gnt-instance", "reboot", "-t", "warm", "taken"], 2, "warm"),
    "too few arguments": (["gnt-instance", "rename", "taken"], 1, "expects 2 argument(s)"),
    "too many arguments": (["gnt-cluster", "getmaster", "x"], 1, "expects no arguments"),
    "job id": (["gnt-job", "info", "x"], 1, "x"),
    "delay": (["gnt-debug", "delay", "--", "-1"], 1, "-1"),
}


@pytest.mark.parametrize(("command", "code", "text"), WRONG.values(), ids=WRONG)
def test_refused(cluster, unchanged, command, code, text):
    said = cluster.fails(*command)
    assert text in said
    assert f"error type: {code}" in said or not code


@pytest.mark.parametrize(("command", "status", "text"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_wrong_values(cluster, unchanged, command, status, text):
    assert text in cluster.fails(*command, status=status)


# --- nodes and their programs ------------------------------------------------------------------------------------


def test_a_full_disk(cluster, unchanged):
    """As a full file system, a limit on the size of files lets what begins well end badly.  Daemons inherit it."""
    cluster.kill("gnt-noded", "node2")
    try:
        env = os.environ | processes.environment(cluster.layout, "node2")
        subprocess.run(["gnt-noded"], env=env, check=True, preexec_fn=limit_files, timeout=60)
        said = cluster.fails(*ADD, "-t", "file", "--disk", "0:size=64m", "one")
        assert said.startswith("Failure: command execution error:\nnode node2: cannot create the disk file ")
        assert "File too large" in said
    finally:
        cluster.restart("gnt-noded", "node2")


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 << 20, 32 << 20))


@pytest.mark.parametrize("script", ["create", "verify"])
def test_an_os_script_that_fails(cluster, unchanged, script):
    write_os(cluster, "broken", **{script: "echo there is no floppy >&2; exit 3"})
    said = cluster.fails("gnt-instance", "add", "-o", "broken", "-n", "node2", *SMALL, "one")
    assert "there is no floppy" in said
    assert "node2" in said


def test_an_os_script_that_hangs_is_ended_with_all_its_children(cluster, unchanged):
    flag = cluster.folder / "hanging"
    write_os(cluster, "hanging", create=f"sleep 900 & sleep 901 & touch {flag}; sleep 902")
    job = cluster.submit(OP_CREATE | {"instance_name": "one", "pnode": "node2", "os_type": "hanging"})
    cluster.until(flag.exists, what="the script runs")
    cluster.gnt("gnt-job", "cancel", str(job))
    assert cluster.wait_job(job)["status"] == "canceled"
    flag.unlink()
    assert not [line for line in command_lines() if line in ("sleep 900", "sleep 901", "sleep 902")]


def command_lines():
    for folder in os.listdir("/proc"):
        if folder.isdigit():
            try:
                with open(f"/proc/{folder}/cmdline", "rb") as file:
                    yield file.read().decode(errors="replace").replace("\0", " ").strip()
            except OSError:
                continue


def test_an_os_definition_that_is_not_one(cluster, unchanged):
    write_os(cluster, "old")
    (cluster.layout.root("node2") / "srv/ganeti/os/old/ganeti_api_version").write_text("5\n")
    try:
        assert "old" in cluster.fails("gnt-instance", "add", "-o", "old", "-n", "node2", *SMALL, "one")
        done = cluster.run("gnt-os", "diagnose")
        assert done.returncode == 1
        assert "OS: old [global status: partial valid]" in done.stdout
        assert "  Node: node2, status: invalid" in done.stdout
    finally:
        write_os(cluster, "old")


def test_a_node_that_is_down(cluster, unchanged):
    cluster.kill("gnt-noded", "node2")
    try:
        for command in ([*ADD, *SMALL, "one"], ["gnt-instance", "migrate", "-f", "-n", "node2", "taken"]):
            said = cluster.fails(*command)
            assert "node2" in said
            assert "error type: environment_error" in said
        listed = cluster.gnt("gnt-node", "list", "--no-headers", "-o", "name,mfree").split()
        assert listed[listed.index("node2") + 1] == "?"
        done = cluster.run("gnt-cluster", "verify", "--error-codes")
        assert done.returncode == 1
        assert ":node:node2:" in done.stdout
    finally:
        cluster.start("gnt-noded", "node2")


def test_a_node_without_its_certificate(cluster, unchanged):
    file = cluster.paths("node2").node_certificate
    there = file.read_bytes()
    cluster.kill("gnt-noded", "node2")
    try:
        file.write_bytes(b"")
        done = cluster.run("gnt-noded", node="node2")
        assert done.returncode in (5, 12)
        assert str(file) in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        file.write_bytes(there)
        cluster.start("gnt-noded", "node2")


# --- the master's door ------------------------------------------------------------------------------------------


DELAY = b'{"method": "SubmitJob", "args": [[{"OP_ID": "OP_TEST_DELAY", "duration": %s, "comment": "%s"}]]}'


@pytest.mark.parametrize("garbage", [DELAY % (b"NaN", b""), DELAY % (b"1e999", b""), DELAY % (b"1", b"\\udc80"),
                                     DELAY % (b"1", b"\xed\xb2\x80"), b"", b"x", b"[]", b"{}",
                                     b'{"method": "SubmitJob"}', b"\xff\xfe", b"[" * 100000,
                                     b'{"method": "Nosuch", "args": [], "version": 3000000}',
                                     b'{"method": "SubmitJob", "args": [[{"OP_ID": 7}]], "version": 3000000}',
                                     b'{"method": "SubmitJob", "args": "x", "version": 3000000}',
                                     b'{"method": "Query", "args": ["node", ["name"], ["=", 1]], "version": 3000000}',
                                     b'{"method": "SubmitJob", "args": [[]], "version": 1}'])
def test_garbage_on_the_socket(cluster, unchanged, garbage):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(cluster.paths().luxi))
        sock.sendall(garbage + LUXI_END)
        answer = sock.recv(1 << 20)
    if answer:
        assert json.loads(answer.removesuffix(LUXI_END))["success"] is False
    assert cluster.gnt("gnt-cluster", "master-ping") == ""


def test_a_client_that_says_nothing_or_leaves_in_the_middle(cluster):
    socks = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    for number, sock in enumerate(socks):
        sock.connect(str(cluster.paths().luxi))
        if number % 2:
            sock.sendall(b'{"method": "WaitForJobChange", "args"')
    for sock in socks[::3]:
        sock.close()
    assert cluster.gnt("gnt-cluster", "master-ping") == ""
    for sock in socks:
        sock.close()


def test_without_a_master_daemon(cluster, unchanged):
    """A command waits for it, as it may be starting; a client of a socket that is named does not."""
    cluster.kill("gnt-masterd")
    try:
        assert cluster.gnt("gnt-cluster", "getmaster") == "node1\n"
        said = cluster.fails("gnt-node", "list", env={"FORCE_LUXI_SOCKET": str(cluster.paths().luxi)})
        assert said.startswith("Cannot communicate with socket '")
        assert said.endswith("'.\nIs the process running and listening for connections?\n")
        with subprocess.Popen(["gnt-node", "list"], env=os.environ | processes.environment(cluster.layout, "node1"),
                              stdout=subprocess.PIPE, text=True) as waiting:
            cluster.start("gnt-masterd")
            assert "node2" in waiting.communicate(timeout=60)[0]
    finally:
        cluster.restart("gnt-masterd")


def test_two_master_daemons_on_one_node(cluster):
    done = cluster.run("gnt-masterd")
    assert done.returncode == 1
    assert "runs already" in done.stderr
    done = cluster.run("gnt-masterd", node="node2")
    assert done.returncode == 11
    assert "not the master" in done.stderr


@pytest.mark.parametrize(("damage", "text"), [
    (lambda data: data[:100], "cluster.db"), (lambda data: b"x" * len(data), "cluster.db"),
    (lambda data: data[:4096] + b"\0" * 8192 + data[12288:], "cluster.db"), (lambda data: b"", "cluster.db")],
    ids=["short", "other", "holes", "empty"])
def test_a_damaged_state_file(cluster, unchanged, damage, text):
    """The master daemon says so and does not start; with the file brought back it does."""
    file = cluster.paths().store
    stop(cluster)
    there = file.read_bytes()
    try:
        file.write_bytes(damage(there))
        done = cluster.run("gnt-masterd")
        assert done.returncode == 2, done.stderr
        assert text in done.stderr
        assert "Traceback" not in done.stderr
        assert file.read_bytes() == damage(there)
    finally:
        file.write_bytes(there)
        cluster.start("gnt-masterd")


def stop(cluster):
    """End the master daemon in good order: all is in the one file then."""
    os.kill(cluster.pid("gnt-masterd"), 15)
    cluster.died("gnt-masterd")
    assert not cluster.paths().store.with_name("cluster.db-wal").exists()


def test_a_state_file_of_another_format(cluster, unchanged):
    import sqlite3
    file = cluster.paths().store
    stop(cluster)
    there = file.read_bytes()
    try:
        with sqlite3.connect(file) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
        done = cluster.run("gnt-masterd")
        assert done.returncode == 2, done.stderr
        assert "99" in done.stderr
    finally:
        file.write_bytes(there)
        cluster.start("gnt-masterd")
