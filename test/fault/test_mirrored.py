# SPDX-License-Identifier: BSD-2-Clause
"""Mirrored disks, while something is killed or cut off.

The master daemon is killed on its way through the plans of an instance with a mirrored disk.

The boundaries are enumerated from the stored plan: after a step that was not recorded, forward and back; every sixth
of them is tried here, all of them on a model (test/unit/cmdlib/test_lvm_create.py and test_mirrored_*.py).  Started
again, the daemon ends the job, done or undone; no volume, minor or connection is left over, nothing is primary twice.
"""

import pytest

from support.operations import NAME, OP_IDS, Operation

PAIR = {"disk_template": "drbd", "snode": "node3", "disks": [{"size": 8}]}
EACH = 6


@pytest.mark.parametrize("kind", OP_IDS)
def test_killed_on_the_way(cluster, kind):
    operation = Operation(cluster, kind, PAIR)
    points = [point for point in operation.points_forward(operation.stored_plan()) if point.endswith(":after")]
    for point in points[1::EACH]:
        op, job = operation.cut(point)
        assert job["status"] == "success", (point, job)
        operation.ended(op, job)


@pytest.mark.parametrize("kind", ["add", "migrate", "failover"])
def test_killed_on_the_way_back(cluster, kind):
    operation = Operation(cluster, kind, PAIR)
    failing, points = operation.points_back(operation.stored_plan())
    for point in [point for point in points if point.endswith(":after")][::EACH]:
        op, job = operation.cut(point, failing=failing)
        assert job["status"] == "error", (point, job)
        operation.ended(op, job)


# --- nodes and networks that break ---


def mirror(cluster):
    """(primary, status, state of the mirror) of the instance."""
    [row] = cluster.query("instance", ["pnode", "status", "mirror.status"], ["=", "name", NAME])
    return tuple(row)


@pytest.fixture
def guest(cluster):
    """An instance that runs on node2 and is mirrored on node3; both nodes are well in the end."""
    if NAME not in {name for [name] in cluster.query("instance", ["name"])}:
        cluster.add(NAME, **PAIR)
    yield cluster
    cluster.disks.heal()
    for node in ("node2", "node3"):
        cluster.power_on(node)
    cluster.until(lambda: all(value for [value] in cluster.query("node", ["mfree"])), what="all nodes answer")
    cluster.remove(NAME)
    cluster.matches()


def verify_disks(cluster):
    return cluster.gnt("gnt-cluster", "verify-disks")


def test_the_primary_loses_its_power(guest):
    guest.power_cut("node2")
    guest.gnt("gnt-node", "failover", "-f", "node2", seconds=240)
    assert mirror(guest) == ("node3", "running", "degraded")
    guest.power_on("node2")
    assert f"Activating disks for instance '{NAME}'" in verify_disks(guest)
    assert "No disks need to be activated." in verify_disks(guest)
    assert mirror(guest) == ("node3", "running", "ok")
    guest.verify()
    guest.matches()


def test_an_end_that_missed_something_is_not_gone_on_with(guest):
    guest.power_cut("node3")
    guest.gnt("gnt-instance", "shutdown", "--timeout=0", NAME)
    assert "does not answer" in guest.fails("gnt-instance", "startup", NAME)
    guest.gnt("gnt-instance", "startup", "--force", NAME)
    guest.power_on("node3")
    guest.power_cut("node2")
    assert "last brought up for owner 1" in guest.fails("gnt-instance", "failover", "-f", NAME)
    guest.power_on("node2")
    verify_disks(guest)
    verify_disks(guest)
    assert mirror(guest)[2] == "ok"


def test_both_ends_were_written_to_while_apart(guest):
    two, three = (guest.layout.address(node) for node in ("node2", "node3"))
    guest.disks.cut(two, three)
    assert mirror(guest) == ("node2", "running", "degraded")
    assert "with --ignore-consistency what instance" in guest.fails("gnt-instance", "failover", "-f", NAME)
    guest.do({"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": NAME, "ignore_consistency": True})
    guest.disks.heal()
    verify_disks(guest)
    assert mirror(guest) == ("node3", "running", "degraded"), "nobody's data is thrown away unasked"
    problems = guest.run("gnt-cluster", "verify")
    assert problems.returncode == 1
    assert "split brain" in problems.stdout
    guest.gnt("gnt-instance", "replace-disks", "-s", NAME)
    assert mirror(guest) == ("node3", "running", "ok")
    assert "No disks need to be activated." in verify_disks(guest)
