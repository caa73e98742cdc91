# SPDX-License-Identifier: BSD-2-Clause
"""Daemons are killed on their way through exports and imports: done or undone, no snapshot and no half export is left.

Daemons and their programs cost seconds, so only every fourth boundary is tried here; the units' own tests cut the plans
off at all of them.  An import is a creation but for one step.
"""

import pytest

from gantry.rpc.registry import CALLS
from support.export_operations import TARGET, ExportOperation


def some(points):
    """Every fourth boundary, the last one among them."""
    return [point for point in points if point.endswith(":after")][::-1][::4]


def test_killed_on_the_way(cluster):
    operation = ExportOperation(cluster, "export", {})
    for point in some(operation.points_forward(operation.stored_plan())):
        op, job = operation.cut(point)
        assert job["status"] == "success", (point, job)
        operation.ended(op, job)
    cluster.verify()


def test_killed_on_the_way_back(cluster):
    operation = ExportOperation(cluster, "export", {})
    failing, points = operation.points_back(operation.stored_plan())
    for point in some(points):
        op, job = operation.cut(point, failing=failing)
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
