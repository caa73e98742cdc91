# SPDX-License-Identifier: BSD-2-Clause
"""What DRBD says about its devices, as records, and what that means.  Nothing here runs anything.

`drbdsetup events2` speaks alike in versions 8.4 and 9; `/proc/drbd` adds the version and, in 8.4, the time left.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gantry.storage.base import MirrorStatus

SYNCING = frozenset({"SyncSource", "SyncTarget", "PausedSyncS", "PausedSyncT", "WFBitMapS", "WFBitMapT", "WFSyncUUID",
                     "StartingSyncS", "StartingSyncT", "Ahead", "Behind"})
_PASSING = frozenset({"Attaching", "Negotiating", "Detaching"})
"""States of a disk that end by themselves in a moment."""

SPLIT = "split brain"
UNRELATED = "the two ends hold data that have nothing to do with each other"


@dataclass(frozen=True, kw_only=True)
class End:
    """A device as this node sees it, in DRBD's words; `size` and `out_of_sync` in KiB.

    `connection` is Connected when both ends talk; `replication` then says whether they synchronise.
    """

    resource: str
    minor: int
    role: str
    disk: str
    size: int
    connection: str
    replication: str
    peer_role: str
    peer_disk: str
    out_of_sync: int

    @property
    def alone(self) -> bool:
        """There is no connection, and none is looked for."""
        return self.connection == "StandAlone"

    @property
    def connected(self) -> bool:
        """Both ends talk, and the peer has said what its disk is: that comes a moment later."""
        return self.connection == "Connected" and self.peer_disk != "DUnknown"

    @property
    def syncing(self) -> bool:
        return self.connected and self.replication in SYNCING

    @property
    def synced(self) -> bool:
        """Both copies are whole, and stay alike."""
        return self.connected and not self.syncing and self.disk == self.peer_disk == "UpToDate"


@dataclass(frozen=True, kw_only=True)
class Table:
    """All devices by minor, and resources that have none (left by a crash)."""

    ends: Mapping[int, End]
    bare: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Module:
    """The kernel module: its version, and seconds to the end of synchronisations by minor."""

    version: str
    eta: Mapping[int, int]


# --- reading ---

def events(text: str) -> Table:
    """What `drbdsetup events2 --now --statistics` printed."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "exists":
            facts = dict(word.split(":", 1) for word in words[2:] if ":" in word)
            found.setdefault(facts.get("name", ""), {})[words[1]] = facts
    ends = [_end(name, kinds) for name, kinds in found.items() if "device" in kinds]
    bare = frozenset(name for name, kinds in found.items() if "device" not in kinds)
    return Table(ends={end.minor: end for end in ends}, bare=bare)


def _end(name: str, kinds: Mapping[str, Mapping[str, str]]) -> End:
    device, link, pair = kinds["device"], kinds.get("connection", {}), kinds.get("peer-device", {})
    return End(resource=name, minor=int(device["minor"]), role=kinds.get("resource", {}).get("role", "Unknown"),
               disk=device.get("disk", "DUnknown"), size=int(device.get("size", 0)),
               connection=link.get("connection", "StandAlone"), peer_role=link.get("role", "Unknown"),
               replication=pair.get("replication", "Off"), peer_disk=pair.get("peer-disk", "DUnknown"),
               out_of_sync=int(pair.get("out-of-sync", 0)))


_VERSION = re.compile(r"^version: (\S+)", re.M)
_MINOR = re.compile(r"^ *(\d+): cs:", re.M)
_FINISH = re.compile(r"finish: (\d+):(\d\d):(\d\d)")


def module(text: str) -> Module:
    """What `/proc/drbd` says."""
    version = _VERSION.search(text)
    parts = _MINOR.split(text)[1:]
    eta = {}
    for minor, rest in zip(parts[::2], parts[1::2], strict=True):
        finish = _FINISH.search(rest)
        if finish:
            hours, minutes, seconds = map(int, finish.groups())
            eta[int(minor)] = hours * 3600 + minutes * 60 + seconds
    return Module(version=version.group(1) if version else "unknown", eta=eta)


_LOGGED = re.compile(r"(?:block drbd(?P<minor>\d+)|drbd (?P<resource>[^\s:/]+))[^:]*: (?P<text>.*)")
_AGREED = re.compile(r"conn\( \w+ -> Connected|conn\( WFReportParams -> (?:WFBitMap|StartingSync|Sync)")
"""The ends have agreed: they are alike, or it is clear who takes from whom."""
_WHY_ALONE = (
    ("Split-Brain detected but unresolved", SPLIT),
    ("Unrelated data, aborting", UNRELATED),
    ("Authentication of peer failed", "the ends do not have the same secret"),
    ("peer may not be UpToDate", "the peer refused"),
    ("incompatible ", "the ends have different settings"),
    ("Multiple primaries not allowed", "both ends want to be primary"),
)


def why_alone(kernel_log: Iterable[str], minor: int, resource: str) -> str:
    """Why the device lost its connection for good, as the kernel said last; empty when it said nothing of that kind.

    What was said before the last successful connection does not count.  An end that looks for its peer again, which
    does not look for it, has not heard better since.
    """
    reason = ""
    for line in kernel_log:
        logged = _LOGGED.search(line)
        if logged is None or (logged["minor"] != str(minor) and logged["resource"] != resource):
            continue
        if _AGREED.search(logged["text"]):
            reason = ""
        for sign, meaning in _WHY_ALONE:
            if sign in logged["text"]:
                reason = meaning
    return reason


# --- judging ---

def judge(end: End | None, minor: int, *, eta: int | None = None, reason: str = "") -> MirrorStatus:
    """What an operator is told of this end; `reason`: see `why_alone`."""
    if end is None:
        return MirrorStatus(minor=minor)
    status, problem = _verdict(end, reason)
    percent = round(100 * (1 - end.out_of_sync / end.size), 2) if end.syncing and end.size else None
    return MirrorStatus(
        minor=minor, role=end.role, peer_role=end.peer_role, disk=end.disk, peer_disk=end.peer_disk,
        connection=end.replication if end.syncing else end.connection, percent=percent,
        eta_seconds=eta if end.syncing else None, out_of_sync=end.out_of_sync, status=status, problem=problem)


def _verdict(end: End, reason: str) -> tuple[str, str]:
    """Status and problem."""
    if end.syncing:
        paused = end.replication.startswith("PausedSync")
        return "sync", "the synchronisation is paused; see drbdsetup status on the node" if paused else ""
    if end.synced:
        return "ok", ""
    faulty = end.disk != "UpToDate" and end.disk not in _PASSING
    local = _of_local(end) if faulty else ""
    return "faulty" if faulty else "degraded", "; ".join(part for part in (local, _of_peer(end, reason)) if part)


_ANEW = "look at the disks of {whose} node, then make the copy anew with gnt-instance replace-disks"
_CONNECT = "connect it to its peer with gnt-instance activate-disks"
_LOCAL = {
    "Diskless": "it has no local disk, after an I/O error or for want of the volume: " + _ANEW.format(whose="this"),
    "Failed": "its local disk has failed: " + _ANEW.format(whose="this"),
    "Inconsistent": f"its data are incomplete, a synchronisation has not reached its end: {_CONNECT}",
    "Outdated": f"its data are outdated, the peer has newer ones: {_CONNECT}",
    "Consistent": f"it does not know whether the peer has newer data: {_CONNECT}",
}


def _of_local(end: End) -> str:
    return _LOCAL.get(end.disk, f"its data are in state {end.disk}")


def _of_peer(end: End, reason: str) -> str:
    if reason == SPLIT and not end.connected:
        return ("split brain: both ends were written to while they were apart, and each has data that the other one "
                "has not; decide which one to keep: with gnt-instance replace-disks -s the primary's data replace the "
                "secondary's; to keep the secondary's, run gnt-instance failover --ignore-consistency first")
    if reason == UNRELATED and not end.connected:
        return ("the ends cannot tell what they have in common: one was away while the other had other peers; with "
                "gnt-instance replace-disks -s the primary's data replace the secondary's")
    if end.alone:
        return f"it stands alone{': ' + reason if reason else ''}; connect it with gnt-instance activate-disks"
    if not end.connected:
        return ("it has only just met its peer, and does not know yet what that has"
                if end.connection == "Connected" else
                f"it has no connection to its peer ({end.connection}): look whether the other node is up and the "
                "replication network works")
    if end.peer_disk == "Diskless":
        return "the peer has no disk: " + _ANEW.format(whose="the other")
    return f"the peer's data are in state {end.peer_disk}" if end.peer_disk != "UpToDate" else ""


_APART = {
    SPLIT: ("split brain: the peer has data that this node has not, they would be lost; decide which end to keep and "
            "force the choice with --ignore-consistency"),
    UNRELATED: ("the ends cannot tell what they have in common, the peer may have newer data, they would be lost; make "
                "the secondary's copy anew with gnt-instance replace-disks -s, or force the choice with "
                "--ignore-consistency"),
}


def objection(end: End, *, reason: str = "") -> str:
    """Why this end may not become primary without force, and what force would destroy; empty when it may."""
    if end.role == "Primary":
        return ""
    if reason in _APART and not end.connected:
        return _APART[reason]
    if end.disk == "UpToDate":
        return ""
    if end.peer_disk == "UpToDate":
        if end.syncing:
            return (f"its data are not complete yet ({end.out_of_sync} KiB are to come from the peer): wait for the "
                    "synchronisation, or use the other node")
        return f"its data are {end.disk}, the peer has the good ones: use the other node"
    return (f"its data are {end.disk}: this copy is older or incomplete, everything that only the peer has would be "
            "lost; bring the other node back, or force it with --ignore-consistency")
