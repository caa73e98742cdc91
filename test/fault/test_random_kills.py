# SPDX-License-Identifier: BSD-2-Clause
"""Daemons die at random moments under a load of mixed jobs: what was acknowledged ends, what was recorded stays."""

import random
import threading
import time
from queue import Empty, SimpleQueue

import pytest

from gantry.errors import Error
from support.harness import OP_CREATE

SEED, ROUNDS, CLIENTS, JOBS = 20260, 8, 8, 200
NODES = ("node1", "node2", "node3")


@pytest.fixture
def cluster(own_cluster):
    return own_cluster


def work(dice):
    """Opcodes of the load: nothing at all, changes of the configuration, small instances that come and go."""
    for number in range(JOBS):
        name, node = f"i{dice.randrange(6)}", dice.choice(NODES)
        diskless = {"disk_template": "diskless", "disks": [], "os_type": None, "no_install": True, "start": False}
        yield dice.choice((
            {"OP_ID": "OP_TEST_DELAY", "duration": 0.001},
            {"OP_ID": "OP_TEST_DELAY", "duration": 0.05, "on_nodes": [node]},
            {"OP_ID": "OP_CLUSTER_SET_PARAMS", "candidate_pool_size": 10 + number},
            {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": name, "beparams": {"vcpus": 1 + number % 4}},
            OP_CREATE | {"instance_name": name, "pnode": node, "disks": [{"size": 4}]},
            OP_CREATE | {"instance_name": name, "pnode": node} | diskless,
            {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": name, "shutdown_timeout": 0},
            {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": name},
            {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": name, "shutdown_timeout": 0}))


class Load:
    """Clients that submit one job after another and wait for each; none is submitted a second time.

    `acknowledged`: opcode by job; `unknown`: how many got no answer."""

    def __init__(self, cluster, ops):
        self._cluster, self._ops = cluster, SimpleQueue()
        self.acknowledged, self.unknown, self.over = {}, 0, threading.Event()
        for op in ops:
            self._ops.put(op)
        self._threads = [threading.Thread(target=self._run, name=f"client {number}") for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    @property
    def done(self):
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self):
        while not self.over.is_set():
            try:
                op = self._ops.get_nowait()
            except Empty:
                return
            try:
                job = self._cluster.submit(op)
            except (Error, OSError):
                self.unknown += 1
                continue
            self.acknowledged[job] = op
            self._ended(job)

    def _ended(self, job):
        while not self.over.is_set():
            try:
                with self._cluster.client() as client:
                    answer = client.call("WaitForJobChange", [job, ["status"], None, None, 5.0])
            except (Error, OSError):
                self.over.wait(0.1)
                continue
            if answer != "nochange" and answer[0][0] in ("success", "error", "canceled"):
                return

    def end(self):
        self.over.set()
        for thread in self._threads:
            thread.join(timeout=60)


def test_no_acknowledged_job_is_lost(cluster):
    dice = random.Random(SEED)
    load = Load(cluster, list(work(dice)))
    killed = []
    try:
        for _ in range(ROUNDS):
            daemon, node = dice.choice([("gnt-masterd", "node1"), *(("gnt-noded", node) for node in NODES)])
            time.sleep(dice.uniform(0.1, 0.8))  # the moment is what is random
            cluster.kill(daemon, node)
            time.sleep(dice.uniform(0.0, 0.3))
            cluster.start(daemon, node)
            killed.append((daemon, node))
        cluster.until(lambda: load.done, seconds=120, what="all jobs have ended")
    finally:
        load.end()
    ends = {job: cluster.wait_job(job) for job in load.acknowledged}
    counts = {status: sum(end["status"] == status for end in ends.values()) for status in ("success", "error")}
    assert len(load.acknowledged) + load.unknown == JOBS
    assert load.unknown <= CLIENTS * ROUNDS
    assert sum(counts.values()) == len(load.acknowledged), killed
    assert counts["success"] > JOBS / 4, (counts, [end["result"] for end in ends.values()])
    settled(cluster)
    config_is_what_jobs_made_it(cluster, load, ends)


def settled(cluster):
    cluster.until(lambda: not cluster.workers(), what="no task runs")
    cluster.until(lambda: all(end for end, in cluster.query("job", ["end_ts"])), what="all jobs have ended")
    cluster.nothing_left()
    cluster.matches()
    cluster.verify()


def copies_agree(cluster):
    copies = [cluster.rows("cluster", "nodes", "instances", "disks", "jobs", node=node) for node in NODES]
    return copies[0] == copies[1] == copies[2]


def config_is_what_jobs_made_it(cluster, load, ends):
    """The last change of each thing is there: for the cluster's parameter, the one that ended last."""
    times = dict(cluster.query("job", ["id", "end_ts"]))
    sizes = [(times[job], op["candidate_pool_size"]) for job, op in load.acknowledged.items()
             if "candidate_pool_size" in op and ends[job]["status"] == "success"]
    assert sizes
    if not load.unknown:
        now = next(iter(cluster.rows("cluster")["cluster"].values()))["candidate_pool_size"]
        assert now == max(sizes)[1]
    cluster.until(lambda: copies_agree(cluster), what="all copies are alike")
