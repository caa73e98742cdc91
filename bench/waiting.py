# SPDX-License-Identifier: BSD-2-Clause
"""1,000 clients that wait for a job to change: what they cost while nothing happens, and how soon each is told.

    python bench/waiting.py [number of clients]

Over LUXI (WaitForJobChange) and over the remote API (`/2/jobs/N/wait`).  How soon: from the end of the job, as the
master daemon has recorded it, to the moment when this program has the answer.  Gantry is to need no measurable CPU
and to tell each within 100 ms.
"""

import json
import os
import resource
import selectors
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gantry import paths
from gantry.luxi.client import Client, connect_unix
from gantry.luxi.protocol import encode_request
from vcluster import processes, up
from vcluster.layout import Layout

IDLE_SECONDS = 3.0
JOB_SECONDS = 9.5
"""Less than the ten seconds that a client of the remote API may wait at once."""
Way = tuple[Callable[[], socket.socket], Callable[[int], bytes]]
"""How to connect, and what to send then to wait for a job."""


def cpu_seconds(cluster: Layout) -> float:
    """User and system time of all processes of all nodes."""
    total = 0.0
    for node in cluster.nodes:
        for process in processes.of_node(cluster, node):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def over_luxi(cluster: Layout) -> Way:
    path = paths.below(str(cluster.root(cluster.nodes[0]))).luxi

    def connect() -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connect_unix(link, path)
        return link
    return connect, lambda job: encode_request("WaitForJobChange", [job, ["status"], ["running"], None, 60])


def over_rapi(cluster: Layout) -> Way:
    users = paths.below(str(cluster.root(cluster.nodes[0]))).rapi_users
    users.parent.mkdir(exist_ok=True)
    users.write_text("bench secret write\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (cluster.address(cluster.nodes[0]), 5080)
    body = json.dumps({"fields": ["status"], "previous_job_info": ["running"], "previous_log_serial": None})
    head = (f"HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YmVuY2g6c2VjcmV0\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n")
    return (lambda: context.wrap_socket(socket.create_connection(address)),
            lambda job: f"GET /2/jobs/{job}/wait {head}{body}".encode())


def submit(door: Client) -> int:
    job: int = door.call("SubmitJob", [[{"OP_ID": "OP_TEST_DELAY", "duration": JOB_SECONDS, "on_nodes": []}]])
    while door.call("QueryJobs", [[job], ["status"]]) != [["running"]]:
        time.sleep(0.05)
    return job


def measure(cluster: Layout, door: Client, what: str, way: Way, count: int) -> None:
    connect, request = way
    begin = time.monotonic()
    links = [connect() for _ in range(count)]
    took = time.monotonic() - begin
    job, begin = submit(door), time.monotonic()
    for link in links:
        link.sendall(request(job))
    time.sleep(1)
    before = cpu_seconds(cluster)
    time.sleep(IDLE_SECONDS)
    idle = (cpu_seconds(cluster) - before) / IDLE_SECONDS
    if time.monotonic() - begin > JOB_SECONDS:
        sys.stdout.write(f"{what}: nothing can be said, the job has ended before all had asked\n")
        return
    told: list[float] = []
    with selectors.DefaultSelector() as selector:
        for link in links:
            selector.register(link, selectors.EVENT_READ)
        while len(told) < count:
            for key, _ in selector.select():
                key.fileobj.recv(1 << 16)  # type: ignore[union-attr]  # all of them are sockets
                told.append(time.time())
                selector.unregister(key.fileobj)
    for link in links:
        link.close()
    (seconds, micro), = door.call("QueryJobs", [[job], ["end_ts"]])[0]
    late = sorted(1000 * (moment - seconds - micro / 1e6) for moment in told)
    sys.stdout.write(f"{count} clients over {what}, connected in {took:.1f} s: {idle * 100:.2f} % of a processor while "
                     f"they wait; told after {late[0]:.0f} to {late[-1]:.0f} ms, half of them within "
                     f"{late[count // 2]:.0f} ms (aim 0 %, 100 ms)\n")


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="gantry-bench-") as folder:
        cluster = up.up(Path(folder), count=1, hypervisor="fake", demo=False)
        try:
            door = Client(str(paths.below(str(cluster.root(cluster.nodes[0]))).luxi))
            measure(cluster, door, "LUXI", over_luxi(cluster), 1)
            measure(cluster, door, "LUXI", over_luxi(cluster), count)
            measure(cluster, door, "the remote API", over_rapi(cluster), count)
        finally:
            for node in cluster.nodes:
                processes.power_cut(cluster, node)
    return 0


if __name__ == "__main__":
    os.environ.pop("FORCE_LUXI_SOCKET", None)
    sys.exit(main())
