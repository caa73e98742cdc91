# SPDX-License-Identifier: BSD-2-Clause
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gantry.rapi.metrics import Metrics
from gantry.rapi.states import States
from gantry.utils import counting
from support.rapi import FakeDoor, application, ask


@pytest.fixture
def door():
    instances = (b'{"version": "v", "objects": [{"uuid": "a", "status": "running", "admin_state": "up", "pnode": "n1"},'
                 b' {"uuid": "b", "status": "running", "admin_state": "up", "pnode": "n1"}]}')
    return FakeDoor(
        QueryNodes=[["M"], ["C"], ["C"]], QueryInstanceObjects=instances, QueryGroups=[["default", 3, 2]],
        QueryJobs=[[1, "success", ["INSTANCE_CREATE(a)"]], [2, "success", ["INSTANCE_CREATE(b)"]], [3, None, None],
                   [4, "queued", ["TEST_DELAY", "X"]]],
        Query={"fields": [], "data": [[[0, [["shared", [4, 5]], ["exclusive", [6]]]]], [[0, []]]]},
        QueryMetrics={
            "store_commit_seconds": {"kind": "histogram", "help": "h", "labels": [], "values": [
                [[], [3, 1.5, [0, 1] + [3] * (len(counting.BOUNDS) - 2)]]]},
            "rpc_errors": {"kind": "counter", "help": "h", "labels": ["node", "error"], "values": [[["n1", "x"], 7]]},
            "in_sync_candidates": {"kind": "gauge", "help": "h", "labels": [], "values": [[[], 3]]},
            "job_queue_seconds": {"kind": "histogram", "help": "h", "labels": [], "values": []}})


def samples(text):
    return {(sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


def test_the_cluster_in_numbers(door, tmp_path):
    answer = ask(application(door, tmp_path), "GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found = samples(answer.raw.decode())
    for key, value in {
        ("gantry_nodes", "master"): 1, ("gantry_nodes", "master-candidate"): 2,
        ("gantry_instances", "n1", "running", "up"): 2, ("gantry_groups",): 1, ("gantry_group_nodes", "default"): 3,
        ("gantry_group_instances", "default"): 2, ("gantry_jobs", "INSTANCE_CREATE", "success"): 2,
        ("gantry_jobs", "TEST_DELAY", "queued"): 1, ("gantry_lock_waiters",): 3,
        ("gantry_store_commit_seconds_count",): 3, ("gantry_store_commit_seconds_sum",): 1.5,
        ("gantry_store_commit_seconds_bucket", "0.0025"): 1, ("gantry_store_commit_seconds_bucket", "+Inf"): 3,
        ("gantry_rpc_errors_total", "n1", "x"): 7, ("gantry_in_sync_candidates",): 3,
    }.items():
        assert found[key] == value, key


def test_who_asks_often_gets_the_same(door):
    metrics = Metrics(door, States(door))
    first = metrics.text()
    asked = len(door.calls)
    assert metrics.text() is first
    assert len(door.calls) == asked


def test_requests_are_counted(door, tmp_path):
    app = application(door, tmp_path)
    ask(app, "GET", "/nosuch")
    ask(app, "PUT", "/2/modify")
    found = samples(ask(app, "GET", "/metrics").raw.decode())
    assert found["gantry_rapi_request_seconds_count", "-", "404", "GET"] >= 1
    assert found["gantry_rapi_request_seconds_count", "401", "PUT", "cluster_modify"] >= 1
