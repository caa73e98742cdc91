# SPDX-License-Identifier: BSD-2-Clause
"""gnt-noded dies at each call of a job, and comes back: the job ends done or undone, and nothing is left."""

import pytest

from support.definitions import write_os
from support.harness import OP_CREATE
from support.points import calls_of
from vcluster import processes

NAME = "inst"
CREATE = OP_CREATE | {"instance_name": NAME, "disks": [{"size": 4}], "pnode": "node2"}
REMOVE = {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": NAME, "shutdown_timeout": 5}
OF_ALL_JOBS = ("hooks_run", "store_append", "task_forget")
"""Calls that come in for every job alike: tried with one kind of job."""
BESIDE_JOBS = ("ssconf_write", "store_snapshot", "drbd_watch", "rapi_files_write")
"""Calls that no job waits for: two changes that follow each other closely may share one, or need none."""


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


def asks(item):
    """Whether the call changes nothing: then the moments before it and after it are one, and a job that only looks
    around yet may simply fail."""
    return item.call.endswith(("_info", "_status", "_spec", "_verify", "_validate")) and item.call != "task_status"


def breakable(cluster, op, *, general=False):
    """(call, moment): where to break the daemon in a job like this."""
    seen = set(BESIDE_JOBS) if general else {*BESIDE_JOBS, *OF_ALL_JOBS}
    for item in calls_of(cluster, lambda: cluster.do(op)):
        if item.call in seen:
            continue
        seen.update({item.call} & set(OF_ALL_JOBS))
        for moment in ("before",) if asks(item) else ("before", "after"):
            yield item, moment


def die(cluster, op, item, moment, node):
    """Whether the job was done during which the daemon of the node (or its task) died at this point and came back."""
    armed = cluster.arm("kill", item.point(moment), node)
    job = cluster.submit(op)
    cluster.until(lambda: not armed.exists(), what=f"{item} is reached")
    if not item.as_task:
        cluster.died("gnt-noded", node)
        cluster.start("gnt-noded", node)
    ended = cluster.wait_job(job)
    may_fail = asks(item) or item.call == "store_append"  # the copy's node may die while the job looks around
    assert ended["status"] == "success" or (may_fail and ended["status"] == "error"), (item, moment, ended)
    return ended["status"] == "success"


def settled(cluster):
    """Nothing is left of any job; the last task may be about to end."""
    cluster.until(lambda: not cluster.workers(), what="no task runs")
    cluster.matches()
    cluster.nothing_left()


def usable(cluster):
    cluster.do({"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": NAME, "timeout": 5})
    cluster.do({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": NAME})
    cluster.verify()
    settled(cluster)


def test_while_an_instance_is_made(cluster):
    points = list(breakable(cluster, CREATE, general=True))
    assert {"disk_create", "disks_open", "os_create", "instance_start"} <= {item.call for item, _ in points}
    cluster.remove(NAME)
    before = cluster.disk_files()
    for item, moment in points:
        done = die(cluster, CREATE, item, moment, item.node)
        cluster.matches()
        if done:
            assert cluster.starts(guests(cluster)[NAME][3]) == 1, (item, moment)
            cluster.remove(NAME)
        assert cluster.disk_files() == before, (item, moment)
    cluster.do(CREATE)
    usable(cluster)


def test_while_an_instance_is_removed(cluster):
    cluster.do(CREATE)
    points = list(breakable(cluster, REMOVE))
    assert {"instance_stop", "disks_close", "disk_remove"} <= {item.call for item, _ in points}
    for item, moment in points:
        if NAME not in guests(cluster):
            cluster.do(CREATE)
        done = die(cluster, REMOVE, item, moment, item.node)
        cluster.matches()
        assert done == (NAME not in guests(cluster)), (item, moment)
    settled(cluster)
    cluster.verify()


@pytest.mark.parametrize(("kind", "starts"), [("MIGRATE", 0), ("FAILOVER", 1)])
def test_while_an_instance_is_moved(cluster, kind, starts):
    cluster.do(CREATE)
    uuid = guests(cluster)[NAME][3]
    here, there = "node3", "node2"
    for item, moment in list(breakable(cluster, move(kind, here))):
        node = {"node1": "node1", "node2": here, "node3": there}[item.node]
        count = cluster.starts(uuid)
        done = die(cluster, move(kind, there), item, moment, node)
        cluster.matches()
        if done:
            here, there = there, here
        assert cluster.starts(uuid) == count + starts * done, (item, moment)
        assert guests(cluster)[NAME][1:3] == [here, "running"], (item, moment)
    usable(cluster)


@pytest.fixture
def slow(cluster, tmp_path):
    """An OS whose create script stands still, the first time, until the file `go` is there."""
    write_os(cluster, "slow", create=f"[ -e {tmp_path}/pid ] && exit 0; echo $$ > {tmp_path}/new; "
             f"mv {tmp_path}/new {tmp_path}/pid; until [ -e {tmp_path}/go ]; do sleep 0.05; done")
    return tmp_path


def stands_still(cluster, slow):
    """(job that makes an instance, pid of the script), when the script runs."""
    job = cluster.submit(CREATE | {"os_type": "slow"})
    cluster.until((slow / "pid").exists, what="the script runs")
    return job, int((slow / "pid").read_text())


def test_power_cut_in_the_middle_of_a_script(cluster, slow):
    job, script = stands_still(cluster, slow)
    cluster.power_cut("node2")
    assert processes.ended(script)
    cluster.power_on("node2")
    ended = cluster.wait_job(job)
    assert ended["status"] == "success", ended
    settled(cluster)
    usable(cluster)


def test_the_script_outlives_the_node_daemon(cluster, slow):
    job, script = stands_still(cluster, slow)
    cluster.kill("gnt-noded", "node2")
    assert not processes.ended(script)
    (slow / "go").touch()
    cluster.until(lambda: processes.ended(script))
    cluster.start("gnt-noded", "node2")
    assert cluster.wait_job(job)["status"] == "success"
    settled(cluster)
    usable(cluster)


def test_cut_off_and_back_during_a_job(cluster, slow):
    job, script = stands_still(cluster, slow)
    cluster.vcluster("isolate", "node2")
    (slow / "go").touch()
    cluster.until(lambda: processes.ended(script))
    assert cluster.job(job)["status"] == "running"
    cluster.vcluster("rejoin", "node2")
    assert cluster.wait_job(job)["status"] == "success"
    settled(cluster)
    usable(cluster)


def test_its_power_is_cut_under_a_guest(cluster):
    """The guest is gone with its node, and the cluster says so; it runs again where an operator puts it."""
    cluster.do(CREATE)
    cluster.power_cut("node2")
    assert guests(cluster)[NAME][2] == "ERROR_nodedown"
    cluster.do(move("FAILOVER", "node3"))
    assert guests(cluster)[NAME][1:3] == ["node3", "running"]
    cluster.power_on("node2")
    settled(cluster)
    usable(cluster)
