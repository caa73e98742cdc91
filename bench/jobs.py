# SPDX-License-Identifier: BSD-2-Clause
"""What a job costs: a three-node virtual cluster, all nodes master candidates.

Prints, for each case, the CPU seconds of all daemons together, jobs a second and latencies, beside what Ganeti
3.0.2 needs on a machine of this kind (0.66 CPU seconds a no-op, 1.3 a modify, 2.4 and 1.5 a second, 0.66 s from
submission to end, 0.16 to 0.21 CPU seconds for a command).
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.luxi.client import Client
from vcluster import processes, up
from vcluster.layout import Layout

FINAL = ("success", "error", "canceled")
NO_OP = {"OP_ID": "OP_TEST_DELAY", "duration": 0.001, "on_master": True, "on_nodes": []}
INSTANCES, IN_FLIGHT, CHANGES = 8, 8, 100


def cpu_seconds(cluster: Layout) -> float:
    """User and system time of all processes of all nodes."""
    total = 0.0
    for node in cluster.nodes:
        for process in processes.of_node(cluster, node):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def client(cluster: Layout) -> Client:
    return Client(str(paths.below(str(cluster.root(cluster.nodes[0]))).luxi))


def wait(door: Client, job: int) -> str:
    status: list[str] = []
    previous: Any = None
    while not status or status[0] not in FINAL:
        answer = door.call("WaitForJobChange", [job, ["status"], previous, None, 30])
        if isinstance(answer, list):
            previous = status = answer[0]
    return status[0]


def no_op_batch(cluster: Layout, count: int) -> None:
    door = client(cluster)
    cpu, start = cpu_seconds(cluster), time.perf_counter()
    answers = door.call("SubmitManyJobs", [[[NO_OP]] * count])
    submitted = time.perf_counter() - start
    jobs = [answer[1] for answer in answers]
    states: list[str] = []
    while not states or any(state not in FINAL for state in states):
        time.sleep(0.1)
        states = [row[0] for row in door.call("QueryJobs", [jobs, ["status"]])]
    seconds, cpu = time.perf_counter() - start, cpu_seconds(cluster) - cpu
    assert set(states) == {"success"}, states
    show(f"{count} no-op jobs in one call", cpu / count, 0.66, f"{count / seconds:.0f} a second (Ganeti 2.4), "
         f"all accepted after {submitted:.2f} s")


def modify_jobs(cluster: Layout) -> None:
    todo = list(range(CHANGES))
    guard = threading.Lock()
    states: list[str] = []

    def work(worker: int) -> None:
        door = client(cluster)
        while True:
            with guard:
                if not todo:
                    return
                number = todo.pop()
            job = door.call("SubmitJob", [[{"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": f"bench{worker}",
                                            "beparams": {"maxmem": 128 + number % 7, "minmem": 64}}]])
            states.append(wait(door, job))

    cpu, start = cpu_seconds(cluster), time.perf_counter()
    workers = [threading.Thread(target=work, args=(index,)) for index in range(IN_FLIGHT)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds, cpu = time.perf_counter() - start, cpu_seconds(cluster) - cpu
    assert set(states) == {"success"}, states
    show(f"{CHANGES} gnt-instance modify -B, {IN_FLIGHT} in flight", cpu / CHANGES, 1.3,
         f"{CHANGES / seconds:.0f} a second (Ganeti 1.5)")


def latency(cluster: Layout, count: int = 100) -> None:
    door = client(cluster)
    times = []
    for _ in range(count):
        start = time.perf_counter()
        wait(door, door.call("SubmitJob", [[NO_OP]]))
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    print(f"a single no-op job, submission to end: p50 {times[count // 2]:.1f} ms, "
          f"p95 {times[count * 95 // 100]:.1f} ms (aim 20; Ganeti 660)")


def start_up(cluster: Layout, count: int = 15) -> None:
    env = processes.environment(cluster, cluster.nodes[0])
    command = child_cpu(lambda: processes.run(cluster, cluster.nodes[0], ["gnt-job", "list"], capture=True), count)
    bare = child_cpu(lambda: subprocess.run([sys.executable, "-c", "pass"], env=env, check=True), count)
    print(f"start of `gnt-job list`: {command:.3f} CPU seconds, {command / bare:.1f} times a bare Python "
          "(aim 0.100; Ganeti 0.16 to 0.21)")


def child_cpu(run: Callable[[], Any], count: int) -> float:
    """Median CPU seconds of the children that `run` waits for."""
    values = []
    for _ in range(count):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        values.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(values)


def show(what: str, cpu: float, ganeti: float, rest: str) -> None:
    print(f"{what}: {cpu * 1000:.2f} ms CPU a job, {ganeti / cpu:.0f} times less than Ganeti (aim 100); {rest}")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as folder:
        cluster = up.up(Path(folder), count=3, hypervisor="fake", demo=False)
        try:
            master = cluster.nodes[0]
            for index in range(INSTANCES):
                done = processes.run(cluster, master, ["gnt-instance", "add", "-t", "diskless", "--no-install",
                                                       "-o", up.GUEST_OS, "--no-nics", "-n", master, f"bench{index}"],
                                     capture=True)
                assert done.returncode == 0, done.stderr + done.stdout
            latency(cluster)
            no_op_batch(cluster, 1000)
            modify_jobs(cluster)
            start_up(cluster)
        finally:
            for node in cluster.nodes:
                processes.power_cut(cluster, node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
