# SPDX-License-Identifier: BSD-2-Clause
"""A mirrored guest that writes is migrated live, back and forth; no record is lost and each pause is measured."""

import os

from qa import work
from qa.cluster import mirror
from qa.cluster.cluster import Cluster
from qa.cluster.guest import recorder

ROUNDS = 20
"""How often; `QA_ROUNDS` says otherwise."""


def run(cluster: Cluster) -> None:
    rounds = int(os.environ.get("QA_ROUNDS") or ROUNDS)
    pauses = []
    with recorder(cluster, "mig1", "drbd", "node1:node2") as guest:
        here = "node1"
        for number in range(1, rounds + 1):
            there = {"node1": "node2", "node2": "node1"}[here]
            seconds = mirror.timed(lambda: cluster.gnt("instance", "migrate", "-f", "mig1"))
            guest.wait_for_records(5)
            pauses.append(guest.console.pause(here, there))
            work.say(f"migration {number}: {here} to {there} in {seconds:.1f} s, the guest paused for "
                     f"{pauses[-1] * 1000:.0f} ms, record {guest.console.last()}")
            mirror.expect(cluster, "mig1", primary=there)
            here = there
        work.say(f"{rounds} migrations, {guest.check()} records; pauses {min(pauses) * 1000:.0f} to "
                 f"{max(pauses) * 1000:.0f} ms, {sum(pauses) / len(pauses) * 1000:.0f} on average")
        mirror.expect_same_data(cluster, "mig1")
