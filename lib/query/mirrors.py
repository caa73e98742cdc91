# SPDX-License-Identifier: BSD-2-Clause
"""How far mirrored disks are from being whole at both ends: from what their primary nodes say."""

from collections.abc import Iterable, Mapping
from typing import Any

from gantry.config.config import Config
from gantry.objects.instance import Disk, Instance

State = Mapping[str, Any]
WORST = ("faulty", "down", "degraded", "sync", "ok")
"""States of a mirror, the worst first."""


def unsynced(config: Config, disk: Disk, state: State | None) -> int | None:
    """Bytes that only one end has; None when nobody can say.  Of a disk whose other node is marked offline that is
    all of it.
    """
    mirror = (state or {}).get("mirror")
    if not mirror or mirror["status"] == "down":
        return None
    if any(config.nodes[node].offline for node in disk.nodes):
        return disk.size << 20
    return 0 if mirror["status"] == "ok" else int(mirror["out_of_sync"]) << 10


def worst(states: Iterable[State | None]) -> str | None:
    """The state of the worst of an instance's mirrors; None when there is none, or nobody can say."""
    found = {(state or {}).get("mirror", {}).get("status") for state in states if state and state.get("mirror")}
    return next((status for status in WORST if status in found), None)


def problem(states: Iterable[State | None]) -> str:
    """What is wrong with a mirror and what to do, as the first of its ends says that knows; empty when nothing is."""
    texts = (((state or {}).get("mirror") or {}).get("problem") for state in states)
    return next((str(text) for text in texts if text), "")


def since(config: Config, instance: Instance) -> float | None:
    """Since when a mirrored disk of the instance was seen not to be whole, None while all are."""
    times = [disk.degraded_since for disk in config.disks_of(instance) if disk.degraded_since is not None]
    return min(times, default=None)
