# SPDX-License-Identifier: BSD-2-Clause
"""Jobs in the hands of their operator: handed over, watched, hurried, cancelled, put away."""

import json
import subprocess

import pytest

from support.definitions import write_os
from support.harness import OP_CREATE
from vcluster import processes

DELAY = {"OP_ID": "OP_TEST_DELAY", "duration": 0.01}
LONG = {"OP_ID": "OP_TEST_DELAY", "duration": 600}
HOLD = OP_CREATE | {"instance_name": "held", "os_type": "endless", "pnode": "node3"}
"""Holds the locks of node3 until it is cancelled."""
BEHIND = {"OP_ID": "OP_TEST_DELAY", "duration": 0.01, "on_nodes": ["node3"], "no_locks": False}


@pytest.fixture
def cluster(shared_cluster):
    yield shared_cluster
    for job, status in shared_cluster.query("job", ["id", "status"]):
        if status not in ("success", "error", "canceled"):
            shared_cluster.run("gnt-job", "cancel", str(job))
            shared_cluster.wait_job(job)
    assert shared_cluster.locks() == []


@pytest.fixture
def holding(cluster):
    """A job that holds the locks of node3."""
    write_os(cluster, "endless", create="sleep 600")
    job = cluster.submit(HOLD)
    cluster.until(lambda: "running the instance OS create scripts" in json.dumps(cluster.job(job)["log"]))
    return job


def status(cluster, job):
    return cluster.job(job)["status"]


def until(cluster, job, wanted):
    cluster.until(lambda: status(cluster, job) == wanted, what=f"job {job} is {wanted}")


def test_a_job_is_handed_over_or_waited_for(cluster):
    done = cluster.run("gnt-debug", "delay", "--submit", "0.01")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("JobID: ")
    job = int(done.stderr.split()[1])
    assert cluster.wait_job(job)["status"] == "success"
    assert int(cluster.gnt("gnt-debug", "delay", "--print-jobid", "0.01").splitlines()[0]) > job


def test_a_reason_is_kept(cluster):
    done = cluster.run("gnt-debug", "delay", "--submit", "--reason", "a test", "0.01")
    text = cluster.gnt("gnt-job", "info", done.stderr.split()[1])
    assert "[gnt:client:gnt-debug, delay, " in text
    assert "[gnt:user, a test, " in text


def test_the_exit_status_is_the_jobs(cluster):
    job = cluster.submit({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "nosuch"})
    for command in ("wait", "watch"):
        assert "Instance 'nosuch' not known" in cluster.fails("gnt-job", command, str(job))
    assert cluster.wait_job(job)["result"] == [["OpPrereqError", ["Instance 'nosuch' not known", "unknown_entity"]]]
    assert cluster.fails("gnt-job", "wait", "99999")
    assert cluster.fails("gnt-job", "watch", "99999")


def test_watching_shows_the_log_to_its_end(cluster):
    cluster.add("watched", "node1")
    job = cluster.submit({"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "watched", "target_node": "node2"})
    lines = cluster.gnt("gnt-job", "watch", str(job)).splitlines()
    assert lines[0] == f"Output from job {job} follows"
    assert lines[1] == "-" * len(lines[0])
    assert lines[2][20:].startswith("2026 ") or lines[2][20:24].isdigit()
    assert any("* migrating instance watched" in line for line in lines)
    cluster.remove("watched")


def test_progress_is_shown_while_a_long_step_runs(cluster, holding):
    """Whoever watches sees how far a step is, and about how long all will take."""
    with subprocess.Popen(["gnt-job", "watch", str(holding)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          env=processes.environment(cluster.layout, "node1"), text=True) as watching:
        line = ""
        while " - INFO: step 4/7 running the instance OS create scripts" not in line:
            line = watching.stdout.readline()
            assert line
        cluster.gnt("gnt-job", "cancel", str(holding))
        assert watching.wait(timeout=60) == 1
    assert line.rstrip().endswith(" left")


def test_queued_waiting_and_running_jobs_are_cancelled(cluster, holding):
    waiting = cluster.submit(BEHIND)
    until(cluster, waiting, "waiting")
    depending = cluster.submit(DELAY | {"depends": [[holding, ["success"]]]})
    assert cluster.gnt("gnt-job", "list", "--no-headers", "-o", "id", "--running").split() == [str(holding)]
    assert cluster.gnt("gnt-job", "list", "--no-headers", "-o", "id", "--pending").split() == [
        str(waiting), str(depending)]
    assert cluster.fails("gnt-job", "cancel", "--waiting", status=13)
    cluster.gnt("gnt-job", "cancel", "-f", "--waiting")
    assert cluster.wait_job(waiting)["status"] == "canceled"
    cluster.gnt("gnt-job", "cancel", str(holding))
    assert cluster.wait_job(holding)["status"] == "canceled"
    assert cluster.wait_job(depending)["status"] in ("error", "canceled")
    assert cluster.run("gnt-job", "cancel", str(holding)).returncode == 1
    assert cluster.run("gnt-job", "cancel", "99999").returncode == 1


def test_a_cancelled_instance_is_undone(cluster):
    before = cluster.snapshot()
    write_os(cluster, "endless", create="sleep 600")
    job = cluster.submit(HOLD)
    cluster.until(lambda: "running the instance OS create scripts" in json.dumps(cluster.job(job)["log"]))
    assert len(cluster.disk_files()) > len(before["disks"])
    cluster.gnt("gnt-job", "cancel", str(job))
    assert cluster.wait_job(job)["status"] == "canceled"
    assert cluster.snapshot() == before


def test_the_more_urgent_job_comes_first(cluster, holding):
    late, urgent = cluster.submit(BEHIND), cluster.submit(BEHIND)
    for job in (late, urgent):
        until(cluster, job, "waiting")
    assert cluster.fails("gnt-job", "change-priority", str(urgent))
    cluster.gnt("gnt-job", "change-priority", "--priority", "high", str(urgent))
    rows = dict(cluster.query("job", ["id", "priority"]))
    assert (rows[late], rows[urgent]) == (0, -10)
    cluster.gnt("gnt-job", "cancel", str(holding))
    for job in (late, urgent):
        assert cluster.wait_job(job)["status"] == "success"
    ends = {job: end for job, end in cluster.query("job", ["id", "end_ts"]) if job in (late, urgent)}
    assert ends[urgent] < ends[late]


def test_ended_jobs_are_archived_and_still_found(cluster):
    job, other, running = cluster.submit(DELAY), cluster.submit(DELAY), cluster.submit(LONG)
    for ended in (job, other):
        cluster.wait_job(ended)
    until(cluster, running, "running")
    cluster.gnt("gnt-job", "archive", str(job))
    assert cluster.fails("gnt-job", "archive", str(running)) == f"Failed to archive job with ID '{running}'\n"
    live = cluster.gnt("gnt-job", "list", "--no-headers", "-o", "id").split()
    assert str(job) not in live
    assert str(other) in live
    assert cluster.gnt("gnt-job", "autoarchive", "1w") == "Archived 0 jobs, 0 unchecked left\n"
    text = cluster.gnt("gnt-job", "autoarchive", "all")
    assert text.startswith("Archived ")
    assert cluster.gnt("gnt-job", "list", "--no-headers", "-o", "id").split() == [str(running)]
    archived = cluster.gnt("gnt-job", "list", "--no-headers", "--separator=|", "--archived").splitlines()
    assert f"{job}|success|TEST_DELAY(0.01)|Y" in archived
    assert f"{running}|running|TEST_DELAY(600.0)|N" in archived


def test_a_drained_queue_takes_nothing_until_it_is_undrained(cluster):
    cluster.gnt("gnt-cluster", "queue", "drain")
    try:
        assert cluster.gnt("gnt-cluster", "queue", "info") == "The drain flag is set\n"
        assert cluster.fails("gnt-debug", "delay", "0.01") == (
            "Failure: the job queue is marked for drain and doesn't accept new requests\n")
        cluster.restart("gnt-masterd")
        assert cluster.gnt("gnt-cluster", "queue", "info") == "The drain flag is set\n"
    finally:
        cluster.gnt("gnt-cluster", "queue", "undrain")
    assert cluster.gnt("gnt-cluster", "queue", "info") == "The drain flag is unset\n"
    cluster.gnt("gnt-debug", "delay", "0.01")


def test_jobs_are_submitted_from_files(cluster, tmp_path):
    file = tmp_path / "ops.json"
    file.write_text(json.dumps([DELAY, DELAY]))
    cluster.gnt("gnt-debug", "submit-job", str(file))
    assert cluster.query("job", ["id", "summary"])[-1][1] == ["TEST_DELAY(0.01)", "TEST_DELAY(0.01)"]
    for text in ("[", "{}", '[{"OP_ID": "OP_NOSUCH"}]', '[{"OP_ID": "OP_TEST_DELAY"}]',
                 '[{"OP_ID": "OP_TEST_DELAY", "duration": "x"}]',
                 '[{"OP_ID": "OP_TEST_DELAY", "duration": 1, "x": 1}]'):
        file.write_text(text)
        assert cluster.fails("gnt-debug", "submit-job", str(file)), text


def test_a_hundred_jobs_at_once(cluster):
    with cluster.client() as client:
        answers = client.call("SubmitManyJobs", [[[DELAY]] * 100])
    assert all(accepted for accepted, _ in answers)
    assert len({job for _, job in answers}) == 100
    for _, job in answers:
        assert cluster.wait_job(job)["status"] == "success"
