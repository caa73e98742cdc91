# SPDX-License-Identifier: BSD-2-Clause
"""gnt-noded dies at each call of a job, and comes back: the job ends done or undone, and nothing is left."""

import pytest


@pytest.fixture
def cluster(own_cluster):
    yield own_cluster
    own_cluster.disarm()


def test_the_daemon_of_a_node_dies_while_an_instance_is_made(cluster):
    cluster.arm("kill", "call:disks_open:before", "node2")
    job = cluster.submit(
        {"OP_ID": "OP_INSTANCE_CREATE", "mode": "create", "disk_template": "sharedfile", "disks": [{"size": 4}],
         "nics": [{}], "os_type": "gantry-guest", "instance_name": "inst", "pnode": "node2"})
    cluster.died("gnt-noded", "node2")
    cluster.start("gnt-noded", "node2")
    assert cluster.wait_job(job)["status"] == "success"
    cluster.matches()
    cluster.verify()
    cluster.remove("inst")
    cluster.nothing_left()
