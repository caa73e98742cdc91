# SPDX-License-Identifier: BSD-2-Clause
"""Daemons die at random moments under a load of mixed jobs."""

import pytest

DELAY = {"OP_ID": "OP_TEST_DELAY", "duration": 0.01}


@pytest.fixture
def cluster(own_cluster):
    return own_cluster


def test_no_acknowledged_job_is_lost(cluster):
    with cluster.client() as client:
        jobs = [client.call("SubmitJob", [[DELAY]]) for _ in range(20)]
    cluster.kill("gnt-masterd")
    cluster.start("gnt-masterd")
    for job in jobs:
        assert cluster.wait_job(job)["status"] == "success"
    cluster.nothing_left()
