# SPDX-License-Identifier: BSD-2-Clause
"""Daemons are killed on their way through exports and imports: done or undone, no snapshot and no half export is left.

Daemons and their programs cost seconds, so only every fourth boundary is tried here; the units' own tests cut the plans
off at all of them.  An import is a creation but for one step.
"""

import pytest

from gantry.rpc.registry import CALLS
from support.disk_cluster import disk_cluster
from support.export_operations import TARGET, ExportOperation


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with disk_cluster(tmp_path_factory.mktemp("c")) as made:
        yield made


@pytest.fixture
def cluster(nodes):
    yield nodes
    nodes.disarm()


def some(points):
    """Every fourth boundary, the last one among them."""
    return [point for point in points if point.endswith(":after")][::-1][::4]


def cut(operation, point, *, failing=""):
    """Kill the master daemon at the point, start it again; the opcode, and how its job ended."""
    cluster = operation.cluster
    op = operation.prepare()
    if failing:
        cluster.arm("fail", failing)
    armed = cluster.arm("kill", point)
    job = cluster.submit_and_die(op)
    assert job is not None
    cluster.until(lambda: not armed.exists(), what=f"the master daemon comes to {point}", seconds=90)
    cluster.died("gnt-masterd")
    cluster.start("gnt-masterd")
    return op, cluster.wait_job(job)


def test_killed_on_the_way(cluster):
    operation = ExportOperation(cluster, "export", {})
    for point in some(operation.points_forward(operation.stored_plan())):
        op, job = cut(operation, point)
        assert job["status"] == "success", (point, job)
        operation.ended(op, job)
    cluster.verify()


def test_killed_on_the_way_back(cluster):
    operation = ExportOperation(cluster, "export", {})
    failing, points = operation.points_back(operation.stored_plan())
    for point in some(points):
        op, job = cut(operation, point, failing=failing)
        assert job["status"] == "error", (point, job)
        operation.ended(op, job)
    cluster.verify()


@pytest.mark.parametrize(("kind", "call", "moment"), [
    ("export", "disk_snapshot", "after"), ("export", "export_send", "before"), ("export", "export_finish", "after"),
    ("import", "import_receive", "before")])
def test_a_node_daemon_or_its_task_is_killed(cluster, kind, call, moment):
    operation = ExportOperation(cluster, kind, {})
    op = operation.prepare()
    node = TARGET if call == "export_finish" else "node2"
    armed = cluster.arm("kill", f"call:{call}:{moment}", node)
    job = cluster.submit(op)
    cluster.until(lambda: not armed.exists(), what=f"{call} is reached", seconds=90)
    if not CALLS[call].task:
        cluster.died("gnt-noded", node)
        cluster.start("gnt-noded", node)
    ended = cluster.wait_job(job)
    assert ended["status"] == "success", ended
    operation.ended(op, ended)
