# SPDX-License-Identifier: BSD-2-Clause
"""What the remote API costs with 2,000 instances: CPU of all daemons a request, requests a second.

    python bench/rapi.py [number of instances]

In brackets what Ganeti 3.0.2 needs, and what Gantry is to reach.  Beside a fixed cluster, a busy one is measured: a
request after each change.
"""

import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pycurl

from gantry import paths
from gantry.luxi.client import Client
from vcluster import processes, up
from vcluster.layout import Layout

FINAL = ("success", "error", "canceled")
CLIENTS = 8


def cpu_seconds(cluster: Layout) -> float:
    """User and system time of all processes of all nodes."""
    total = 0.0
    for node in cluster.nodes:
        for process in processes.of_node(cluster, node):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def submit(door: Client, jobs: list[list[dict[str, Any]]]) -> None:
    """Run jobs that must succeed."""
    ids = [answer[1] for answer in door.call("SubmitManyJobs", [jobs])]
    states: list[str] = []
    while not states or any(state not in FINAL for state in states):
        time.sleep(0.2)
        states = [row[0] for row in door.call("QueryJobs", [ids, ["status"]])]
    assert set(states) == {"success"}, set(states)


def change(number: int) -> dict[str, Any]:
    return {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": f"bench{number}.example.com",
            "beparams": {"maxmem": 32 + time.time_ns() % 1000, "minmem": 16}}


def fill(door: Client, count: int, nodes: list[str]) -> None:
    small = {"maxmem": 16, "minmem": 16}
    for start in range(0, count, 500):
        submit(door, [[{
            "OP_ID": "OP_INSTANCE_CREATE", "instance_name": f"bench{number}.example.com", "mode": "create",
            "disk_template": "diskless", "disks": [], "nics": [{}], "os_type": up.GUEST_OS, "no_install": True,
            "beparams": small, "pnode": nodes[number % len(nodes)]}]
            for number in range(start, min(count, start + 500))])
    submit(door, [[{"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": f"bench{number}.example.com"}]
                  for number in range(0, count, 2)])


def ask(url: str, times: int, between: Callable[[int], Any] = lambda number: None) -> None:
    """GET over one kept connection."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.SSL_VERIFYPEER, 0)
    curl.setopt(pycurl.SSL_VERIFYHOST, 0)
    curl.setopt(pycurl.WRITEFUNCTION, lambda data: None)
    for number in range(times):
        between(number)
        curl.perform()
        assert curl.getinfo(pycurl.RESPONSE_CODE) == 200
    curl.close()


def measure(cluster: Layout, what: str, url: str, count: int, clients: int, note: str) -> None:
    ask(url, 1)
    cpu, start = cpu_seconds(cluster), time.perf_counter()
    threads = [threading.Thread(target=ask, args=(url, count // clients)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds, cpu = time.perf_counter() - start, cpu_seconds(cluster) - cpu
    print(f"{what}, {clients} at once: {cpu / count * 1000:.2f} ms CPU a request, "
          f"{count / seconds:.0f} a second {note}")


def measure_alone(cluster: Layout, what: str, url: str, count: int, between: Callable[[int], Any]) -> None:
    """What the requests cost beyond what `between` does."""
    ask(url, 1)
    before = cpu_seconds(cluster)
    for number in range(count):
        between(number)
    without, middle = cpu_seconds(cluster) - before, cpu_seconds(cluster)
    ask(url, count, between)
    print(f"{what}: {(cpu_seconds(cluster) - middle - without) / count * 1000:.2f} ms CPU a request")


def list_command(cluster: Layout, count: int = 7) -> None:
    values = []
    command = ["gnt-instance", "list", "-o", "name,pnode,os,be/maxmem,disk_template"]
    for _ in range(count):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        processes.run(cluster, cluster.nodes[0], command, capture=True)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        values.append((seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    wall, cpu = (statistics.median(column) for column in zip(*values, strict=True))
    print(f"gnt-instance list, static fields: {wall:.3f} s, {cpu:.3f} CPU seconds (aim 0.3)")


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as folder:
        cluster = up.up(Path(folder), count=3, hypervisor="fake", demo=False)
        try:
            master = cluster.nodes[0]
            door = Client(str(paths.below(str(cluster.root(master))).luxi))
            fill(door, count, cluster.nodes)
            url = up.rapi_address(cluster)
            bulk = f"{url}/2/instances?bulk=1"
            print(f"{count} instances, half of them running")
            for clients in (1, CLIENTS):
                measure(cluster, "/2/instances?bulk=1", bulk, 160, clients,
                        "(Ganeti 1900 ms and 0.3 a second; aim 50 ms and 20 a second)")
            measure_alone(cluster, "  the same, a second after the last", bulk, 8, lambda number: time.sleep(1.2))
            measure_alone(cluster, "  the same, after a change of one instance", bulk, 20,
                          lambda number: submit(door, [[change(number)]]))
            for clients in (1, CLIENTS):
                measure(cluster, "/version", f"{url}/version", 4000, clients, "(Ganeti 18 a second; aim 500)")
            list_command(cluster)
        finally:
            for node in cluster.nodes:
                processes.power_cut(cluster, node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
