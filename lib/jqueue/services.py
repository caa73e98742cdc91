# SPDX-License-Identifier: BSD-2-Clause
"""What the queue needs of the layers below, in one frozen record."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gantry.cmdlib.view import Nodes
from gantry.config.config import Config
from gantry.errors import Error
from gantry.jqueue.reserve import ReservationBook
from gantry.jqueue.run import Halt
from gantry.locking.manager import LockManager
from gantry.objects.plan import Delete, Put, Update
from gantry.utils.clock import PATIENCE

log = logging.getLogger(__name__)

Row = tuple[str, str, Any | None]
Change = Put | Update | Delete
MasterCall = Callable[..., Awaitable[Any]]

STEP_PAUSES = (0.2, 0.3, 0.5, 1.0, 1.0, 2.0, 2.0, 3.0, *[5.0] * round(4 * PATIENCE))
"""Pauses in seconds between tries of a call to a node that does not answer: about 30 s together, on a slow machine
more: its node daemon may be starting."""


class JobStore(Protocol):
    """The part of the store that the queue uses."""

    def put(self, rows: Sequence[Row]) -> Awaitable[Any]:
        """Enqueue at once, in order; resolves when the rows are durable."""

    async def read(self, table: str, keys: Iterable[str] | None = None) -> Mapping[str, Any]:
        """Values by key; keys that are not there are left out."""


class Writer(Protocol):
    """The part of ConfigWriter that plans use."""

    def change(self, changes: Sequence[Change], *, who: str, why: str,
               extra: Sequence[Row] = ()) -> Awaitable[Any]: ...

    def inverse(self, changes: Sequence[Change]) -> Sequence[Change]: ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """`master_calls` by name, for the action Master.  `sleep` and `pauses` (seconds) let tests run without waiting."""

    config: Config
    store: JobStore
    writer: Writer
    nodes: Nodes
    locks: LockManager = field(default_factory=LockManager)
    reservations: ReservationBook = field(default_factory=ReservationBook)
    master_calls: Mapping[str, MasterCall] = field(default_factory=dict)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    pauses: Sequence[float] = STEP_PAUSES
    background: set["asyncio.Task[None]"] = field(default_factory=set)
    no_work: Callable[[], str] = str
    """Why no work may be taken or started at this moment (no majority of the nodes), or empty."""

    async def durable(self, rows: Sequence[Row]) -> None:
        """Wait until the rows are on the disk and its copies; raises Halt when that cannot be."""
        try:
            await self.store.put(rows)
        except (Error, OSError) as err:
            raise Halt(f"cannot store the state of jobs: {err}") from err

    def later(self, rows: Sequence[Row]) -> None:
        """Store without waiting; a store that fails says so to the next who waits."""
        asyncio.ensure_future(self.store.put(rows)).add_done_callback(_look_at)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` run beside; it handles its own errors."""
        task = asyncio.get_running_loop().create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)


def _look_at(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled() and done.exception() is not None:
        log.error("cannot store the state of a job: %s", done.exception())
