# SPDX-License-Identifier: BSD-2-Clause
"""A job while it runs: how it is told to stop."""

import asyncio
import contextlib
from collections.abc import Iterator

from gantry.jqueue.job import Job


class JobCanceled(Exception):
    """The operator wants this job to stop, and this is a place where it can."""


class Halt(Exception):
    """The queue cannot go on: we are not master any more, or the store fails.  The job is left as recorded."""


class JobRun:
    """`sealed`: the opcode is past the point where a cancel could stop it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.index = 0
        self.sealed = False
        self.cancel_wanted = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open: set[asyncio.Task[object]] = set()

    def cancel(self) -> None:
        """Stop at the next place where that is possible; at once where the job only waits."""
        if self.cancel_wanted:
            return  # asked once; a second time would look like the end of the daemon
        self.cancel_wanted = True
        for task in self._open:
            task.cancel()

    def check(self) -> None:
        """A place to stop."""
        if self.cancel_wanted:
            raise JobCanceled

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within this block waiting ends with JobCanceled as soon as a cancel is wanted."""
        self.check()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - coroutines of jobs always run in a task
        self._open.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self.cancel_wanted or task.uncancel() > 0:
                raise  # the daemon itself is stopping
            raise JobCanceled from None
        finally:
            self._open.discard(task)
