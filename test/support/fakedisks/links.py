# SPDX-License-Identifier: BSD-2-Clause
"""What happens between the ends of mirrored disks: they find each other, compare what they hold, and synchronise.

A generation names a state of the data.  A primary that writes without its peer begins a new one; an end whose
generation is an ancestor of the other's is behind; two that are no ancestors of each other are a split brain.

The kernel remembers a few generations only: what it had when its peer left (`bitmap`), and two before (`history`).
Each synchronisation as its source takes one more place.  An end with an older one is a stranger.
"""

import os
import time
from pathlib import Path

from .state import Json, copy, store

FRESH = "just created"


def settle(state: Json) -> None:
    """Bring every device to where it would be by now."""
    _lose(state)
    _meet(state)
    for root, one in _all(state):
        peer = peer_of(state, root, one)
        if peer is not None:
            _synchronise(state, (root, one), peer)
            _mirror((root, one), peer)
    for root in state["nodes"]:
        show(state, root)


def begin(state: Json, root: str, one: Json) -> None:
    """A new generation: written to without the peer from now on."""
    meta = meta_of(state, root, one)
    _set_bitmap(meta, meta["current"] if meta["current"] != FRESH else "")
    meta["current"] = os.urandom(16).hex()


def _set_bitmap(meta: Json, generation: str) -> None:
    if meta["bitmap"]:
        meta["history"] = [meta["bitmap"], *meta["history"]][:2]
    meta["bitmap"] = generation


def _known(meta: Json) -> list[str]:
    return [meta["bitmap"], *meta["history"]]


def meta_of(state: Json, root: str, one: Json) -> Json:
    found: Json = state["nodes"][root]["meta"][one["meta"]]
    return found


def peer_of(state: Json, root: str, one: Json) -> tuple[str, Json] | None:
    """The other end, when they are connected."""
    if one["connection"] != "Connected":
        return None
    return _counterpart(state, root, one)


def leave(state: Json, root: str, one: Json, connection: str) -> None:
    """The connection of this end goes down; a primary goes on alone."""
    peer = peer_of(state, root, one)
    if peer is not None:
        _mirror((root, one), peer)
        _alone(state, peer[0], peer[1], "Connecting")
    _alone(state, root, one, connection)


def log(state: Json, root: str, text: str) -> None:
    """What the kernel of the node says."""
    file = Path(root) / "dev/kmsg"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.write(f"6,1,1,-;{text}\n")


def show(state: Json, root: str) -> None:
    """/proc/drbd, the devices, and what stands for them."""
    node = state["nodes"][root]
    if not node["loaded"]:
        return
    proc = Path(root) / "proc/drbd"
    proc.parent.mkdir(parents=True, exist_ok=True)
    lines = ["version: 8.4.11 (api:1/proto:86-101)", "srcversion: F73C670A7EC572DB9CF3E5B "]
    for one in sorted(node["drbd"].values(), key=lambda one: one["minor"] or 0):
        if one["minor"] is None:
            continue
        lines.append(f"{one['minor']:2d}: cs:{one['replication'] if one['until'] else one['connection']} "
                     f"ro:{one['role']}/Unknown ds:{one['disk']}/Unknown C r-----")
        if one["until"]:
            left = max(0, round(one["until"] - time.time()))
            lines.append(f"\tfinish: {left // 3600}:{left // 60 % 60:02d}:{left % 60:02d} speed: 1 (1) K/sec")
        link = Path(root) / f"dev/drbd{one['minor']}"
        source = _readable(state, root, one) if one["role"] == "Primary" else None
        if link.is_symlink() and (source is None or link.readlink() != source):
            link.unlink()
        if source is not None and not link.is_symlink():
            link.symlink_to(source)
    text = "\n".join(lines) + "\n"
    if not proc.exists() or proc.read_text() != text:
        new = proc.with_name("drbd.new")
        new.write_text(text)
        new.replace(proc)  # somebody may read it at any moment


def _readable(state: Json, root: str, one: Json) -> Path | None:
    if one["disk"] != "Diskless":
        return store(root, one["data"])
    peer = peer_of(state, root, one)
    return store(peer[0], peer[1]["data"]) if peer is not None and peer[1]["data"] else None


def _all(state: Json) -> list[tuple[str, Json]]:
    return [(root, one) for root, node in state["nodes"].items() for one in node["drbd"].values()]


def _counterpart(state: Json, root: str, one: Json) -> tuple[str, Json] | None:
    """The device that is configured for the other way round of this one's connection."""
    if not one["net"]:
        return None
    for other, device in _all(state):
        if other != root and device["net"] and device["net"]["local"] == one["net"]["remote"] and \
                device["net"]["remote"] == one["net"]["local"]:
            return other, device
    return None


def _is_cut(state: Json, one: Json) -> bool:
    ends = sorted(one["net"][side].split(":")[1] for side in ("local", "remote"))
    return ends in state["cut"]


def _lose(state: Json) -> None:
    """Connections whose peer is gone, or cut off."""
    for root, one in _all(state):
        if one["connection"] == "Connected" and (_counterpart(state, root, one) is None or _is_cut(state, one)):
            leave(state, root, one, "Connecting")


def _alone(state: Json, root: str, one: Json, connection: str) -> None:
    was_connected = one["connection"] == "Connected"
    one["connection"], one["replication"], one["peer_role"], one["peer_disk"] = connection, "Off", "Unknown", "DUnknown"
    one["until"], one["allow_two"] = None, one["allow_two"] and connection != "StandAlone"
    if connection == "StandAlone":
        one["net"] = None
    if was_connected and one["role"] == "Primary" and one["disk"] == "UpToDate" and \
            not meta_of(state, root, one)["bitmap"]:
        begin(state, root, one)


def _meet(state: Json) -> None:
    for root, one in _all(state):
        if one["connection"] != "Connecting" or one["minor"] is None:
            continue
        peer = _counterpart(state, root, one)
        if peer is None or peer[1]["connection"] != "Connecting" or _is_cut(state, one):
            continue
        _shake_hands(state, (root, one), peer)


def _shake_hands(state: Json, end: tuple[str, Json], peer: tuple[str, Json]) -> None:
    one, two = end[1], peer[1]
    if one["net"]["secret"] != two["net"]["secret"]:
        _part(state, (end, peer), "drbd resource{}: Authentication of peer failed")
        return
    if one["role"] == two["role"] == "Primary" and not (one["allow_two"] and two["allow_two"]):
        _part(state, (end, peer), "drbd resource{}: Multiple primaries not allowed by config")
        return
    direction = _compare(state, end, peer)
    if direction in ("split", "unrelated"):
        what = "Split-Brain detected but unresolved, dropping connection!" if direction == "split" else \
            "Unrelated data, aborting!"
        _part(state, (end, peer), "block drbd{}: " + what)
        return
    for (place, a), b in ((end, two), (peer, one)):
        log(state, place, f"drbd resource{a['minor']}: conn( WFReportParams -> Connected )")
        a["connection"], a["replication"], a["discard"] = "Connected", "Established", False
        a["peer_role"], a["peer_disk"] = b["role"], b["disk"]
    one["options"], two["options"] = two["options"] or one["options"], one["options"] or two["options"]
    if direction:
        source, target = (end, peer) if direction == "source" else (peer, end)
        start(state, source, target)


def _part(state: Json, ends: tuple[tuple[str, Json], tuple[str, Json]], text: str) -> None:
    for root, one in ends:
        log(state, root, text.format(one["minor"]))
        _alone(state, root, one, "StandAlone")


def _compare(state: Json, end: tuple[str, Json], peer: tuple[str, Json]) -> str:
    """What the first one is: source, target, equal (empty), split, unrelated."""
    (root, one), (other, two) = end, peer
    if "Diskless" in (one["disk"], two["disk"]):
        return ""
    mine, theirs = meta_of(state, root, one), meta_of(state, other, two)
    if mine["current"] == theirs["current"]:
        if mine["uptodate"] == theirs["uptodate"]:
            return ""
        return "source" if mine["uptodate"] else "target"
    if FRESH in (mine["current"], theirs["current"]):
        return "target" if mine["current"] == FRESH else "source"
    if theirs["current"] in _known(mine):
        return "source"
    if mine["current"] in _known(theirs):
        return "target"
    if not (set(_known(mine)) & set(_known(theirs))) - {""}:
        return "unrelated"
    if one["discard"] != two["discard"]:
        return "target" if one["discard"] else "source"
    return "split"


def attached(state: Json, end: tuple[str, Json], peer: tuple[str, Json]) -> None:
    """An end has got a disk while they are connected: they compare."""
    direction = _compare(state, end, peer)
    if direction in ("split", "unrelated"):
        _part(state, (end, peer), "block drbd{}: Unrelated data, aborting!")
    elif direction:
        start(state, *((end, peer) if direction == "source" else (peer, end)))


def start(state: Json, source: tuple[str, Json], target: tuple[str, Json]) -> None:
    """The synchronisation of two ends that are connected."""
    meta = meta_of(state, *source)
    _set_bitmap(meta, os.urandom(16).hex())
    size = target[1]["size"]
    seconds = size / state["rate"] if state["rate"] else 0.0
    meta_of(state, *target)["uptodate"] = False
    target[1]["disk"] = source[1]["peer_disk"] = "Inconsistent"
    for end, word in ((source, "SyncSource"), (target, "SyncTarget")):
        end[1]["replication"], end[1]["until"], end[1]["began"] = word, time.time() + seconds, time.time()


def _synchronise(state: Json, end: tuple[str, Json], peer: tuple[str, Json]) -> None:
    """Finish what has had its time."""
    if end[1]["replication"] != "SyncSource" or not end[1]["until"] or time.time() < end[1]["until"]:
        return
    source, target = meta_of(state, *end), meta_of(state, *peer)
    copy(store(end[0], end[1]["data"]), store(peer[0], peer[1]["data"]))
    _set_bitmap(source, "")
    target |= {"current": source["current"], "bitmap": "", "history": list(source["history"]), "uptodate": True}
    for one in (end[1], peer[1]):
        one["replication"], one["until"], one["disk"], one["peer_disk"] = "Established", None, "UpToDate", "UpToDate"


def _mirror(end: tuple[str, Json], peer: tuple[str, Json]) -> None:
    """What a primary has written is on its peer, too; of two primaries, the one that wrote last counts."""
    (root, one), (other, two) = end, peer
    if one["disk"] != "UpToDate" or two["disk"] != "UpToDate" or one["role"] != "Primary":
        return
    mine, theirs = store(root, one["data"]), store(other, two["data"])
    newer, older = os.stat(mine).st_mtime_ns, os.stat(theirs).st_mtime_ns
    if newer > older:
        copy(mine, theirs)
        os.utime(theirs, ns=(newer, newer))


def left(one: Json) -> int:
    """KiB that are out of sync."""
    if not one["until"]:
        return int(one["size"]) if one["disk"] == "Inconsistent" or one["peer_disk"] == "Inconsistent" else 0
    whole = max(one["until"] - one["began"], 0.001)
    return max(0, min(one["size"], round(one["size"] * (one["until"] - time.time()) / whole)))
