# SPDX-License-Identifier: BSD-2-Clause
"""Mirrored disks as their kernels see them."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from qa.cluster.cluster import Cluster, wait_until
from qa.work import QaError

_DEVICE = re.compile(r"^ *(\d+): cs:(\S+)(?: ro:(\S+)/(\S+) ds:(\S+)/(\S+))?")
_OUT = re.compile(r"\boos:(\d+)")


@dataclass(frozen=True)
class End:
    """One end of a mirror; `out_of_sync` KiB."""

    minor: int
    connection: str
    role: str
    peer_role: str
    disk: str
    peer_disk: str
    out_of_sync: int

    @property
    def whole(self) -> bool:
        return (self.connection, self.disk, self.peer_disk) == ("Connected", "UpToDate", "UpToDate")


def ends(cluster: Cluster, node: str) -> dict[int, End]:
    """By minor, as the node's kernel tells now."""
    return parsed(cluster[node].sh("cat /proc/drbd"))


def parsed(text: str) -> dict[int, End]:
    """By minor, from what /proc/drbd says."""
    found, current = {}, None
    for line in text.splitlines():
        match = _DEVICE.match(line)
        out = _OUT.search(line)
        if match and match[2] != "Unconfigured":
            current = End(int(match[1]), match[2], match[3] or "", match[4] or "", match[5] or "", match[6] or "", 0)
            found[current.minor] = current
        elif out and current is not None:
            found[current.minor] = End(**vars(current) | {"out_of_sync": int(out[1])})
    return found


def nodes_of(cluster: Cluster, instance: str) -> tuple[str, str]:
    """(primary, secondary) of the configuration."""
    primary, secondary = cluster.instance(instance, "pnode", "snodes")
    return primary.removesuffix(".qa"), secondary.removesuffix(".qa")


def expect(cluster: Cluster, instance: str, *, primary: str) -> None:
    """The only mirror of the cluster is whole, primary there and only there; raises QaError."""
    found, secondary = nodes_of(cluster, instance)
    if found != primary:
        raise QaError(f"{instance} should be on {primary}, it is recorded on {found}")
    for node, roles in ((primary, ("Primary", "Secondary")), (secondary, ("Secondary", "Primary"))):
        for end in ends(cluster, node).values():
            if not end.whole or (end.role, end.peer_role) != roles:
                raise QaError(f"the mirror of {instance} on {node} should be whole and {roles[0]}, it is {end}")


def whole(cluster: Cluster, node: str) -> bool:
    """All mirrors of the node are connected and up to date on both ends."""
    return all(end.whole for end in ends(cluster, node).values())


def wait_whole(cluster: Cluster, node: str, *, seconds: float = 300) -> float:
    """Seconds it took."""
    return wait_until(lambda: whole(cluster, node), f"the mirrors of {node} are whole", seconds=seconds)


def volumes(cluster: Cluster, node: str) -> dict[str, str]:
    """Logical volumes of the node: name to size in MiB as lvs prints it."""
    text = cluster[node].sh("lvs --noheadings --nosuffix --units m -o lv_name,lv_size xenvg")
    return {name: size for name, size in (line.split() for line in text.splitlines() if line.strip())}


def backing(cluster: Cluster, node: str, minor: int) -> str:
    """The data volume below a minor."""
    text = cluster[node].sh(f"drbdsetup show {minor}")
    match = re.search(r'\bdisk\s+"?(/dev/[^";]+)', text)
    if match is None:
        raise QaError(f"drbd{minor} on {node} has no disk:\n{text}")
    return match[1]


def expect_same_data(cluster: Cluster, instance: str) -> None:
    """Both ends of the instance's mirror hold the same bytes.  The guest is stopped for that and stays so."""
    cluster.gnt("instance", "shutdown", "--timeout=0", instance)
    cluster.gnt("instance", "activate-disks", instance)
    sums = {}
    for node in nodes_of(cluster, instance):
        wait_whole(cluster, node)
        (minor,) = ends(cluster, node)
        sums[node] = cluster[node].sh(f"dd if={backing(cluster, node, minor)} bs=1M iflag=direct 2>/dev/null | md5sum")
    if len(set(sums.values())) != 1:
        raise QaError(f"the two ends of {instance} differ: {sums}")
    cluster.gnt("instance", "deactivate-disks", instance)


def timed(action: Callable[[], object]) -> float:
    """Seconds an action took."""
    begin = time.monotonic()
    action()
    return time.monotonic() - begin
