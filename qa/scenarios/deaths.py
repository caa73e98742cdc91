# SPDX-License-Identifier: BSD-2-Clause
"""Master and node daemons die at the steps of create, replace-disks, grow, convert and migrate: done or undone."""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from qa import work
from qa.cluster import faults, install
from qa.cluster.cluster import Cluster
from qa.cluster.console import Console
from qa.cluster.guest import SIZE, Guest
from qa.work import QaError

NAME = "deaths1"
_JOB_SECONDS = 1800.0


@dataclass(frozen=True)
class Operation:
    """A command whose job has the opcode `op`; `calls`: at whose end a node daemon dies, in a run of its own each."""

    title: str
    op: str
    argv: tuple[str, ...]
    calls: tuple[str, ...] = ()


CREATE = Operation("create", "OP_INSTANCE_CREATE", (
    "add", "-t", "drbd", "--disk", f"0:size={SIZE}m", "-o", install.OS, "-n", "node1:node2", "-B", "memory=16m,vcpus=1",
    "--no-name-check", "--no-ip-check", NAME), ("disk_create", "disks_force", "instance_start"))
OTHERS = (
    Operation("replace-disks", "OP_INSTANCE_REPLACE_DISKS", ("replace-disks", "-n", "node3", NAME),
              ("drbd_replace_peer",)),
    Operation("grow", "OP_INSTANCE_GROW_DISK", ("grow-disk", NAME, "0", "8m"), ("drbd_resize",)),
    Operation("convert to plain", "OP_INSTANCE_SET_PARAMS", ("modify", "-t", "plain", "--live", NAME),
              ("instance_disk_exchange",)),
    Operation("convert to drbd", "OP_INSTANCE_SET_PARAMS", ("modify", "-t", "drbd", "-n", "node2", "--live", NAME)),
    Operation("migrate", "OP_INSTANCE_MIGRATE", ("migrate", "-f", NAME), ("migration_send",)),
)


def run(cluster: Cluster) -> None:
    faults.enable(cluster)
    chosen = os.environ.get("QA_OPERATIONS", "").split(",") if os.environ.get("QA_OPERATIONS") else None
    create(cluster)
    uuid = cluster.instance(NAME, "uuid")[0]
    with Console(cluster.lab.machines, uuid) as console:
        guest = Guest(cluster, NAME, console)
        guest.wait_for_records(3)
        for operation in OTHERS:
            if chosen is None or operation.title in chosen:
                through(cluster, operation, guest)
    cluster.gnt("instance", "remove", "-f", "--shutdown-timeout=0", NAME)
    faults.disable(cluster)


def create(cluster: Cluster) -> None:
    """With the node daemon dying, and removed again if it was made all the same; the last one stays."""
    for call in CREATE.calls:
        status = node_dies(cluster, CREATE, call)
        if status == "success":
            cluster.gnt("instance", "remove", "-f", "--shutdown-timeout=0", NAME)
        cluster.verify()
    master_dies(cluster, CREATE)
    cluster.verify()


def through(cluster: Cluster, operation: Operation, guest: Guest) -> None:
    """One operation: a node daemon dies once, then the master daemon at each step; it is carried out in the end."""
    for call in operation.calls:
        if node_dies(cluster, operation, call) == "success":
            break
        settled(cluster, operation, guest)
    else:
        master_dies(cluster, operation)
    settled(cluster, operation, guest)


def settled(cluster: Cluster, operation: Operation, guest: Guest) -> None:
    guest.wait_for_records(5, seconds=120)
    cluster.gnt("cluster", "verify-disks")
    cluster.verify()
    work.say(f"after {operation.title}: verify is clean, {guest.check()} records")


def master_dies(cluster: Cluster, operation: Operation) -> None:
    """After each step, before it is recorded: the job goes on at every start and must come to its end."""
    begin = time.monotonic()
    faults.arm(cluster, cluster.master, [f"step:{operation.op}:{index}:after" for index in range(80)])
    job = submit(cluster, operation.argv)
    status = wait_job(cluster, job)
    deaths = faults.disarm(cluster, cluster.master)
    work.say(f"{operation.title}: the master daemon died {deaths} times, job {job} ended as {status} after "
             f"{time.monotonic() - begin:.0f} s")
    if status != "success" or not deaths:
        raise QaError(f"job {job} ({operation.title}) ended as {status} after {deaths} deaths of the master daemon:\n"
                      + cluster.gnt("job", "info", str(job)))


def node_dies(cluster: Cluster, operation: Operation, call: str) -> str:
    """On whichever nodes the call comes to; how the job ended."""
    begin = time.monotonic()
    for node in cluster.nodes:
        faults.arm(cluster, node, [f"call:{call}:after"])
    job = submit(cluster, operation.argv)
    status = wait_job(cluster, job)
    deaths = sum(faults.disarm(cluster, node) for node in cluster.nodes)
    work.say(f"{operation.title}: node daemons or tasks died {deaths} times at the end of {call}, job {job} ended as "
             f"{status} after {time.monotonic() - begin:.0f} s")
    if not deaths:
        raise QaError(f"job {job} ({operation.title}) never came to the end of {call}")
    cluster.wait_for_nodes()
    return status


def submit(cluster: Cluster, argv: Sequence[str]) -> int:
    """The job's number; the master daemon may die before the command has it."""
    said = cluster[cluster.master].run("gnt-instance", argv[0], "--submit", "--print-jobid", *argv[1:], seconds=600,
                                       may_fail=True)
    numbers = [int(number) for number in re.findall(r"\bJobID: (\d+)", said.stdout + said.stderr)]
    if not numbers:
        raise QaError(f"gnt-instance {' '.join(argv)} gave no job: {said.stdout} {said.stderr}")
    return numbers[0]


def wait_job(cluster: Cluster, job: int) -> str:
    """How it ended, however often the master daemon is away meanwhile."""
    end = time.monotonic() + _JOB_SECONDS
    while time.monotonic() < end:
        said = cluster[cluster.master].run("gnt-job", "list", "--no-headers", "-o", "status", str(job), seconds=600,
                                           may_fail=True)
        status = said.stdout.strip()
        if said.status == 0 and status in ("success", "error", "canceled"):
            return status
        time.sleep(2)
    raise QaError(f"job {job} has not ended")
