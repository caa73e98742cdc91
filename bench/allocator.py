# SPDX-License-Identifier: BSD-2-Clause
"""What asking hail costs: CPU milliseconds of a request in one process (the cluster grows with each answer), and the
CPU seconds of the program.  40 nodes, 400 DRBD instances, and a smaller and a larger cluster.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

from hbal import alloc

SIZES = ((10, 100), (40, 400), (100, 1000))
REQUESTS = 100
PROGRAM = (sys.executable, "-c", "from hbal.programs.hail import main; raise SystemExit(main())")
KEYS = ("memory-size", "cpu-count", "disk-size", "disk-count", "nic-count", "spindle-use")
LOW, HIGH = (dict(zip(KEYS, sizes, strict=True)) for sizes in ((128, 1, 1024, 1, 1, 1), (32768, 8, 1048576, 16, 8, 12)))
POLICY = {"minmax": [{"min": LOW, "max": HIGH}], "std": LOW, "disk-templates": ["drbd"], "vcpu-ratio": 4.0,
          "spindle-ratio": 32.0}
NODE = {"offline": False, "drained": False, "group": "g", "vm_capable": True, "tags": [],
        "ndparams": {"exclusive_storage": False, "spindle_count": 4}, "total_memory": 131072, "reserved_memory": 1024,
        "free_memory": 130048, "total_disk": 4_000_000, "free_disk": 4_000_000, "total_cpus": 32, "reserved_cpus": 1,
        "total_spindles": 4, "free_spindles": 0}
GUEST = {"memory": 2048, "vcpus": 1, "spindle_use": 1, "disks": [{"size": 20480}], "disk_space_total": 20608,
         "disk_template": "drbd", "tags": [], "nics": []}
REQUEST = {**GUEST, "type": "allocate", "name": "new", "required_nodes": 2}


def message(nodes: int, instances: int) -> dict[str, Any]:
    """A cluster whose instances are spread evenly, and a request for one more."""
    found: dict[str, Any] = {
        "version": 2, "cluster_name": "bench", "cluster_tags": [], "enabled_hypervisors": ["kvm"], "ipolicy": POLICY,
        "nodegroups": {"g": {"name": "default", "alloc_policy": "preferred", "networks": [], "ipolicy": POLICY,
                             "tags": []}},
        "nodes": {f"node{index}": {**NODE} for index in range(nodes)}, "instances": {}, "request": REQUEST}
    for number in range(instances):
        first = number % nodes
        add(found, f"inst{number}", [f"node{first}", f"node{(first + 1 + number // nodes % (nodes - 1)) % nodes}"])
    return found


def add(found: dict[str, Any], name: str, nodes: list[str]) -> None:
    found["instances"][name] = {**GUEST, "nodes": nodes, "admin_state": "up"}
    found["nodes"][nodes[0]]["free_memory"] -= GUEST["memory"]
    for node in nodes:
        found["nodes"][node]["free_disk"] -= GUEST["disk_space_total"]


def in_process(found: dict[str, Any]) -> float:
    """CPU milliseconds a request."""
    alloc.answer(found)
    start = time.process_time()
    for number in range(REQUESTS):
        add(found, f"new{number}", alloc.answer(found)["result"])
    return (time.process_time() - start) / REQUESTS * 1000


def as_program(found: dict[str, Any]) -> float:
    """CPU seconds of one run."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(found, file)
        file.flush()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*PROGRAM, file.name], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    print(f"{'nodes/inst':>12}  {'ms/request':>10} {'a second':>9}  {'program, s':>10}")
    for nodes, instances in SIZES:
        found = message(nodes, instances)
        program = min(as_program(found) for _ in range(3))
        each = in_process(found)
        print(f"{f'{nodes}/{instances}':>12}  {each:10.2f} {1000 / each:9.0f}  {program:10.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
