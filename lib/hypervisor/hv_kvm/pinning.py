# SPDX-License-Identifier: BSD-2-Clause
"""Which CPUs of the node run which part of a guest."""

import os
from contextlib import suppress

from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm.qmp import Qmp


def plan(mask: str, vcpus: int) -> tuple[frozenset[int] | None, list[frozenset[int] | None]]:
    """(CPUs for all threads, CPUs for each vCPU or nothing); None stands for all CPUs.  Pure."""
    parts = [None if part == "all" else cpus(part) for part in mask.split(":")]
    if len(parts) == 1:
        return parts[0], []
    if len(parts) != vcpus:
        raise HypervisorError(detail=f"cpu_mask names CPUs for {len(parts)} vCPUs, the guest has {vcpus}")
    return None, parts


def cpus(text: str) -> frozenset[int]:
    """The numbers in a list such as `0-2,5`."""
    found: set[int] = set()
    for item in text.split(","):
        first, _, last = item.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def apply(qmp: Qmp, pid: int, mask: str, vcpus: int) -> None:
    """Pin a guest that has not begun to run; raises HypervisorError when the node lacks such CPUs."""
    everything, each = plan(mask, vcpus)
    try:
        if everything is not None:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread), everything)
        if each:
            for cpu in qmp.execute("query-cpus-fast"):
                wanted = each[cpu["cpu-index"]]
                if wanted is not None:
                    os.sched_setaffinity(cpu["thread-id"], wanted)
    except OSError as err:
        raise HypervisorError(detail=f"cpu_mask {mask} does not fit this node: {err.strerror}") from err
