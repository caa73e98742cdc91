# SPDX-License-Identifier: BSD-2-Clause
"""gnt-watcher as a program: daemons, guests and disks come back, and it keeps still when told so."""

import sys

import pytest


@pytest.fixture(scope="module")
def cluster(own_cluster):
    own_cluster.add("up", "node2")
    own_cluster.add("down", "node2", start=False)
    return own_cluster


def watch(cluster, node="node1", *options):
    done = cluster.run(sys.executable, "-m", "gantry.watcher.program", *options, node=node)
    assert done.returncode == 0, done.stderr
    return (cluster.paths(node).log_file("watcher")).read_text()


def status(cluster, name):
    return cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "status", name).strip()


def lose_guest(cluster):
    for file in cluster.paths("node2").fake_vms.glob("*.json"):
        file.unlink()
    cluster.until(lambda: status(cluster, "up") == "ERROR_down", what="the loss is seen")


def test_daemons_guests_and_disks_come_back(cluster):
    lose_guest(cluster)
    cluster.kill("gnt-noded", "node2")
    watch(cluster, "node2")
    cluster.kill("gnt-masterd")
    log = watch(cluster)
    assert status(cluster, "up") == "running", log
    assert status(cluster, "down") == "ADMIN_down"
    assert (cluster.paths().run / "instance-status").read_text() == "down ADMIN_down\nup running\n"
    assert cluster.is_running("gnt-rapi")
    cluster.matches()
    summary = cluster.gnt("gnt-job", "list", "--no-headers", "-o", "summary,status")
    assert "INSTANCE_STARTUP(up)" in summary
    assert "GROUP_VERIFY_DISKS" in summary


def test_paused_and_drained_it_does_nothing(cluster):
    lose_guest(cluster)
    cluster.gnt("gnt-cluster", "watcher", "pause", "1h")
    file = cluster.paths("node2").ssconf("watcher_pause")
    cluster.until(lambda: file.read_text().strip() != "", what="all nodes know of the pause")
    assert "is paused" in watch(cluster)
    assert status(cluster, "up") == "ERROR_down"
    cluster.gnt("gnt-cluster", "watcher", "continue")
    cluster.until(lambda: file.read_text().strip() == "", what="all nodes know that it is over")
    cluster.gnt("gnt-cluster", "queue", "drain")
    assert "is drained" in watch(cluster)
    cluster.gnt("gnt-cluster", "queue", "undrain")
    assert status(cluster, "up") == "ERROR_down"
    watch(cluster, "node1", "--no-verify-disks")
    assert status(cluster, "up") == "running"
