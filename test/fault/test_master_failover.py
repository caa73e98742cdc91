# SPDX-License-Identifier: BSD-2-Clause
"""The master's node is lost, and a candidate takes over: every acknowledged job is there, and one master only."""

import json
import re
import sys
import threading
import time

import pytest

from gantry.errors import Error
from support.harness import virtual_cluster
from support.operations import OP_IDS, Operation

DELAY = {"OP_ID": "OP_TEST_DELAY", "duration": 0.2}
NOTHING = {"OP_ID": "OP_TEST_DELAY", "duration": 0.001}
RING = {"node1": "node4", "node4": "node5", "node5": "node1"}
FAILOVER = ("gnt-cluster", "master-failover")

LATE_CALL = """
import json, sys
from gantry.errors import Error
from gantry.rpc import calls
from gantry.rpc.client import ask
from gantry.rpc.exchange import Peer
uuid, name, address, term, master = json.loads(sys.argv[1])
try:
    ask(Peer(uuid, name, address), calls.ssconf_write, standing=(term, master), values={}, serial=10 ** 9)
except Error as err:
    print(type(err).__name__)
"""


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Guests live on node2 and node3, the master moves among the others."""
    with virtual_cluster(tmp_path_factory.mktemp("c"), nodes=5) as made:
        yield made


@pytest.fixture
def cluster(five):
    yield five
    five.disarm()


def in_sync(cluster):
    return set(cluster.rows("meta")["meta"]["in_sync"]["nodes"])


def whole(cluster):
    """Wait until every node holds a copy that counts."""
    cluster.until(lambda: in_sync(cluster) == set(cluster.rows("nodes")["nodes"]), what="all are in sync")


def heir(cluster):
    """The next master, when its copy counts.  The present one is put where no guest is."""
    if cluster.master not in RING:
        whole(cluster)
        take_over(cluster, "node1")
        cluster.wait_job(cluster.submit(NOTHING))  # what it wrote first is on every copy then
    node, nodes = RING[cluster.master], cluster.rows("nodes")["nodes"]
    cluster.until(lambda: node in {nodes[uuid]["name"] for uuid in in_sync(cluster)}, what=f"{node} is in sync")
    return node


def take_over(cluster, node, *options):
    cluster.gnt(*FAILOVER, *options, node=node)
    cluster.master = node


def take_over_with_newest(cluster, node):
    """A candidate may have got the last record of a master that died while it sent it; then that one takes over."""
    done = cluster.run(*FAILOVER, node=node)
    if done.returncode != 0:
        found = re.search(r"node (\w+) holds a newer copy .*: make that node the master", done.stderr)
        assert found, done.stderr
        node = found[1]
        cluster.gnt(*FAILOVER, node=node)
    cluster.master = node


def lose_master(cluster, new):
    """The master's node goes dark at once, its master daemon first; `new` takes over.  The node that is lost."""
    old = cluster.master
    if cluster.is_running("gnt-masterd"):
        cluster.kill("gnt-masterd")
    cluster.power_cut(old)
    take_over_with_newest(cluster, new)
    return old


def bring_back(cluster, node):
    """It obeys the new master."""
    cluster.power_on(node)
    said = cluster.fails("gnt-masterd", node=node, status=11)
    assert "not the master" in said or "not master" in said or "no longer master" in said, said
    assert masters(cluster) == [cluster.master]


def succeeds(cluster, job):
    ended = cluster.wait_job(job)
    assert ended["status"] == "success", ended


def masters(cluster):
    return [node for node in cluster.layout.nodes if cluster.is_running("gnt-masterd", node)]


@pytest.mark.parametrize("many", [True, False])
def test_every_acknowledged_job_is_known_to_the_next_master(cluster, many):
    new = heir(cluster)
    with cluster.client() as client:
        if many:
            answers = client.call("SubmitManyJobs", [[[DELAY]] * 50])
        else:
            answers = [(True, client.call("SubmitJob", [[DELAY]])) for _ in range(50)]
    old = lose_master(cluster, new)
    known = {row[0] for row in cluster.query("job", ["id"])}
    assert known >= {job for _, job in answers}
    assert cluster.submit(NOTHING) > max(known)
    for accepted, job in answers:
        assert accepted
        succeeds(cluster, job)
    bring_back(cluster, old)
    whole(cluster)
    cluster.nothing_left()
    cluster.verify()


def some_points(operation, steps):
    """Every fourth step that has an effect, done but not recorded; the end, recorded but not known to anybody."""
    points = list(operation.points_forward(steps))
    after = [f"step:{operation.op_id}:{index}:after" for index, step in enumerate(steps)
             if step["action"]["kind"] != "say"]
    return [*after[1::4], points[-1]]


@pytest.mark.parametrize("kind", OP_IDS)
def test_lost_at_the_steps_of_a_plan(cluster, kind):
    operation = Operation(cluster, kind, {"disks": [{"size": 4}]})
    steps = operation.stored_plan()
    for point in some_points(operation, steps):
        new = heir(cluster)
        op = operation.prepare()
        armed = cluster.arm("kill", point)
        job = cluster.submit_and_die(op)
        assert job is not None
        cluster.until(lambda file=armed: not file.exists(), what=f"the master comes to {point}")
        cluster.died("gnt-masterd")
        old = lose_master(cluster, new)
        ended = cluster.wait_job(job)
        assert ended["status"] == "success", (point, ended)
        cluster.power_on(old)
        assert masters(cluster) == [cluster.master]
        operation.ended(op, ended)


def test_late_calls_of_the_old_master_are_refused(cluster):
    new = heir(cluster)
    nodes = {node["name"]: node for node in cluster.rows("nodes")["nodes"].values()}
    before = json.loads(cluster.paths().term.read_text())
    old = lose_master(cluster, new)
    bring_back(cluster, old)
    whole(cluster)
    for name, node in nodes.items():
        asked = json.dumps([node["uuid"], name, node["primary_ip"], before["term"], before["master"]])
        assert cluster.gnt(sys.executable, "-c", LATE_CALL, asked, node=old) == "StaleTerm\n", name
    cluster.verify()


class Submitter(threading.Thread):
    """Submits no-ops to one node's socket until told to stop.  `acknowledged`: (job, when it was known)."""

    def __init__(self, cluster, node):
        super().__init__(name=f"submits to {node}", daemon=True)
        self._cluster, self._node = cluster, node
        self.acknowledged, self.over = [], threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.01):
            try:
                with self._cluster.client(self._node) as client:
                    job = client.call("SubmitJob", [[NOTHING]])
                self.acknowledged.append((job, time.monotonic()))
            except (Error, OSError):
                self.over.wait(0.1)

    def stop(self):
        self.over.set()
        self.join(timeout=60)
        assert not self.is_alive()


def test_a_master_that_is_cut_off_acknowledges_nothing_and_steps_down(cluster):
    old, new = cluster.master, heir(cluster)
    submitters = [Submitter(cluster, old)]
    try:
        cluster.until(lambda: len(submitters[0].acknowledged) > 3)
        cluster.vcluster("isolate", old)
        isolated = time.monotonic()
        take_over_with_newest(cluster, new)
        submitters.append(Submitter(cluster, cluster.master))
        assert cluster.is_running("gnt-masterd", old)
        cluster.until(lambda: len(submitters[1].acknowledged) > 3)
        cluster.vcluster("rejoin", old)
        cluster.died("gnt-masterd", old)
    finally:
        cluster.vcluster("rejoin", old)
        for submitter in submitters:
            submitter.stop()
    assert [job for job, when in submitters[0].acknowledged if when > isolated + 0.5] == []
    acknowledged = [job for submitter in submitters for job, _ in submitter.acknowledged]
    assert len(set(acknowledged)) == len(acknowledged)
    for job in acknowledged:
        succeeds(cluster, job)
    assert masters(cluster) == [cluster.master]
    cluster.fails("gnt-masterd", node=old, status=11)
    whole(cluster)
    cluster.nothing_left()
    cluster.verify()


def test_only_candidates_take_over_and_the_master_needs_not(cluster):
    whole(cluster)
    assert "already the master" in cluster.fails(*FAILOVER)
    cluster.gnt("gnt-cluster", "modify", "--candidate-pool-size=3")
    cluster.gnt("gnt-node", "modify", "--master-candidate=no", "node3")
    assert cluster.fails(*FAILOVER, node="node3")
    cluster.gnt("gnt-cluster", "modify", "--candidate-pool-size=10")
    cluster.gnt("gnt-node", "modify", "--master-candidate=yes", "node3")
    whole(cluster)
    new = heir(cluster)
    old = cluster.master
    take_over(cluster, new)  # of a master that lives: it is stopped
    cluster.died("gnt-masterd", old)
    assert masters(cluster) == [cluster.master]
    whole(cluster)
    cluster.verify()


def test_a_copy_that_is_out_of_date_is_refused(tmp_path):
    with virtual_cluster(tmp_path) as cluster:
        whole(cluster)
        cluster.kill("gnt-noded", "node3")
        cluster.gnt("gnt-cluster", "modify", "--candidate-pool-size=7")
        job = cluster.submit(NOTHING)
        cluster.power_cut("node1")
        cluster.start("gnt-noded", "node3")
        assert "out of date" in cluster.fails(*FAILOVER, node="node3")
        assert cluster.fails(*FAILOVER, "--no-voting", "--yes-do-it", node="node3"), "node2 has more"
        take_over(cluster, "node2")
        succeeds(cluster, job)
        whole_but(cluster, "node1")
        cluster.power_on("node1")
        whole(cluster)
        cluster.verify()


def whole_but(cluster, name):
    rest = {uuid for uuid, node in cluster.rows("nodes")["nodes"].items() if node["name"] != name}
    cluster.until(lambda: in_sync(cluster) == rest, what=f"all but {name} are in sync")


def test_the_last_copy_is_used_on_the_operators_word(tmp_path):
    """With an old copy, when all others are lost: what only they knew is lost with them."""
    with virtual_cluster(tmp_path) as cluster:
        whole(cluster)
        cluster.kill("gnt-noded", "node3")
        cluster.gnt("gnt-cluster", "modify", "--candidate-pool-size=7")
        for node in ("node1", "node2"):
            cluster.power_cut(node)
        cluster.start("gnt-noded", "node3")
        assert "more than half" in cluster.fails(*FAILOVER, node="node3")
        take_over(cluster, "node3", "--no-voting", "--yes-do-it")
        assert cluster.rows("cluster")["cluster"].popitem()[1].get("candidate_pool_size") != 7
        for node in ("node1", "node2"):
            cluster.power_on(node)
        assert masters(cluster) == ["node3"]
        whole(cluster)
        cluster.verify()


def test_of_two_nodes_one_takes_over_on_the_operators_word(tmp_path):
    with virtual_cluster(tmp_path, nodes=2) as cluster:
        whole(cluster)
        job = cluster.submit(DELAY)
        cluster.power_cut("node1")
        assert "more than half" in cluster.fails(*FAILOVER, node="node2")
        take_over(cluster, "node2", "--no-voting", "--yes-do-it")
        succeeds(cluster, job)
        cluster.power_on("node1")
        cluster.fails("gnt-masterd", node="node1", status=11)
        whole(cluster)
        assert masters(cluster) == ["node2"]
        cluster.verify()
