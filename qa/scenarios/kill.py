# SPDX-License-Identifier: BSD-2-Clause
"""The machine of the primary dies while the guest writes: failed over with every record; it comes back and follows."""

import time

from qa import work
from qa.cluster import mirror
from qa.cluster.cluster import Cluster, wait_until
from qa.cluster.guest import recorder


def run(cluster: Cluster) -> None:
    with recorder(cluster, "kill1", "drbd", "node2:node3") as guest:
        guest.wait_for_records(40)
        cluster["node2"].kill()
        time.sleep(1)  # what it had said still arrives
        promised = guest.console.last()
        work.say(f"node2 is dead; the guest was promised records 0 to {promised}")
        took = mirror.timed(lambda: cluster.gnt("node", "failover", "-f", "node2"))
        again = wait_until(lambda: bool(guest.console.acknowledged("node3")), "the guest writes on node3", seconds=120)
        found = next(line.text for line in guest.console.lines() if line.node == "node3" and "FOUND" in line.text)
        work.say(f"failed over in {took:.1f} s, writing after {again:.1f} s more; it says {found}")
        if int(found.split()[1], 16) <= promised:
            raise work.QaError(f"the guest was promised record {promised} and found only {found}")
        guest.wait_for_records(20)
        guest.check()
        cluster["node2"].start()
        cluster["node2"].wait_until_up()
        back = time.monotonic()
        cluster.wait_for_nodes()
        cluster.gnt("cluster", "verify-disks")
        mirror.wait_whole(cluster, "node3")
        work.say(f"node2 is in sync again {time.monotonic() - back:.1f} s after it was up")
        mirror.expect(cluster, "kill1", primary="node3")
        guest.check()
        mirror.expect_same_data(cluster, "kill1")
