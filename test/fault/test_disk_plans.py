# SPDX-License-Identifier: BSD-2-Clause
"""Daemons are killed on their way through plans that change the disks of a running instance.

The boundaries are enumerated from the stored plan: after a step that was not recorded, forward and back.  Started
again, it ends the job, done or undone: no volume, minor or connection is left over.  Daemons and their programs cost
seconds, so only every third boundary is tried here; the units' own tests cut the plans off at all of them.
"""

import pytest

from gantry.rpc.registry import CALLS
from support.disk_operations import OP_IDS, DiskOperation


def some(points):
    """Every third boundary, the last one among them."""
    return [point for point in points if point.endswith(":after")][::-1][::3]


@pytest.mark.parametrize("kind", OP_IDS)
def test_killed_on_the_way(cluster, kind):
    operation = DiskOperation(cluster, kind, {})
    for point in some(operation.points_forward(operation.stored_plan())):
        op, job = operation.cut(point)
        assert job["status"] == "success", (point, job)
        operation.ended(op, job)
    cluster.verify()


@pytest.mark.parametrize("kind", ["replace", "convert"])
def test_killed_on_the_way_back(cluster, kind):
    operation = DiskOperation(cluster, kind, {})
    failing, points = operation.points_back(operation.stored_plan())
    for point in some(points):
        op, job = operation.cut(point, failing=failing)
        assert job["status"] == "error", (point, job)
        operation.ended(op, job)
    cluster.verify()


@pytest.mark.parametrize(("kind", "call"), [
    ("replace", "drbd_replace_peer"), ("grow", "drbd_resize"), ("convert", "instance_disk_exchange")])
def test_the_primary_nodes_daemon_is_killed(cluster, kind, call):
    """Or the process of its task: after the call did its work, before the master hears of it."""
    operation = DiskOperation(cluster, kind, {})
    op = operation.prepare()
    armed = cluster.arm("kill", f"call:{call}:after", "node2")
    job = cluster.submit(op)
    cluster.until(lambda: not armed.exists(), what=f"{call} is reached", seconds=90)
    if not CALLS[call].task:
        cluster.died("gnt-noded", "node2")
        cluster.start("gnt-noded", "node2")
    ended = cluster.wait_job(job)
    assert ended["status"] == "success", ended
    operation.ended(op, ended)
