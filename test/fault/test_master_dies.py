# SPDX-License-Identifier: BSD-2-Clause
"""The master daemon is killed at every boundary of the plans of add, remove, migrate and failover.

The boundaries are enumerated from the plan that the daemon stored itself.  Started again, it ends the job, done or
undone; nothing is left over, nothing runs twice, and the instance can be used.
"""

import pytest

from support.operations import NAME, OP_IDS, Operation

TWO_DISKS = {"disks": [{"size": 8}, {"size": 8}]}


@pytest.fixture
def cluster(own_cluster):
    yield own_cluster
    own_cluster.disarm()


@pytest.mark.parametrize("kind", OP_IDS)
def test_killed_on_the_way(cluster, kind):
    operation = Operation(cluster, kind, TWO_DISKS)
    steps = operation.stored_plan()
    assert len(steps) > 3
    for point in operation.points_forward(steps):
        op, job = operation.cut(point)
        assert job["status"] == "success", (point, job)
        operation.ended(op, job)


@pytest.mark.parametrize("kind", ["add", "migrate", "failover"])
def test_killed_on_the_way_back(cluster, kind):
    operation = Operation(cluster, kind, TWO_DISKS)
    failing, points = operation.points_back(operation.stored_plan())
    assert len(points) > 1
    for point in points:
        op, job = operation.cut(point, failing=failing)
        assert job["status"] == "error", (point, job)
        assert failing in str(job["result"])
        operation.ended(op, job)


LOCAL = {"disk_template": "file"}
EACH = 4


def test_killed_while_disks_move_along(cluster):
    """Every fourth boundary; all of them are tried on a model (test/unit/cmdlib/test_instance_moves.py)."""
    operation = Operation(cluster, "migrate", LOCAL)
    if operation.instance() is not None:
        cluster.remove(NAME)
    steps = operation.stored_plan()
    for point in [*operation.points_forward(steps)][::EACH]:
        op, job = operation.cut(point)
        assert job["status"] == "success", (point, job)
        operation.ended(op, job)
    failing, points = operation.points_back(steps)
    for point in points[::EACH]:
        op, job = operation.cut(point, failing=failing)
        assert job["status"] == "error", (point, job)
        operation.ended(op, job)


SMALL = {"beparams": {"minmem": 96, "maxmem": 96}}


@pytest.mark.qemu
def test_killed_while_a_real_guest_is_made(qemu_cluster):
    operation = Operation(qemu_cluster, "add", SMALL)
    for point in operation.points_forward(operation.stored_plan()):
        op, job = operation.cut(point)
        assert job["status"] == "success", (point, job)
        operation.ended(op, job)


@pytest.mark.qemu
def test_killed_while_a_real_guest_migrates(qemu_cluster):
    """It never boots again, whatever happens to the master daemon."""
    cluster, operation = qemu_cluster, Operation(qemu_cluster, "migrate", SMALL)
    operation.prepare()
    cluster.until(lambda: cluster.on_disk(2) > 0, seconds=90, what="the guest ticks")
    boots = cluster.on_disk(1)
    steps = operation.stored_plan()
    failing, back = operation.points_back(steps)
    for point in [*operation.points_forward(steps), *back]:
        ticks = cluster.on_disk(2)
        op, job = operation.cut(point, failing=failing if point in back else "")
        assert (job["status"] == "success") == (point not in back), (point, job)
        operation.ended(op, job)
        cluster.until(lambda: cluster.on_disk(2) > ticks, seconds=60, what="the guest ticks on")  # noqa: B023
        assert cluster.on_disk(1) == boots, point
