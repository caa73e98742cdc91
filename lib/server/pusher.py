# SPDX-License-Identifier: BSD-2-Clause
"""Keeping something on other nodes as it is here: told after each change, and again to nodes that did not answer."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from gantry.errors import Error, ExecError
from gantry.utils.retry import growing

log = logging.getLogger(__name__)
GATHER = 0.05
"""Seconds in which further changes join a push."""


class Pusher(ABC):
    """`what`: the thing that is kept the same, for messages."""

    what: str

    def __init__(self) -> None:
        self._have: dict[str, Any] = {}
        """What each node (UUID) was last told."""
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Tell all nodes, and from then on those that need it."""
        self._wake.set()
        self.run(self._keep())

    def run(self, work: Any) -> None:
        """Have a coroutine run until `close`."""
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    def changed(self) -> None:
        """There may be something to tell."""
        self._wake.set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @abstractmethod
    async def push(self) -> list[str]:
        """Tell the nodes that need it, now; names of those that did not answer."""

    async def redistribute(self) -> None:
        """Tell all nodes, also those that were told; raises ExecError when some did not answer."""
        self._have.clear()
        missed = await self.push()
        if missed:
            raise ExecError(detail=f"{self.what} of {', '.join(missed)} are not written; they will be when these "
                                   "nodes answer")

    def note(self, told: Mapping[str, Any], answers: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
        """Note what those nodes have now that answered; names of the others.  All by UUID."""
        missed = []
        for uuid, answer in answers.items():
            if isinstance(answer, Error):
                log.info("%s of node %s are not written: %s", self.what, names[uuid], answer)
                missed.append(names[uuid])
            else:
                self._have[uuid] = told[uuid]
        return missed

    async def _keep(self) -> None:
        pauses: Iterator[float] = growing(1.0, 2.0, 60.0)
        missed = False
        while True:
            try:
                async with asyncio.timeout(next(pauses) if missed else None):
                    await self._wake.wait()
            except TimeoutError:
                pass
            else:
                pauses = growing(1.0, 2.0, 60.0)
            await asyncio.sleep(GATHER)
            self._wake.clear()
            try:
                missed = bool(await self.push())
            except Error as err:
                log.warning("%s are not distributed: %s", self.what, err)
                missed = True
