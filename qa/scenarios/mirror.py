# SPDX-License-Identifier: BSD-2-Clause
"""The driver of mirrored disks: roles, other volumes, growth, a cut, a stall, a split brain, a dead primary."""

import uuid
from dataclasses import dataclass, replace
from typing import Any

from gantry.constants import DiskTemplate
from gantry.objects.instance import Disk, DrbdEnd, DrbdLocation, LvmLocation
from qa import work
from qa.cluster import driver
from qa.cluster.cluster import Cluster
from qa.machines import network
from qa.work import QaError

_WRITE = "dd if=/dev/urandom of={device} bs=64k count=16 seek={seek} oflag=direct 2>/dev/null"
_SUM = "dd if={device} bs=1M count=30 iflag=direct 2>/dev/null | md5sum"


def run(cluster: Cluster) -> None:
    one = Mirror(cluster)
    life(one)
    apart(one)
    death(one)
    one.remove()


def life(one: "Mirror") -> None:
    """A new pair; two primaries for a moment; other volumes under it; growth that a reboot must not undo."""
    for node in ("node1", "node2"):
        one.do(node, "create", owner_epoch=1, wipe=False)
        one.do(node, "assemble", **one.owner)
    one.refuses("node1", "open", "Inconsistent", **one.owner)
    one.do("node1", "force", **one.owner)
    one.do("node1", "wait_synced")
    one.write("node1")
    one.refuses("node2", "open", "the other node is primary", **one.owner)
    for node in ("node1", "node2"):
        one.do(node, "connect", instance="q", dual_primary=True)
    one.do("node2", "open", **one.owner)
    one.refuses("node2", "connect", "both nodes are primary", instance="q", dual_primary=False)
    one.do("node2", "demote", instance="q")
    one.do("node2", "connect", instance="q", dual_primary=False)
    work.say("made, synchronised, primary on both nodes and on one again")

    before, old = one.sum("node1"), one.disk
    new = one.with_volumes("node1", "b")
    one.do("node1", "create", new, owner_epoch=1, wipe=False)
    one.do("node1", "replace_local", old, new)
    one.disk = new
    one.do("node1", "wait_synced")
    one.do("node1", "remove", old)
    if one.sum("node1") != before:
        raise QaError("the data are not the same on the new volumes")
    for node in ("node1", "node2"):
        one.do(node, "grow", size=40)
    one.do("node1", "resize", size=40)
    one.do("node1", "wait_synced")
    one.do("node1", "close", instance="q")
    one.do("node1", "open", **one.owner)
    if one.state("node1")["size"] != 40 or one.sum("node1") != before:
        raise QaError(f"a device that had grown came up with {one.state('node1')['size']} MiB, or with other data")
    one.disk = replace(one.disk, size=40)
    work.say("volumes exchanged under the primary; grown, and as large after it was down")


def apart(one: "Mirror") -> None:
    """A cut that heals, and a split brain."""
    one.cluster["node2"].cut_off()
    one.write("node1")
    one.refuses("node1", "wait_synced", "makes no progress")
    if "replication network" not in one.state("node1")["mirror"]["problem"]:
        raise QaError(f"the lost connection is not told: {one.state('node1')['mirror']}")
    one.cluster["node2"].rejoin()
    one.do("node1", "wait_synced")
    work.say("cut off, stalled, told, healed, synchronised")

    one.do("node1", "disconnect")
    one.do("node2", "disconnect")
    one.write("node1")
    one.cluster["node2"].sh(f"drbdsetup primary {one.minor('node2')}")
    one.write("node2")
    one.do("node2", "demote", instance="q")
    one.do("node2", "assemble", **one.owner)
    one.do("node1", "assemble", **one.owner)
    one.refuses("node1", "wait_connected", "split brain")
    one.refuses("node2", "open", "split brain", **one.owner)
    before = one.sum("node1")
    one.do("node2", "discard", instance="q")
    one.do("node1", "assemble", **one.owner)
    one.do("node1", "wait_synced")
    if one.sum("node1") != before:
        raise QaError("the end that was to be kept has changed")
    work.say("a split brain was told, not promoted, and mended by giving one end up")


def death(one: "Mirror") -> None:
    """The primary's power is cut; it comes back as a secondary."""
    one.do("node1", "demote", instance="q")
    one.do("node2", "open", **one.owner)
    before = one.sum("node2")
    one.cluster["node2"].kill()
    one.do("node1", "open", instance="q", owner_epoch=2)
    if one.sum("node1") != before:
        raise QaError("what the dead primary had written is not at the other end")
    one.write("node1")
    one.cluster["node2"].start()
    one.cluster["node2"].wait_until_up()
    one.do("node2", "assemble", instance="q", owner_epoch=2)
    one.do("node1", "wait_synced")
    one.refuses("node2", "assemble", "newer owner", instance="q", owner_epoch=1)
    one.cluster.wait_for_nodes()
    work.say("the primary died, its peer took over, it came back and was synchronised")


@dataclass
class Mirror:
    """A disk on node1 and node2 that no cluster knows of."""

    cluster: Cluster

    def __post_init__(self) -> None:
        text = self.cluster.gnt("node", "list", "--no-headers", "--separator=:", "-o", "name,uuid")
        self.nodes = {name.split(".")[0]: known for name, known in (line.split(":") for line in text.splitlines())}
        self.owner = {"instance": "q", "owner_epoch": 1}
        self.seek = 0
        self.known: list[tuple[str, Disk]] = []
        ends = tuple(self._end(node, "a") for node in ("node1", "node2"))
        self.disk = Disk(uuid=str(uuid.uuid4()), name="", dev_type=DiskTemplate.DRBD, size=30,
                         nodes=(self.nodes["node1"], self.nodes["node2"]), params={"resync-rate": 61440},
                         drbd=DrbdLocation(port=14990, secret="secret", ends=ends))  # noqa: S106 - of a test

    def _end(self, node: str, volumes: str) -> DrbdEnd:
        number = int(node.removeprefix("node"))
        return DrbdEnd(node=self.nodes[node], address=network.address(number, 1), minor=20 + number,
                       data=LvmLocation(vg="xenvg", lv=f"qa-{volumes}-data"),
                       meta=LvmLocation(vg="xenvg", lv=f"qa-{volumes}-meta"))

    def with_volumes(self, node: str, volumes: str) -> Disk:
        """The disk with other volumes on the node."""
        assert self.disk.drbd is not None
        ends = tuple(self._end(node, volumes) if end.node == self.nodes[node] else end for end in self.disk.drbd.ends)
        return replace(self.disk, drbd=replace(self.disk.drbd, ends=ends))

    def minor(self, node: str) -> int:
        return 20 + int(node.removeprefix("node"))

    def _ask(self, node: str, method: str, disks: tuple[Disk, ...], facts: dict[str, Any]) -> Any:
        chosen = disks or (self.disk,)
        if method == "create":
            self.known.append((node, chosen[0]))
        return driver.ask(self.cluster, node, (method, chosen, facts))[0]

    def do(self, node: str, method: str, *disks: Disk, **facts: Any) -> Any:
        kind, found = self._ask(node, method, disks, facts)
        if kind != "ok":
            raise QaError(f"{method} on {node}: {found}")
        return found

    def refuses(self, node: str, method: str, why: str, *disks: Disk, **facts: Any) -> None:
        kind, found = self._ask(node, method, disks, facts)
        if kind != "refused" or why not in found:
            raise QaError(f"{method} on {node} should have been refused with '{why}': {found}")

    def state(self, node: str) -> dict[str, Any]:
        found = self.do(node, "status")
        assert isinstance(found, dict)
        return found

    def write(self, node: str) -> None:
        self.seek += 16
        self.cluster[node].sh(_WRITE.format(device=f"/dev/drbd{self.minor(node)}", seek=self.seek))

    def sum(self, node: str) -> str:
        return self.cluster[node].sh(_SUM.format(device=f"/dev/drbd{self.minor(node)}"))

    def remove(self) -> None:
        for node, disk in reversed(self.known):
            self._ask(node, "remove", (disk,), {})
