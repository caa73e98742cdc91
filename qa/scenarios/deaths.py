# SPDX-License-Identifier: BSD-2-Clause
"""Master and node daemons die at the steps of create, replace-disks, grow, convert and migrate: done or undone."""

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qa import work
from qa.cluster import faults, install, mirror
from qa.cluster.cluster import Cluster
from qa.cluster.console import Console
from qa.cluster.guest import SIZE, Guest
from qa.work import QaError

NAME = "deaths1"
_JOB_SECONDS = 1800.0
_TRIES = 6
"""A node daemon that dies while a job looks whether it can begin makes that job fail; then there is another one."""


@dataclass(frozen=True)
class Operation:
    """A command whose job has the opcode `op`; `calls`: what nodes are asked to do by its plan.

    `argv` makes the cluster ready for the operation, and gives its command.
    """

    title: str
    op: str
    argv: Callable[[Cluster], tuple[str, ...]]
    calls: tuple[str, ...]


def _add(cluster: Cluster) -> tuple[str, ...]:
    if cluster.gnt("instance", "list", "--no-headers", "-o", "name").strip():
        cluster.gnt("instance", "remove", "-f", "--shutdown-timeout=0", NAME)
    return ("add", "-t", "drbd", "--disk", f"0:size={SIZE}m", "-o", install.OS, "-n", "node1:node2", "-B",
            "memory=16m,vcpus=1", "--no-name-check", "--no-ip-check", NAME)


def _replace(cluster: Cluster) -> tuple[str, ...]:
    primary, secondary = mirror.nodes_of(cluster, NAME)
    (other,) = {*cluster.nodes} - {primary, secondary}
    return ("replace-disks", "-n", other, NAME)


def _grow(_cluster: Cluster) -> tuple[str, ...]:
    return ("grow-disk", NAME, "0", "8m")


def _to_plain(cluster: Cluster) -> tuple[str, ...]:
    if cluster.instance(NAME, "disk_template") == ["plain"]:
        cluster.gnt("instance", *_TO_DRBD)
    return _TO_PLAIN


def _to_drbd(cluster: Cluster) -> tuple[str, ...]:
    if cluster.instance(NAME, "disk_template") == ["drbd"]:
        cluster.gnt("instance", *_TO_PLAIN)
    return _TO_DRBD


def _migrate(_cluster: Cluster) -> tuple[str, ...]:
    return ("migrate", "-f", NAME)


_TO_PLAIN = ("modify", "-t", "plain", "--live", NAME)
_TO_DRBD = ("modify", "-t", "drbd", "-n", "node2", "--live", NAME)
CREATE = Operation("create", "OP_INSTANCE_CREATE", _add, (
    "disk_create", "disks_assemble", "disks_force", "os_create", "drbd_wait_synced", "instance_start"))
OTHERS = (
    Operation("replace-disks", "OP_INSTANCE_REPLACE_DISKS", _replace, (
        "disk_create", "disks_close", "disks_assemble", "drbd_replace_peer", "drbd_wait_synced", "disk_remove")),
    Operation("grow", "OP_INSTANCE_GROW_DISK", _grow, (
        "disk_grow", "drbd_resize", "instance_disk_resized", "drbd_wait_synced")),
    Operation("migrate", "OP_INSTANCE_MIGRATE", _migrate, (
        "disks_assemble", "drbd_connect", "drbd_wait_synced", "disks_open", "migration_accept", "migration_send",
        "migration_finish_target", "migration_finish_source", "disks_demote")),
    Operation("convert to plain", "OP_INSTANCE_SET_PARAMS", _to_plain, (
        "disk_create", "instance_disk_exchange", "disk_remove")),
    Operation("convert to drbd", "OP_INSTANCE_SET_PARAMS", _to_drbd, (
        "disk_create", "disks_assemble", "disks_force", "drbd_wait_synced", "instance_disk_exchange", "disk_remove")))


def run(cluster: Cluster) -> None:
    """Create comes first and always: the others need what it makes."""
    faults.enable(cluster)
    chosen = os.environ.get("QA_OPERATIONS", "").split(",") if os.environ.get("QA_OPERATIONS") else None
    if chosen is None or CREATE.title in chosen:
        for kill in (nodes_die, master_dies):
            kill(cluster, CREATE)
            cluster.verify()
    else:
        cluster.gnt("instance", *_add(cluster))
    uuid = cluster.instance(NAME, "uuid")[0]
    with Console(cluster.lab.machines, uuid) as console:
        guest = Guest(cluster, NAME, console)
        guest.wait_for_records(3)
        for operation in OTHERS:
            if chosen is None or operation.title in chosen:
                for kill in (nodes_die, master_dies):
                    kill(cluster, operation)
                    settled(cluster, operation, guest)
    cluster.gnt("instance", "remove", "-f", "--shutdown-timeout=0", NAME)
    faults.disable(cluster)


def settled(cluster: Cluster, operation: Operation, guest: Guest) -> None:
    guest.wait_for_records(5, seconds=120)
    cluster.gnt("cluster", "verify-disks")
    cluster.verify()
    work.say(f"after {operation.title}: verify is clean, {guest.check()} records")


def master_dies(cluster: Cluster, operation: Operation) -> None:
    """After each step, before it is recorded: the job goes on at every start and must come to its end."""
    begin, argv = time.monotonic(), operation.argv(cluster)
    faults.arm(cluster, cluster.master, [f"step:{operation.op}:{index}:after" for index in range(80)])
    job, status = carried_out(cluster, argv)
    deaths = faults.disarm(cluster, cluster.master)
    work.say(f"{operation.title}: the master daemon died {deaths} times, job {job} ended as {status} after "
             f"{time.monotonic() - begin:.0f} s")
    if status != "success" or not deaths:
        raise QaError(f"job {job} ({operation.title}) ended as {status} after {deaths} deaths of the master daemon:\n"
                      + cluster.gnt("job", "info", str(job)))


def nodes_die(cluster: Cluster, operation: Operation) -> None:
    """On each node the daemon, or the process of the task, dies at the end of each call, once: done or undone, and
    verify is clean, until it is done.
    """
    begin, ends = time.monotonic(), list[str]()
    argv = operation.argv(cluster)
    for node in cluster.nodes:
        faults.arm(cluster, node, [f"call:{call}:after" for call in operation.calls])
    while ends[-1:] != ["success"]:
        job, status = carried_out(cluster, argv)
        ends.append(status)
        cluster.wait_for_nodes()
        if ends[-1] != "success":
            cluster.verify()
        if len(ends) > _TRIES:
            raise QaError(f"{operation.title}: {len(ends)} jobs ended as {', '.join(ends)}; the last one:\n"
                          + cluster.gnt("job", "info", str(job)))
    deaths = sum(faults.disarm(cluster, node) for node in cluster.nodes)
    work.say(f"{operation.title}: node daemons or tasks died {deaths} times, jobs ended as {', '.join(ends)} after "
             f"{time.monotonic() - begin:.0f} s")
    if deaths < len(operation.calls):
        raise QaError(f"{operation.title} does not come to all of {', '.join(operation.calls)}")


def carried_out(cluster: Cluster, argv: Sequence[str]) -> tuple[int, str]:
    """(the job's number, how it ended), however often the master daemon is away meanwhile: the command waits for it."""
    said = cluster[cluster.master].run("gnt-instance", argv[0], "--print-jobid", *argv[1:], seconds=_JOB_SECONDS,
                                       may_fail=True)
    numbers = [int(number) for number in re.findall(r"^(\d+)$", said.stdout, re.MULTILINE)]
    if not numbers:
        raise QaError(f"gnt-instance {' '.join(argv)} gave no job: {said.stdout} {said.stderr}")
    status = wait_job(cluster, numbers[0])
    if (status == "success") != (said.status == 0):
        raise QaError(f"job {numbers[0]} ended as {status}, but the command that waited for it with {said.status}:\n"
                      f"{said.stdout}{said.stderr}")
    return numbers[0], status


def wait_job(cluster: Cluster, job: int) -> str:
    """How it ended."""
    end = time.monotonic() + _JOB_SECONDS
    while time.monotonic() < end:
        said = cluster[cluster.master].run("gnt-job", "list", "--no-headers", "-o", "status", str(job), seconds=600,
                                           may_fail=True)
        status = said.stdout.strip()
        if said.status == 0 and status in ("success", "error", "canceled"):
            return status
        time.sleep(2)
    raise QaError(f"job {job} has not ended")
