# SPDX-License-Identifier: BSD-2-Clause
"""A real guest in QEMU through its life: its console tells whether it was started again or went on."""

import os
import re
import select
import signal
import subprocess
import time

import pytest

from vcluster import processes

pytestmark = pytest.mark.qemu

SECONDS = 60
"""How long a boot may take under software emulation on a busy machine."""


class Console:
    """An attached `gnt-instance console`, as at a terminal."""

    def __init__(self, cluster, name, node="node1"):
        self.text = ""
        self._process = subprocess.Popen(
            ["gnt-instance", "console", name], env=os.environ | processes.environment(cluster.layout, node),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        """Ctrl-] leaves."""
        with self._process as process:
            process.stdin.write(b"\x1d")
            process.stdin.flush()
            try:
                assert process.wait(timeout=20) == 0
            finally:
                process.kill()

    def until(self, pattern):
        """The first match in what was printed since the last one."""
        end = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.text)):
            left = end - time.monotonic()
            assert left > 0, f"{pattern} was not printed: {self.text}"
            if select.select([self._process.stdout], [], [], left)[0]:
                data = os.read(self._process.stdout.fileno(), 4096)
                assert data, f"the console ended: {self.text}"
                self.text += data.decode(errors="replace")
        self.text = self.text[found.end():]
        return found

    def say(self, line):
        self._process.stdin.write(line.encode() + b"\r")
        self._process.stdin.flush()


@pytest.fixture(scope="module")
def cluster(qemu_cluster):
    qemu_cluster.gnt("gnt-instance", "add", "-t", "sharedfile", "--disk", "0:size=16m", "-o", "gantry-guest",
                     "-n", "node1", "-B", "memory=96m", "web1")
    return qemu_cluster


@pytest.fixture
def console(cluster):
    with Console(cluster, "web1") as console:
        yield console


def boots(cluster):
    """Kept by the guest on its disk, as its last tick."""
    return cluster.on_disk(1)


def booted(cluster, number):
    cluster.until(lambda: boots(cluster) == number, seconds=SECONDS, what=f"boot {number}")


def ticks(cluster, after=0):
    """It lives: it has ticked since."""
    cluster.until(lambda: cluster.on_disk(2) > after, seconds=SECONDS, what=f"a tick after {after}")
    return cluster.on_disk(2)


def seen_as(cluster, status):
    """What was asked a moment ago may be answered from memory."""
    cluster.until(lambda: cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "status").strip() == status,
                  what=status)


def pid(cluster, node):
    [guest] = [process for process in processes.of_node(cluster.layout, node)
               if process.name().startswith("qemu-system")]
    return guest.pid


def test_it_boots_and_speaks(cluster, console):
    console.until("GANTRY-GUEST web1 boot 1")
    console.until("TICK 1")
    console.say("hello")
    console.until("you said: hello")
    assert boots(cluster) == 1
    assert cluster.gnt("gnt-instance", "list", "--no-headers", "--separator=|", "-o", "name,status,pnode,oper_ram"
                       ) == "web1|running|node1|96\n"
    cluster.verify()


def test_a_migration_is_no_reboot(cluster):
    before = ticks(cluster)
    text = cluster.gnt("gnt-instance", "migrate", "-f", "-n", "node2", "web1")
    assert "* memory transfer complete" in text
    assert cluster.guests() == {"web1": ["node2"]}
    with Console(cluster, "web1") as console:
        assert int(console.until(r"TICK (\d+)\r")[1]) >= before
        assert "boot" not in console.text
    ticks(cluster, before)
    assert boots(cluster) == 1
    cluster.nothing_left()
    cluster.verify()


def test_and_back_with_the_guest_paused(cluster):
    before = ticks(cluster)
    cluster.gnt("gnt-instance", "migrate", "-f", "--non-live", "-n", "node1", "web1")
    assert cluster.guests() == {"web1": ["node1"]}
    ticks(cluster, before)
    assert boots(cluster) == 1


def test_shutdown_is_obeyed_by_the_guest_and_startup_boots_it_again(cluster):
    ticks(cluster)
    cluster.gnt("gnt-instance", "shutdown", "--timeout=60", "web1")
    assert cluster.guests() == {}
    assert "not running, can't get console" in cluster.fails("gnt-instance", "console", "web1")
    cluster.gnt("gnt-instance", "startup", "web1")
    booted(cluster, 2)
    with Console(cluster, "web1") as console:
        console.until("GANTRY-GUEST web1 boot 2")
        console.until("TICK")
    cluster.verify()


@pytest.mark.parametrize(("kind", "same_process"), [("soft", True), ("hard", False), ("full", False)])
def test_reboots(cluster, kind, same_process):
    count, process = boots(cluster), pid(cluster, "node1")
    cluster.gnt("gnt-instance", "reboot", "-t", kind, "--shutdown-timeout=5", "web1")
    booted(cluster, count + 1)
    assert (pid(cluster, "node1") == process) == same_process
    ticks(cluster)


def test_guests_go_on_without_daemons(cluster):
    before, process = ticks(cluster), pid(cluster, "node1")
    cluster.kill("gnt-noded", "node1")
    cluster.kill("gnt-masterd")
    ticks(cluster, before)
    cluster.start("gnt-noded", "node1")
    cluster.start("gnt-masterd")
    assert pid(cluster, "node1") == process
    seen_as(cluster, "running")


def test_a_guest_that_died_is_seen_and_started_again(cluster):
    count = boots(cluster)
    os.kill(pid(cluster, "node1"), signal.SIGKILL)
    cluster.until(lambda: cluster.guests() == {})
    seen_as(cluster, "ERROR_down")
    cluster.gnt("gnt-instance", "startup", "web1")
    booted(cluster, count + 1)


def test_failover_after_a_power_cut(cluster):
    """Its node is gone, its disk is not; when the node comes back it does not run the guest a second time."""
    cluster.gnt("gnt-instance", "migrate", "-f", "-n", "node3", "web1")
    ticks(cluster)
    count = boots(cluster)
    cluster.vcluster("kill", "node3")
    assert cluster.guests() == {}
    seen_as(cluster, "ERROR_nodedown")
    cluster.gnt("gnt-instance", "failover", "-f", "-n", "node2", "web1")
    booted(cluster, count + 1)
    cluster.vcluster("start", "node3")
    assert cluster.guests() == {"web1": ["node2"]}
    cluster.until(lambda: "ERROR" not in cluster.run("gnt-cluster", "verify").stdout, what="node3 is well again")
    cluster.verify()
    ticks(cluster)


def test_removed_nothing_is_left(cluster):
    cluster.gnt("gnt-instance", "remove", "-f", "--shutdown-timeout=0", "web1")
    assert cluster.guests() == {}
    assert not any("disk" in file for file in cluster.disk_files())
    for node in cluster.layout.nodes:
        assert [file for file in cluster.paths(node).vm_specs.glob("*")] == []
        assert [file for file in cluster.paths(node).kvm.rglob("*") if file.is_socket()] == []
    cluster.nothing_left()
    cluster.verify()
