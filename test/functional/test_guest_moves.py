# SPDX-License-Identifier: BSD-2-Clause
"""A real guest whose disk is on one node only: it gets and loses devices, and moves with its disk, while it runs.

The guest counts its boots and ticks on its disk, so that tells whether it went on and lost nothing.
"""

import re

import pytest

pytestmark = pytest.mark.qemu

SECONDS = 60


@pytest.fixture(scope="module")
def cluster(qemu_cluster):
    qemu_cluster.gnt("gnt-instance", "add", "-t", "file", "--disk", "0:size=48m", "-o", "gantry-guest", "-n", "node1",
                     "-B", "memory=96m", "web1")
    return qemu_cluster


def ticks(cluster, after=0):
    cluster.until(lambda: cluster.on_disk(2) > after, seconds=SECONDS, what=f"a tick after {after}")
    return cluster.on_disk(2)


def migrate(cluster, node):
    return cluster.submit({"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1", "target_node": node})


def is_on(cluster, node, before):
    """It runs there, has not been started again, and has its one disk there."""
    assert cluster.guests() == {"web1": [node]}
    ticks(cluster, before)
    assert cluster.on_disk(1) == 1
    cluster.matches()


def test_interfaces_come_and_go(cluster):
    ticks(cluster)
    text = cluster.gnt("gnt-instance", "modify", "--net", "add:mac=aa:00:00:00:00:02", "web1")
    assert " - nic.1 -> hotplug:done" in text
    text = cluster.gnt("gnt-instance", "modify", "-f", "--net", "0:mac=aa:00:00:00:00:03", "web1")
    assert " - nic.0 -> hotplug:done" in text


def test_disks_come_and_go(cluster):
    text = cluster.gnt("gnt-instance", "modify", "--disk", "add:size=16m", "web1")
    assert " - disk/1 -> hotplug:done" in text
    text = cluster.gnt("gnt-instance", "modify", "--disk", "1:remove", "web1")
    assert " - disk/1 -> hotplug:done" in text
    cluster.matches()


def test_it_moves_with_its_disk(cluster):
    before = ticks(cluster)
    text = cluster.gnt("gnt-instance", "migrate", "-f", "-n", "node2", "web1")
    assert "* copying the disks of instance web1, 48M, to node2" in text
    assert re.search(r"the guest stood still for \d+ ms", text), text
    is_on(cluster, "node2", before)
    cluster.nothing_left()
    cluster.verify()


def test_what_was_given_to_it_moved_along(cluster):
    assert " - nic.1 -> hotplug:done" in cluster.gnt("gnt-instance", "modify", "--net", "1:remove", "web1")
    ticks(cluster, ticks(cluster))


@pytest.mark.parametrize("point", ["migration_mirror_disks:after", "migration_send:before"])
def test_a_move_that_fails_leaves_it_where_it_was(cluster, point):
    before, files = ticks(cluster), cluster.disk_files()
    cluster.arm("fail", f"call:{point}", "node2")
    try:
        ended = cluster.wait_job(migrate(cluster, "node1"))
    finally:
        cluster.disarm()
    assert ended["status"] == "error", ended
    is_on(cluster, "node2", before)
    assert cluster.disk_files() == files
    cluster.nothing_left()


@pytest.mark.parametrize("call", ["migration_mirror_disks", "migration_send"])
def test_a_move_whose_task_is_killed_comes_to_an_end(cluster, call):
    """It is started again, and does what is left."""
    before = ticks(cluster)
    [source] = cluster.guests()["web1"]
    target = "node1" if source == "node2" else "node2"
    cluster.arm("kill", f"call:{call}:after", source)
    ended = cluster.wait_job(migrate(cluster, target))
    assert ended["status"] == "success", ended
    is_on(cluster, target, before)
    cluster.nothing_left()


def test_a_move_outlives_the_master_daemon(cluster):
    before = ticks(cluster)
    [source] = cluster.guests()["web1"]
    target = "node1" if source == "node2" else "node2"
    cluster.arm("kill", "call:migration_mirror_disks:before", source)
    job = migrate(cluster, target)
    cluster.kill("gnt-masterd")
    cluster.start("gnt-masterd")
    assert cluster.wait_job(job)["status"] == "success"
    is_on(cluster, target, before)


def test_removed_nothing_is_left(cluster):
    cluster.gnt("gnt-instance", "remove", "-f", "--shutdown-timeout=0", "web1")
    assert cluster.guests() == {}
    assert not any("disk" in file for file in cluster.disk_files())
    cluster.nothing_left()
    cluster.verify()
