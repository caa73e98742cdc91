# SPDX-License-Identifier: BSD-2-Clause
"""gnt-noded dies at each call of a job, and comes back: the job ends done or undone, and nothing is left."""

import pytest

from support.harness import OP_CREATE
from support.points import calls_of

NAME = "inst"
CREATE = OP_CREATE | {"instance_name": NAME, "disks": [{"size": 4}], "pnode": "node2"}
REMOVE = {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": NAME, "shutdown_timeout": 5}
OF_ALL_JOBS = ("hooks_run", "ssconf_write", "store_append", "task_forget")
"""Calls that come in for every job alike: tried with one kind of job."""


@pytest.fixture
def cluster(own_cluster):
    yield own_cluster
    own_cluster.disarm()
    if guests(own_cluster):
        own_cluster.remove(NAME)


def move(kind, target):
    more = {"shutdown_timeout": 5} if kind == "FAILOVER" else {}
    return {"OP_ID": f"OP_INSTANCE_{kind}", "instance_name": NAME, "target_node": target} | more


def guests(cluster):
    return {row[0]: row for row in cluster.query("instance", ["name", "pnode", "status", "uuid"])}


def breakable(cluster, op, *, general=False):
    """(call, moment): where to break the daemon in a job like this; what only asks changes nothing, so before or
    after its answer is the same."""
    seen = set() if general else set(OF_ALL_JOBS)
    for item in calls_of(cluster, lambda: cluster.do(op)):
        if item.call in seen:
            continue
        seen.update({item.call} & set(OF_ALL_JOBS))
        asks = item.call.endswith(("_info", "_status", "_spec", "_verify", "_validate")) and item.call != "task_status"
        for moment in ("before",) if asks else ("before", "after"):
            yield item, moment


def die(cluster, op, item, moment, node):
    """The job, ended, during which the daemon of the node (or its task) died at this point and came back."""
    armed = cluster.arm("kill", item.point(moment), node)
    job = cluster.submit(op)
    cluster.until(lambda: not armed.exists(), what=f"{item} is reached")
    if not item.as_task:
        cluster.died("gnt-noded", node)
        cluster.start("gnt-noded", node)
    ended = cluster.wait_job(job)
    assert ended["status"] in ("success", "error"), ended
    return ended


def settled(cluster):
    cluster.until(lambda: not cluster.workers(), what="no task runs")
    cluster.matches()
    cluster.nothing_left()


def usable(cluster):
    cluster.do({"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": NAME, "timeout": 5})
    cluster.do({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": NAME})
    settled(cluster)


def test_while_an_instance_is_made(cluster):
    points = list(breakable(cluster, CREATE, general=True))
    cluster.remove(NAME)
    before = cluster.snapshot()
    for item, moment in points:
        ended = die(cluster, CREATE, item, moment, item.node)
        settled(cluster)
        if ended["status"] == "success":
            uuid = guests(cluster)[NAME][3]
            assert cluster.starts(uuid) == 1, (item, moment)
            cluster.remove(NAME)
        assert cluster.snapshot()["disks"] == before["disks"], (item, moment)


def test_while_an_instance_is_removed(cluster):
    cluster.do(CREATE)
    points = list(breakable(cluster, REMOVE))
    for item, moment in points:
        if NAME not in guests(cluster):
            cluster.do(CREATE)
        ended = die(cluster, REMOVE, item, moment, item.node)
        settled(cluster)
        assert (ended["status"] == "success") == (NAME not in guests(cluster)), (item, moment)


@pytest.mark.parametrize(("kind", "starts"), [("MIGRATE", 0), ("FAILOVER", 1)])
def test_while_an_instance_is_moved(cluster, kind, starts):
    cluster.do(CREATE)
    uuid = guests(cluster)[NAME][3]
    points = list(breakable(cluster, move(kind, "node3")))
    here, there = "node3", "node2"
    for item, moment in points:
        node = {"node1": "node1", "node2": here, "node3": there}[item.node]
        count = cluster.starts(uuid)
        ended = die(cluster, move(kind, there), item, moment, node)
        settled(cluster)
        if ended["status"] == "success":
            assert cluster.starts(uuid) == count + starts, (item, moment)
            here, there = there, here
        assert guests(cluster)[NAME][1:3] == [here, "running"], (item, moment, ended)
    usable(cluster)
