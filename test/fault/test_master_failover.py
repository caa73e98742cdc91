# SPDX-License-Identifier: BSD-2-Clause
"""The master's node is lost, and a candidate takes over: every acknowledged job is there, and one master only."""

import pytest

from support.harness import virtual_cluster

DELAY = {"OP_ID": "OP_TEST_DELAY", "duration": 0.01}


@pytest.fixture
def cluster(tmp_path):
    with virtual_cluster(tmp_path) as made:
        yield made


def test_acknowledged_jobs_are_known_to_the_next_master(cluster):
    with cluster.client() as client:
        answers = client.call("SubmitManyJobs", [[[DELAY]] * 50])
    cluster.power_cut("node1")
    cluster.gnt("gnt-cluster", "master-failover", node="node2")
    cluster.master = "node2"
    for accepted, job in answers:
        assert accepted
        assert cluster.wait_job(job)["status"] == "success"
