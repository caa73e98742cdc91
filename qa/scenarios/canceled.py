# SPDX-License-Identifier: BSD-2-Clause
"""Replacing disks is canceled while the new ones fill: all goes back, and both ends hold what was written meanwhile."""

import re

from qa import work
from qa.cluster import mirror
from qa.cluster.cluster import Cluster, wait_until
from qa.cluster.guest import SIZE, Guest, recorder
from qa.work import QaError

SLOW, USUAL = 1024, 61440
"""KiB a second: so that there is time to cancel; and what clusters have."""


def run(cluster: Cluster) -> None:
    with recorder(cluster, "cancel1", "drbd", "node1:node2") as guest:
        guest.wait_for_records(20)
        cluster.gnt("cluster", "modify", "-D", f"drbd:resync-rate={SLOW}")
        for what in (("-n", "node3"), ("-s",), ("-p",)):
            cancel_in_the_middle(cluster, guest, what)
        cluster.gnt("cluster", "modify", "-D", f"drbd:resync-rate={USUAL}")
        mirror.expect_same_data(cluster, guest.name)


def cancel_in_the_middle(cluster: Cluster, guest: Guest, what: tuple[str, ...]) -> None:
    before = {node: set(mirror.volumes(cluster, node)) for node in cluster.nodes}
    said = cluster.try_gnt("instance", "replace-disks", "--submit", *what, guest.name)
    match = re.search(r"\d+", said.stdout + said.stderr)
    if match is None:
        raise QaError(f"replace-disks --submit does not say which job it is: {said}")
    job = match[0]
    wait_until(lambda: half_filled(cluster), "the new volumes fill", seconds=240)
    guest.wait_for_records(20)
    cluster.gnt("job", "cancel", job)
    wait_until(lambda: cluster.gnt("job", "list", "--no-headers", "-o", "status", job).strip() in (
        "canceled", "error", "success"), f"job {job} ends", seconds=240)
    status = cluster.gnt("job", "list", "--no-headers", "-o", "status", job).strip()
    guest.wait_for_records(20)
    seconds = mirror.wait_whole(cluster, "node1", seconds=SIZE * 1024 / SLOW + 300)
    mirror.expect(cluster, guest.name, primary="node1")
    after = {node: set(mirror.volumes(cluster, node)) for node in cluster.nodes}
    if status == "success" or after != before or mirror.nodes_of(cluster, guest.name) != ("node1", "node2"):
        raise QaError(f"replace-disks {' '.join(what)}, canceled: job {status}, on "
                      f"{mirror.nodes_of(cluster, guest.name)}, volumes {after} instead of {before}")
    work.say(f"replace-disks {' '.join(what)} canceled in the middle ({status}); whole again after {seconds:.1f} s, "
             f"{guest.check()} records")


def half_filled(cluster: Cluster) -> bool:
    """A part of the copying is done, and a part is not."""
    return any(end.connection in ("SyncSource", "SyncTarget") and 0 < end.out_of_sync < SIZE * 1024 * 3 // 4
               for end in mirror.ends(cluster, "node1").values())
