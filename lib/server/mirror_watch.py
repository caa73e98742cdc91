# SPDX-License-Identifier: BSD-2-Clause
"""Noticing at once when a mirrored disk is whole at one end only, or at both again.

The nodes are not asked again and again: each answers when something has changed.  What is remembered (since when a
disk is not whole) decides whether its secondary may take over once the primary node is dead, so it must not wait for
the next `gnt-cluster verify-disks`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gantry.cmdlib.mirror_state import is_whole
from gantry.cmdlib.view import Nodes
from gantry.config.change import Change, ConfigWriter
from gantry.config.config import Config
from gantry.errors import Error
from gantry.objects.instance import Disk
from gantry.objects.plan import Put, Update
from gantry.rpc import calls
from gantry.utils import clock
from gantry.utils.retry import growing

log = logging.getLogger(__name__)
WAIT_SECONDS = 20.0
"""Longest that a node keeps a question; disks that are new to it join the next one."""
PAUSE_SECONDS = 1.0
MOST_SECONDS = 10.0
"""The first and the longest pause before a node is asked again that did not answer."""


class MirrorWatch:
    """`barred`: why this master may not change anything now, empty when it may."""

    def __init__(self, config: Config, writer: ConfigWriter, nodes: Nodes, barred: Callable[[], str]) -> None:
        self._config, self._writer, self._nodes, self._barred = config, writer, nodes, barred
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def changed(self, changes: Iterable[Change] | None = None) -> None:
        """The configuration has other mirrored disks, or other nodes: a node that has some in use is followed.  Without
        `changes` all nodes are looked at.
        """
        for node in self._config.nodes if changes is None else self._concerned(changes):
            if node not in self._tasks and self._mirrors(node):
                self._tasks[node] = asyncio.get_running_loop().create_task(self._follow(node))

    def _concerned(self, changes: Iterable[Change]) -> set[str]:
        """Nodes (UUIDs) for which these changes may have made a difference."""
        config, found = self._config, set[str]()
        for change in changes:
            uuid = change.value["uuid"] if isinstance(change, Put) else change.uuid
            if change.table == "nodes":
                found.add(uuid)
            elif change.table in ("instances", "disks"):
                owner = config.instances.get(uuid) if change.table == "instances" else config.owner_of(uuid)
                found |= {owner.primary_node} if owner is not None else set()
        return found

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _mirrors(self, node: str) -> list["Mirror"]:
        """Mirrored disks in use by instances whose primary node (UUID) it is."""
        if node not in self._config.nodes or self._config.nodes[node].offline:
            return []
        return [Mirror(disk, end.minor, f"disk/{index} of instance {instance.name}")
                for instance in self._config.primaries_of(node) if instance.disks_active
                for index, disk in enumerate(self._config.disks_of(instance))
                if disk.drbd is not None and (end := disk.drbd.end(node)) is not None]

    async def _follow(self, node: str) -> None:
        """Until the node has no mirrored disks in use any more."""
        try:
            seen: dict[int, list[str]] = {}
            pauses = self._pauses()
            while mirrors := self._mirrors(node):
                try:
                    seen = await self._look(node, [mirror.minor for mirror in mirrors], seen)
                    await self._remember(node, mirrors, seen)
                    pauses = self._pauses()
                except Error as err:
                    log.info("the mirrored disks of node %s are not watched now: %s", node, err)
                    await asyncio.sleep(next(pauses))
        finally:
            del self._tasks[node]

    @staticmethod
    def _pauses() -> Iterator[float]:
        return growing(PAUSE_SECONDS, 2.0, MOST_SECONDS)

    async def _look(self, node: str, minors: list[int], seen: Mapping[int, list[str]]) -> dict[int, list[str]]:
        states = await self._nodes.call(node, calls.drbd_watch, minors=minors, wait=WAIT_SECONDS,
                                        seen=[seen.get(minor, []) for minor in minors])
        return dict(zip(minors, states, strict=True))

    async def _remember(self, node: str, asked: Sequence["Mirror"], states: Mapping[int, list[str]]) -> None:
        """Record which disks became whole at one end only, or at both again; not those that have changed since."""
        now, changes = clock.epoch(), list[Change]()
        for mirror in self._mirrors(node):
            if mirror not in asked:
                continue
            status, problem = states[mirror.minor]
            whole = is_whole(status)
            if whole is None or whole == (mirror.disk.degraded_since is None):
                continue
            changes.append(Update(table="disks", uuid=mirror.disk.uuid,
                                  fields={"degraded_since": None if whole else now}))
            log.log(logging.INFO if whole else logging.WARNING, "%s is %s%s", mirror.shown,
                    "whole at both ends" if whole else status, f": {problem}" if problem else "")
        if changes and not self._barred():
            await self._writer.change(changes, who="gnt-masterd", why="watch mirrored disks")


@dataclass(frozen=True)
class Mirror:
    """A mirrored disk in use, and its minor on the primary node; `shown`: which one, for people."""

    disk: Disk
    minor: int
    shown: str
