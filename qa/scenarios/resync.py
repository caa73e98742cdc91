# SPDX-License-Identifier: BSD-2-Clause
"""Twenty disks resynchronise at once at the configured rate, and it is said how much is not yet redundant, how long."""

import time

from qa import work
from qa.cluster import install, mirror
from qa.cluster.cluster import Cluster, wait_until
from qa.work import QaError

DISKS, INSTANCES = 10, 2
SIZE = 32
"""MiB each."""
RATE = 192
"""KiB/s each: the first disks must not be done before the last are made."""
SLACK = 1.5
"""How much faster than configured is still taken for the rate; DRBD counts in steps."""


def run(cluster: Cluster) -> None:
    names = [f"sync{number + 1}" for number in range(INSTANCES)]
    cluster.gnt("cluster", "modify", "-D", f"drbd:resync-rate={RATE},dynamic-resync=false")
    disks = [word for number in range(DISKS) for word in ("--disk", f"{number}:size={SIZE}m")]
    for name in names:
        cluster.gnt("instance", "add", "-t", "drbd", *disks, "-o", install.OS, "-n", "node2:node3", "-B",
                    "memory=16m,vcpus=1", "--no-start", "--no-wait-for-sync", "--no-name-check", "--no-ip-check", name)
    begin, before = time.monotonic(), left(cluster)
    work.say(f"{DISKS * INSTANCES} disks, {before} KiB to synchronise at {RATE} KiB/s each")
    syncing = [end for end in mirror.ends(cluster, "node2").values() if "Sync" in end.connection]
    summary = [cluster.instance(name, "mirror.status", "mirror.unsynced", "mirror.since") for name in names]
    work.say(f"{len(syncing)} at once; said: {summary}")
    info = [line.strip() for line in cluster.gnt("instance", "info", names[0]).splitlines()]
    told = [line for line in info if line.startswith("not yet redundant: ") and ", since " in line]
    work.say(f"gnt-instance info says of {len(told)} disks how much and since when: {' | '.join(told[:3])}")
    if len(syncing) != DISKS * INSTANCES:
        raise QaError(f"only {len(syncing)} disks synchronise at once, so this measures nothing")
    if not all(status == "sync" and int(unsynced) > 0 for status, unsynced, _ in summary):
        raise QaError(f"nothing is said of the {before} KiB that are not yet redundant: {summary}")
    if len(told) != DISKS:
        raise QaError(f"gnt-instance info does not say of all {DISKS} disks what is not yet redundant:\n"
                      + "\n".join(info))
    time.sleep(10)
    seconds, now = time.monotonic() - begin, left(cluster)
    speed = (before - now) / seconds
    work.say(f"{before - now} KiB in {seconds:.1f} s: {speed:.0f} KiB/s, allowed are {RATE * DISKS * INSTANCES}")
    if speed > RATE * DISKS * INSTANCES * SLACK or now >= before:
        raise QaError(f"{speed:.0f} KiB/s is not the configured rate")
    wait_until(lambda: mirror.whole(cluster, "node2"), "all is in sync", seconds=600, pause=2)
    work.say(f"all whole after {time.monotonic() - begin:.0f} s")
    cluster.gnt("cluster", "verify-disks")
    for name in names:
        status, unsynced = cluster.instance(name, "mirror.status", "mirror.unsynced")
        if (status, unsynced) != ("ok", "0"):
            raise QaError(f"{name} is whole, it is said to be {status} with {unsynced} bytes not redundant")
        cluster.gnt("instance", "remove", "-f", name)


def left(cluster: Cluster) -> int:
    """KiB out of sync in all."""
    return sum(end.out_of_sync for end in mirror.ends(cluster, "node2").values())
