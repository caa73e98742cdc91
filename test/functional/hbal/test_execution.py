# SPDX-License-Identifier: BSD-2-Clause
"""The balancer's programs at a living cluster: the default allocator, and hbal -L -X with what may go wrong."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from support.harness import Harness
from vcluster.processes import environment

HBAL = (sys.executable, "-c", "from hbal.programs.hbal import main; raise SystemExit(main())", "-L")
IMPATIENT = (sys.executable, "-c", "import gantry.luxi.client; gantry.luxi.client.CONNECT_SECONDS = 2.0; "
             "from hbal.programs.hbal import main; raise SystemExit(main())", "-L")
HAREP, HSQUEEZE, HCHECK = ((sys.executable, "-c", f"from hbal.programs.{name} import main; raise SystemExit(main())",
                            "-L") for name in ("harep", "hsqueeze", "hcheck"))
GUESTS = [f"guest{number}" for number in range(6)]


@pytest.fixture(scope="module")
def cluster(own_cluster: Harness) -> Harness:
    """Six guests, all on the first node."""
    for name in GUESTS:
        own_cluster.add(name, "node1", start=False)
    return own_cluster


@pytest.fixture
def crowded(cluster: Harness) -> Iterator[Harness]:
    """All guests are on the first node again."""
    for name, node in cluster.query("instance", ["name", "pnode"]):
        if node != "node1":
            cluster.do({"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": name, "target_node": "node1",
                        "shutdown_timeout": 0})
    yield cluster
    if not cluster.is_running("gnt-masterd"):
        cluster.start("gnt-masterd")


def counts(cluster: Harness) -> list[int]:
    """How many guests each node has."""
    places = [node for _, node in cluster.query("instance", ["name", "pnode"])]
    return [places.count(f"node{number}") for number in (1, 2, 3)]


def begun(cluster: Harness, program: Sequence[str] = HBAL) -> "subprocess.Popen[str]":
    """hbal -X, its first job submitted."""
    started = subprocess.Popen([*program, "-X", "-q"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment(cluster.layout, cluster.master))
    assert started.stdout is not None
    while not started.stdout.readline().startswith("Got job IDs"):
        assert started.poll() is None, started.stderr
    return started


def quiet(cluster: Harness) -> bool:
    """Whether all jobs have ended."""
    return not cluster.query("job", ["id"], ["|", ["=", "status", "running"], ["=", "status", "queued"],
                                             ["=", "status", "waiting"]])


def test_a_new_guest_goes_where_hail_wants_it(crowded: Harness) -> None:
    for more in ([], ["-I", "hail"]):
        crowded.gnt("gnt-instance", "add", "-t", "sharedfile", "--disk", "0:size=16m", "-o", "gantry-guest",
                    "--no-start", *more, "new")
        assert counts(crowded)[0] == len(GUESTS), "the first node is the fullest"
        crowded.remove("new")
    said = crowded.fails("gnt-instance", "add", "-t", "sharedfile", "--disk", "0:size=16m", "-o", "gantry-guest",
                         "-B", "memory=30g", "new")
    assert "Can't compute nodes using iallocator 'hail': Request failed: Group default (preferred): No valid" in said


def test_the_steps_are_carried_out(crowded: Harness) -> None:
    out = crowded.gnt(*HBAL, "-X", "--reason", "test")
    assert counts(crowded) == [2, 2, 2]
    assert out.count("Got job IDs ") == 4
    assert "Nothing to do" in crowded.gnt(*HBAL) or "No solution found" in crowded.gnt(*HBAL)


def test_an_interrupt_lets_the_running_set_end(crowded: Harness) -> None:
    running = begun(crowded)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0
    assert err.splitlines() == ["Cancel request registered, will exit at the end of the current job set...",
                                "Execution was stopped: 1 job sets were submitted, 3 remain."]
    assert counts(crowded)[0] == len(GUESTS) - 1
    assert quiet(crowded)


def test_a_termination_leaves_the_job_alone(crowded: Harness) -> None:
    running = begun(crowded)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (2, "Terminated; the jobs submitted so far go on.\n")
    crowded.until(lambda: quiet(crowded))
    assert counts(crowded)[0] == len(GUESTS) - 1


def test_a_master_that_dies_and_comes_back(crowded: Harness) -> None:
    crowded.arm("kill", "job:OP_INSTANCE_MIGRATE:planned")
    running = begun(crowded)
    crowded.died("gnt-masterd")
    crowded.start("gnt-masterd")
    out, err = running.communicate(timeout=90)
    assert running.returncode == 0, out + err
    assert counts(crowded) == [2, 2, 2]


def test_a_cluster_that_dies_meanwhile(crowded: Harness) -> None:
    crowded.arm("kill", "job:OP_INSTANCE_MIGRATE:planned")
    running = begun(crowded, IMPATIENT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1, out + err
    assert err.startswith("Error: hbal: Cannot communicate with the master daemon. Nothing more is submitted; ")
    assert "goes on without hbal: job " in err
    assert err.count("\n") == 1
    crowded.start("gnt-masterd")
    crowded.until(lambda: quiet(crowded))
    assert counts(crowded)[0] == len(GUESTS) - 1
    crowded.matches()


def test_programs_that_find_nothing_to_do(crowded: Harness) -> None:
    assert "No need to rebalance cluster" in crowded.gnt(*HCHECK)
    assert " Healthy             6" in crowded.gnt(*HAREP)
    assert crowded.gnt(*HSQUEEZE, "--minimal-resources", "0", "--target-resources", "1e6") == "'No action'\n"


def test_nodes_that_are_not_needed_are_switched_off_and_on_again(crowded: Harness) -> None:
    helper = crowded.folder / "oob"
    helper.write_text("#!/bin/sh\nexit 0\n")
    helper.chmod(0o755)
    crowded.gnt("gnt-cluster", "modify", f"--node-parameters=oob_program={helper}")
    try:
        said = crowded.gnt(*HSQUEEZE, "-X", "--target-resources", "0", "--minimal-resources", "0")
        assert said.startswith("'Nodes to offline'\nnode2\nnode3\nGot job IDs ")
        rows = crowded.query("node", ["name", "offline", "powered", "tags"])
        assert rows[1:] == [[name, True, False, ["htools:standby:auto"]] for name in ("node2", "node3")]
        assert counts(crowded) == [len(GUESTS), 0, 0]
        said = crowded.gnt(*HSQUEEZE, "-X", "--minimal-resources", "1e3")
        assert said.startswith("'Nodes to online'\nnode2\nnode3\nGot job IDs ")
        assert [row[1:3] for row in crowded.query("node", ["name", "offline", "powered"])] == [[False, True]] * 3
        # What they can hold is not known while they are off; to fill them again is for hbal.
        assert counts(crowded) == [len(GUESTS), 0, 0]
    finally:
        crowded.gnt("gnt-cluster", "modify", "--node-parameters=oob_program=")
