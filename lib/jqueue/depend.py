# SPDX-License-Identifier: BSD-2-Clause
"""Whether the jobs that an opcode depends on ended as it wants."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gantry.errors import ExecError
from gantry.jqueue.run import JobCanceled
from gantry.jqueue.states import Status

DEFAULT = (Status.SUCCESS.value, Status.ERROR.value)

FinalStatus = Callable[[int], Awaitable[Status | None]]


async def check(job: int, depends: Sequence[Any], final_status: FinalStatus) -> None:
    """Raises ExecError, or JobCanceled when a dependency was canceled and that was not wanted.

    `final_status` gives None for a job that is not known.
    """
    for id, listed in depends:
        wanted = listed or DEFAULT
        status = await final_status(id)
        if status is None:
            raise ExecError(detail=f"Dependency error: job {id}, on which job {job} depends, is not known")
        if status.value in wanted:
            continue
        if status is Status.CANCELED:
            raise JobCanceled
        raise ExecError(detail=f"Job {job} depends on job {id}, which ended with status {status.value}; "
                               f"wanted: {', '.join(wanted)}")
