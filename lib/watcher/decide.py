# SPDX-License-Identifier: BSD-2-Clause
"""What the watcher does for one node group.  Pure: what was seen and what was noted last time go in."""

from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_TRIES = 5
FORGET_SECONDS = 8 * 3600.0
"""An instance that was not started for so long begins with no failures again."""


@dataclass(frozen=True, kw_only=True)
class NodeSeen:
    """`boot_id` is empty where the node did not say."""

    name: str
    boot_id: str = ""
    offline: bool = False


@dataclass(frozen=True, kw_only=True)
class InstanceSeen:
    """`status` in the words of `gnt-instance list`."""

    name: str
    status: str
    secondaries: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What is kept from run to run: boot ids of nodes, and of instances how often they were started in vain, and
    when last.
    """

    boots: dict[str, str] = field(default_factory=dict)
    tries: dict[str, tuple[int, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Names of instances.  `clean`: their guests shut themselves down, which is to be recorded."""

    start: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()
    activate: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    notes: Notes = field(default_factory=Notes)


def decide(nodes: Iterable[NodeSeen], instances: Iterable[InstanceSeen], before: Notes, now: float) -> Decision:
    """`now` in seconds since 1970.  What is down on purpose, or on nodes that are offline or silent, is let be."""
    boots = {node.name: node.boot_id or before.boots.get(node.name, "") for node in nodes if not node.offline}
    rebooted = {name for name, boot in boots.items() if boot and before.boots.get(name, boot) != boot}
    start: list[str] = []
    given_up: list[str] = []
    tries: dict[str, tuple[int, float]] = {}
    seen = list(instances)
    for item in seen:
        count, last = before.tries.get(item.name, (0, 0.0))
        if now - last > FORGET_SECONDS:
            count = 0
        if item.status != "ERROR_down":
            if count and item.status.startswith("ERROR_"):  # its node is away: it is no success that it is not down
                tries[item.name] = (count, last)
        elif count >= MAX_TRIES:
            given_up.append(item.name)
            tries[item.name] = (count, last)
        else:
            start.append(item.name)
            tries[item.name] = (count + 1, now)
    return Decision(
        start=tuple(start), given_up=tuple(given_up),
        activate=tuple(item.name for item in seen if item.status == "running" and rebooted & set(item.secondaries)),
        clean=tuple(item.name for item in seen if item.status == "USER_down"),
        notes=Notes(boots={name: boot for name, boot in boots.items() if boot}, tries=tries))
