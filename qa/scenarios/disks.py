# SPDX-License-Identifier: BSD-2-Clause
"""Under a guest that writes: volumes replaced, new secondary, grown, to plain and back; records and sizes right."""

from qa import work
from qa.cluster import mirror
from qa.cluster.cluster import Cluster
from qa.cluster.guest import SIZE, Guest, recorder
from qa.work import QaError

GROWN = 16


def run(cluster: Cluster) -> None:
    with recorder(cluster, "disks1", "drbd", "node1:node2") as guest:
        def step(what: str, *argv: str) -> None:
            seconds = mirror.timed(lambda: cluster.gnt("instance", *argv))
            guest.wait_for_records(5)
            work.say(f"{what} in {seconds:.1f} s, {guest.check()} records")

        step("volumes on the secondary replaced", "replace-disks", "-s", guest.name)
        mirror.expect(cluster, guest.name, primary="node1")
        step("volumes on the primary replaced", "replace-disks", "-p", guest.name)
        mirror.expect(cluster, guest.name, primary="node1")
        step("secondary moved to node3", "replace-disks", "-n", "node3", guest.name)
        mirror.expect(cluster, guest.name, primary="node1")
        if mirror.nodes_of(cluster, guest.name) != ("node1", "node3") or mirror.volumes(cluster, "node2"):
            raise QaError(f"after replace-disks -n node3: {mirror.nodes_of(cluster, guest.name)}, and on node2 lie "
                          f"{mirror.volumes(cluster, 'node2')}")
        step(f"grown by {GROWN} MiB", "grow-disk", guest.name, "0", f"{GROWN}m")
        sizes_right(cluster, guest, SIZE + GROWN)
        step("to plain", "modify", "-t", "plain", "--live", guest.name)
        sizes_right(cluster, guest, SIZE + GROWN)
        if mirror.volumes(cluster, "node3") or any(mirror.ends(cluster, node) for node in cluster.nodes):
            raise QaError(f"mirrors are left after the conversion to plain: {mirror.volumes(cluster, 'node3')}")
        step("to drbd", "modify", "-t", "drbd", "-n", "node2", "--live", guest.name)
        mirror.wait_whole(cluster, "node1")
        mirror.expect(cluster, guest.name, primary="node1")
        sizes_right(cluster, guest, SIZE + GROWN)
        mirror.expect_same_data(cluster, guest.name)


def sizes_right(cluster: Cluster, guest: Guest, size: int) -> None:
    """The configuration, the volumes on every node, the device and the guest's QEMU agree on `size` MiB."""
    uuid, told = cluster.instance(guest.name, "uuid", "disk.sizes")
    found = {"the configuration": told}
    found |= {f"a volume on {node}": volume for node in cluster.nodes
              for name, volume in mirror.volumes(cluster, node).items() if not name.endswith("_meta")}
    found["the device"] = str(int(cluster[guest.primary].sh(f"blockdev --getsize64 {guest.device()}")) >> 20)
    qemu = cluster[guest.primary].sh(f"echo 'info block -v' | socat -t 5 - UNIX-CONNECT:/run/gantry/kvm-hypervisor/"
                                     f"ctrl/{uuid}.monitor | sed -n 's/^virtual size:.*(\\([0-9]*\\) bytes).*/\\1/p'")
    found |= {f"QEMU's disk {index}": str(int(number) >> 20) for index, number in enumerate(qemu.split())}
    wrong = {where: value for where, value in found.items() if float(value.rstrip("Mm")) != size}
    if wrong or not qemu.split():
        raise QaError(f"{guest.name} should have {size} MiB everywhere: {found}")
