# SPDX-License-Identifier: BSD-2-Clause
"""The archive: finished jobs that are out of the way, and out of memory."""

import asyncio
from collections.abc import Iterable, Sequence

from gantry.jqueue import job as jobs
from gantry.jqueue.job import Job
from gantry.jqueue.services import JobStore, Row
from gantry.utils import clock

AT_ONCE = 100
"""Jobs archived in one record."""


async def archive(store: JobStore, live: dict[int, Job], ids: Sequence[int]) -> int:
    """Archive those that are finished; how many."""
    chosen = [job for id in ids if (job := live.get(id)) is not None and job.final and not job.archived]
    rows: list[Row] = []
    for job in chosen:
        job.archived = True
        rows += [("jobs", str(job.id), None), ("archive", str(job.id), job.encode())]
    if rows:
        await store.put(rows)
    for job in chosen:
        live.pop(job.id, None)
        job.touch()
    return len(chosen)


async def autoarchive(store: JobStore, live: dict[int, Job], age: float, timeout: float) -> tuple[int, int]:
    """Archive jobs whose end is more than `age` seconds ago (-1: all that ended), for at most `timeout` seconds.

    (how many were archived, how many were not looked at)
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    now = clock.epoch()
    left = list(live)
    done = 0
    while left and (not done or loop.time() < end):
        batch, left = left[:AT_ONCE], left[AT_ONCE:]
        done += await archive(store, live, [id for id in batch if _is_old(live.get(id), now, age)])
        if loop.time() >= end:
            break
    return done, len(left)


def _is_old(job: Job | None, now: float, age: float) -> bool:
    if job is None or job.end is None:
        return False
    return age < 0 or now - (job.end[0] + job.end[1] / 1e6) > age


async def archived(store: JobStore, ids: Iterable[int] | None) -> list[Job]:
    """Archived jobs by id; None: all of them."""
    found = await store.read("archive", None if ids is None else [str(id) for id in ids])
    return sorted((jobs.decode(data, archived=True) for data in found.values()), key=lambda job: job.id)
