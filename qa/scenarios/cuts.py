# SPDX-License-Identifier: BSD-2-Clause
"""Connections cut while the guest writes: reported, healed, in sync again; a split brain is never promoted silently."""

import time

from qa import work
from qa.cluster import mirror
from qa.cluster.cluster import Cluster, wait_until
from qa.cluster.guest import Guest, recorder
from qa.work import QaError

CUT_SECONDS = 20.0


def run(cluster: Cluster) -> None:
    with recorder(cluster, "cut1", "drbd", "node2:node3") as guest:
        for what, networks in (("the mirrors' network", (1,)), ("both networks", (0, 1))):
            cut_and_heal(cluster, guest, what, networks)
        split(cluster, guest)
        mirror.expect_same_data(cluster, guest.name)


def cut_and_heal(cluster: Cluster, guest: Guest, what: str, networks: tuple[int, ...]) -> None:
    cluster["node3"].cut_off(networks)
    begin = guest.console.last()
    wait_until(lambda: not mirror.whole(cluster, "node2"), "the kernel notices the cut", seconds=60)
    time.sleep(CUT_SECONDS)
    guest.wait_for_records(20)
    status, unsynced = cluster.instance(guest.name, "mirror.status", "mirror.unsynced")
    said = cluster.try_gnt("cluster", "verify", may_fail=True)
    reports = [line for line in (said.stdout + said.stderr).splitlines() if guest.name in line or "node3" in line]
    work.say(f"{what} of node3 cut: {guest.console.last() - begin} records meanwhile, mirror {status}, {unsynced} "
             "bytes not redundant; gnt-cluster verify says: " + " | ".join(reports[:3]))
    if status == "ok" or not any("WARNING" in line or "ERROR" in line for line in reports):
        raise QaError(f"nobody says that the mirror of {guest.name} is broken: {status}; {said.stdout}")
    cluster["node3"].rejoin(networks)
    healed = mirror.wait_whole(cluster, "node2")
    cluster.wait_for_nodes()
    mirror.expect(cluster, guest.name, primary="node2")
    work.say(f"let back in: whole after {healed:.1f} s, {guest.check()} records")
    cluster.gnt("cluster", "verify-disks")
    wait_until(lambda: cluster.instance(guest.name, "mirror.status")[0] == "ok", "it is reported ok", seconds=60)


def split(cluster: Cluster, guest: Guest) -> None:
    """Both ends get data of their own while they do not see each other."""
    (minor,) = mirror.ends(cluster, "node3")
    cluster["node3"].cut_off()
    wait_until(lambda: not mirror.whole(cluster, "node3"), "node3 notices the cut", seconds=60)
    cluster["node3"].sh(f"drbdsetup primary {minor} --force; dd if=/dev/urandom of=/dev/drbd{minor} bs=64k count=1 "
                        f"seek=64 oflag=direct 2>/dev/null; drbdsetup secondary {minor}")
    guest.wait_for_records(10)
    cluster["node3"].rejoin()
    wait_until(lambda: "StandAlone" in {end.connection for end in mirror.ends(cluster, "node2").values()},
               "the kernel sees the split brain", seconds=120)
    cluster.wait_for_nodes()
    info = cluster.gnt("instance", "info", guest.name)
    told = [line.strip() for line in info.splitlines() if "split" in line.lower()]
    work.say("split brain; gnt-instance info says: " + " | ".join(told))
    if not told:
        raise QaError(f"gnt-instance info does not tell of the split brain:\n{info}")
    refusal = cluster.refused("instance", "migrate", "-f", guest.name)
    work.say("migrate is refused: " + " ".join(refusal.split())[:400])
    ends = mirror.ends(cluster, "node3")
    if any(end.role == "Primary" for end in ends.values()):
        raise QaError(f"node3 was promised nothing and is primary: {ends}")
    repair(cluster, guest)


def repair(cluster: Cluster, guest: Guest) -> None:
    """As the messages say: the secondary's volumes are made anew from the primary's data."""
    seconds = mirror.timed(lambda: cluster.gnt("instance", "replace-disks", "-s", guest.name))
    mirror.wait_whole(cluster, "node2")
    mirror.expect(cluster, guest.name, primary="node2")
    work.say(f"repaired in {seconds:.1f} s, {guest.check()} records")
