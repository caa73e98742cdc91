# SPDX-License-Identifier: BSD-2-Clause
"""Asking nodes for a query: all at once, with a deadline, never the same thing twice within a second.

An answer is used again only while nothing was recorded in the store, neither a change nor a step of a job:
who starts a guest and then looks sees it running.

A node that does not answer in time costs its own cells only.  Its call goes on in the background, and
until it ends further queries do not wait for that node again.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gantry.errors import Error, NodeUnreachable
from gantry.rpc.declare import CallType
from gantry.utils.clock import PATIENCE, SYSTEM, Clock

SECONDS = 4.0 * PATIENCE
"""Seconds that a query waits for nodes."""
FRESH = 1.0
"""Seconds for which an answer may be used again."""

Key = tuple[str, str, str]


class Nodes(Protocol):
    """Asking nodes, by UUID (`View.nodes` of a logical unit is one)."""

    async def call(self, node: str, call: CallType, /, **args: Any) -> Any: ...


class _Asked:
    """A call under way, or its answer."""

    def __init__(self, task: "asyncio.Task[Any]", since: float, serial: int) -> None:
        self.task = task
        self.since = since
        self.serial = serial
        self.done_at: float | None = None


class LiveNodes:
    """Answers of nodes by UUID; an Error in the place of an answer that did not come."""

    def __init__(self, nodes: Nodes, serial: Callable[[], int] = int, *, clock: Clock = SYSTEM,
                 patience: float = SECONDS) -> None:
        self._nodes = nodes
        self._serial = serial
        self._clock = clock
        self._patience = patience
        self._asked: dict[Key, _Asked] = {}

    async def ask(self, call: CallType, args: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Make `call` on the nodes that are the keys of `args`."""
        return {node: answer for (node, _), answer in
                (await self.ask_each(call, {(node, ""): given for node, given in args.items()})).items()}

    async def ask_each(self, call: CallType,
                       args: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
        """As `ask`, with any number of calls a node: the keys are (node, what tells the calls apart)."""
        self._forget()
        asked = {key: self._ask(key[0], call, given) for key, given in args.items()}
        waiting = {item.task for item in asked.values() if not item.task.done()}
        if waiting:
            end = max(item.since for item in asked.values() if not item.task.done()) + self._patience
            await asyncio.wait(waiting, timeout=max(0.0, end - self._clock.now()))
        return {key: self._answer(key[0], call, item) for key, item in asked.items()}

    def _answer(self, node: str, call: CallType, asked: _Asked) -> Any:
        if not asked.task.done() or asked.task.cancelled():
            return NodeUnreachable(node=node, call=call.name, detail=f"no answer within {self._patience:g} s")
        return asked.task.result()

    def _ask(self, node: str, call: CallType, args: Mapping[str, Any]) -> _Asked:
        key = (node, call.name, repr(sorted(args.items())))
        found = self._asked.get(key)
        if found is None or not self._usable(found):
            task = asyncio.get_running_loop().create_task(self._call(node, call, args))
            found = self._asked[key] = asked = _Asked(task, self._clock.now(), self._serial())
            task.add_done_callback(lambda _: setattr(asked, "done_at", self._clock.now()))
        return found

    def _usable(self, asked: _Asked) -> bool:
        """Whether it says how things are now, or that the node hangs."""
        hangs = not asked.task.done() and self._clock.now() - asked.since >= self._patience
        return hangs or asked.serial == self._serial()

    async def _call(self, node: str, call: CallType, args: Mapping[str, Any]) -> Any:
        try:
            return await self._nodes.call(node, call, **args)
        except Error as err:
            return err

    def _forget(self) -> None:
        """Drop answers that are too old to be used, and calls of a loop that ended."""
        now = self._clock.now()
        for key, item in list(self._asked.items()):
            if item.task.cancelled() or (item.done_at is not None and now - item.done_at > FRESH):
                del self._asked[key]
