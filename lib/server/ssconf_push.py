# SPDX-License-Identifier: BSD-2-Clause
"""Keeping the ssconf files of all nodes as the configuration is: after each change that shows in them, and again
on nodes that did not answer.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from gantry.cmdlib.view import Nodes
from gantry.config.config import Config
from gantry.errors import Error, ExecError
from gantry.rpc import calls
from gantry.utils.retry import growing

log = logging.getLogger(__name__)
GATHER = 0.05
"""Seconds in which further changes join a push."""

Values = Callable[[Config], Mapping[str, str]]


class SsconfPusher:
    """`values` makes the files' contents from the configuration (`lib/config/ssconf.py`)."""

    def __init__(self, config: Config, nodes: Nodes, values: Values) -> None:
        self._config, self._nodes, self._values = config, nodes, values
        self._have: dict[str, dict[str, str]] = {}
        """What each node was last told."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell all nodes, and from then on those that need it."""
        self._wake.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def changed(self) -> None:
        """The configuration has changed."""
        self._wake.set()

    def came_back(self, node: str) -> None:
        """The node may have missed something, or was put up anew."""
        self._have.pop(node, None)
        self._wake.set()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def push(self) -> list[str]:
        """Tell the nodes that need it, now; names of those that did not answer."""
        values = dict(self._values(self._config))
        online = {node.uuid: node.name for node in self._config.online_nodes()}
        for gone in self._have.keys() - online.keys():
            del self._have[gone]
        wanting = [uuid for uuid in online if self._have.get(uuid) != values]
        if not wanting:
            return []
        answers = await self._nodes.call_many(wanting, calls.ssconf_write, values=values, serial=self._config.serial)
        missed = []
        for uuid, answer in answers.items():
            if isinstance(answer, Error):
                log.info("ssconf of node %s is not written: %s", online[uuid], answer)
                missed.append(online[uuid])
            else:
                self._have[uuid] = values
        return missed

    async def redistribute(self) -> None:
        """Tell all nodes, also those that were told; raises ExecError when some did not answer."""
        self._have.clear()
        missed = await self.push()
        if missed:
            raise ExecError(detail=f"the ssconf files of {', '.join(missed)} are not written; they will be when these "
                                   "nodes answer")

    async def _run(self) -> None:
        pauses = growing(1.0, 2.0, 60.0)
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
                log.warning("ssconf files are not distributed: %s", err)
                missed = True
