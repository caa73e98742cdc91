# SPDX-License-Identifier: BSD-2-Clause
"""The job queue: accepts, keeps, orders and runs jobs, and answers everything a client may ask of them.

A job's id is given out when the job is durable; its last state is seen when that is durable.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from gantry.cmdlib.view import Nodes
from gantry.errors import JobLost, JobQueueError, QueueDrained, StoreFailed
from gantry.jqueue import depend, housekeeping, resume, submit, trail
from gantry.jqueue.job import CANCELED_TEXT, Job, Outcome
from gantry.jqueue.log import Entry
from gantry.jqueue.processor import Processor
from gantry.jqueue.resume import StoredPlan
from gantry.jqueue.run import Halt, JobRun
from gantry.jqueue.schedule import Candidate, choose
from gantry.jqueue.services import Row, Services
from gantry.jqueue.states import Event, Status
from gantry.jqueue.submit import Answer as Submitted
from gantry.jqueue.verdicts import Verdicts
from gantry.jqueue.waiting import Line
from gantry.locking.manager import LockManager
from gantry.objects.plan import Update
from gantry.utils import clock, counting, faults

log = logging.getLogger(__name__)
NO_WORK_PAUSE = 1.0
"""Seconds until a master that may not start work looks again whether it may."""
CANCEL_SECONDS = 44.0
"""How long the answer to a cancel request may take."""
Answer = tuple[bool, str]
Snapshot = Callable[[Job], list[Any]]


class JobQueue:
    """`halt` is called when the queue cannot go on (not master any more, the store fails)."""

    def __init__(self, services: Services, halt: Callable[[Exception], None]) -> None:
        self.services = services
        self._halt = halt
        self._jobs: dict[int, Job] = {}
        self._last_id = 0
        self._line = Line()
        self._active: dict[int, tuple[JobRun, Candidate]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._verdicts = Verdicts()
        self._kicked = self._stopped = False
        self._processor = Processor(services, self._check_dependencies, self._submit_within)

    # --- starting and stopping -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Load all jobs; those that were running take their locks before any other, and go on."""
        loaded = await resume.load(self.services.store)
        self._last_id = loaded.last_id
        self._jobs = {job.id: job for job in loaded.jobs}
        if loaded.rows:
            await self.services.durable(loaded.rows)
        plans: dict[int, StoredPlan] = {}
        for id, stored in loaded.plans.items():
            self.services.reservations.reserve_all(stored.plan.reserves, id)
            claim = self.services.locks.take_now(id, stored.wanted, priority=self._jobs[id].priority)
            plans[id] = stored.with_claim(claim)
        for job in loaded.jobs:
            if job.id in plans:
                log.info("job %d goes on", job.id)
                self._begin(job, _candidate(job), plans[job.id])
            elif not job.final:
                self._queue(job)
        self.kick()

    async def stop(self) -> None:
        """End at once; running jobs stay as they are recorded and go on at the next start."""
        self._stopped = True
        for task in [*self._tasks, *self.services.background]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self.services.background, return_exceptions=True)

    # --- looking -----------------------------------------------------------------------------------------

    @property
    def locks(self) -> LockManager:
        return self.services.locks

    @property
    def nodes(self) -> Nodes:
        return self.services.nodes

    @property
    def last_id(self) -> int:
        return self._last_id

    @property
    def drained(self) -> bool:
        return self.services.config.cluster.queue_drained

    def job(self, id: int) -> Job | None:
        """A job that is not archived."""
        return self._jobs.get(id)

    def jobs(self) -> Collection[Job]:
        """All jobs that are not archived, in ascending order of their ids."""
        return self._jobs.values()

    async def archived(self, ids: Iterable[int] | None) -> list[Job]:
        """Archived jobs with these ids (None: all), by id; ids that are not there are left out."""
        return await housekeeping.archived(self.services.store, ids)

    async def wait_for_change(self, id: int, snapshot: Snapshot, previous: list[Any] | None,
                              log_serial: int | None, timeout: float) -> tuple[list[Any], list[Entry]]:
        """(`snapshot(job)`, new log entries) as soon as they differ from (`previous`, []); at once for a job
        that is final, and as they are after `timeout` seconds.  Raises JobLost."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            job = self._jobs.get(id)
            if job is None:
                raise JobLost(job=id)
            values, entries = snapshot(job), job.log_after(log_serial)
            left = end - loop.time()
            if job.final or entries or values != previous or left <= 0:
                return values, entries
            await asyncio.wait((job.changed(),), timeout=left)

    # --- submitting -----------------------------------------------------------------------------------------

    async def submit(self, jobs: Sequence[Sequence[dict[str, Any]]], *,
                     drained_ok: bool = False) -> list[Submitted]:
        """Accept jobs (lists of opcodes in wire form): (True, id) or (False, message) for each.

        Raises QueueDrained, or JobQueueError when this master may not work.  When it returns, the jobs are durable.
        """
        problem = self.services.no_work()
        if problem:
            raise JobQueueError(detail=f"the job queue does not accept new jobs: {problem}")
        if self.drained and not drained_ok:
            raise QueueDrained()
        return await self._accept(jobs, lambda answers: ())

    async def _submit_within(self, jobs: Sequence[Sequence[dict[str, Any]]], rows: Callable[[Any], Sequence[Row]], *,
                             parent: Mapping[str, Any]) -> list[list[Any]]:
        """Jobs that a plan submits; `rows` records their ids, together with them."""
        children = [[trail.inherit(op, parent) for op in ops] for ops in jobs]
        answers = await self._accept(children, lambda found: rows([list(answer) for answer in found]))
        return [list(answer) for answer in answers]

    async def _accept(self, jobs: Sequence[Sequence[dict[str, Any]]],
                      extra: Callable[[list[Submitted]], Sequence[Row]]) -> list[Submitted]:
        built, answers = submit.build_all(jobs, self._last_id + 1)
        self._last_id += len(answers)
        rows: list[Row] = [("jobs", str(job.id), job.encode()) for job in built]
        try:
            await self.services.store.put([*rows, ("meta", "job_serial", self._last_id), *extra(answers)])
        except StoreFailed as err:
            self._halt(err)
            raise
        for job in built:
            faults.point(f"job:{job.ops[0].op_id}:submitted")
            self._jobs[job.id] = job
            self._queue(job)
        self.kick()
        return answers

    # --- running --------------------------------------------------------------------------------------------

    def kick(self) -> None:
        """Look soon whether jobs may start; call it when filters or limits have changed."""
        if not self._kicked and not self._stopped:
            self._kicked = True
            asyncio.get_running_loop().call_soon(self._schedule)

    def _queue(self, job: Job) -> None:
        unfinished = [id for id in submit.depends_on(job) if (other := self._jobs.get(id)) and not other.final]
        self._line.add(_candidate(job), unfinished)

    def _schedule(self) -> None:
        self._kicked = False
        if self._stopped:
            return
        if self.services.no_work():
            asyncio.get_running_loop().call_later(NO_WORK_PAUSE, self.kick)
            return
        rule_of = self._verdicts.rule_of(self.services.config, self._jobs)
        choice = choose(self._line.ready(), (item for _, item in self._active.values()),
                        self.services.config.cluster.max_running_jobs, rule_of)
        for id in choice.reject:
            self.services.spawn(self._reject(id))
        for id in choice.start:
            self._begin(self._jobs[id], self._line.take(id), None)

    def _begin(self, job: Job, candidate: Candidate, stored: StoredPlan | None) -> None:
        run = JobRun(job)
        self._active[job.id] = (run, candidate)
        if job.status is Status.CANCELING:
            run.cancel()
        if stored is None and job.received:
            counting.QUEUE_SECONDS.observe(clock.epoch() - job.received[0] - job.received[1] / 1e6)
        task = asyncio.get_running_loop().create_task(self._run(run, stored))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, run: JobRun, stored: StoredPlan | None) -> None:
        job = run.job
        try:
            await self._processor.run(run, stored)
        except Halt as err:
            log.critical("job %d stops here: %s", job.id, err)
            self._halt(err)
        except Exception:  # the outermost loop of the queue: a bug in one job may not end the others
            log.exception("job %d stops here", job.id)
        finally:
            del self._active[job.id]
            if not run.ended.done():
                run.ended.set_result(None)
        if job.final:
            self._ended(job)

    def _ended(self, job: Job) -> None:
        counting.JOBS_ENDED.add(job.ops[0].op_id, job.status.value)
        self._verdicts.forget(job.id)
        self._line.finished(job.id)
        self.kick()

    async def _check_dependencies(self, run: JobRun, depends: Sequence[Any]) -> None:
        async def final_status(id: int) -> Status | None:
            job = self._jobs.get(id)
            found = [job] if job is not None else await self.archived([id])
            if found and not found[0].final:  # a later opcode may name a job that was queued meanwhile
                with run.interruptible():
                    while not found[0].final:
                        await asyncio.wait((found[0].changed(),))
            return found[0].status if found else None
        await depend.check(run.job.id, depends, final_status)

    # --- what operators ask for ---------------------------------------------------------------------------------

    async def cancel(self, id: int, kill: bool = False) -> Answer:  # noqa: FBT001, FBT002 - as on the wire
        """Stop a job: a queued one at once, a waiting one soon, a running one at its next step, then undone.

        The answer comes when it has ended, or after 44 s; with `kill` at once.
        """
        job = self._jobs.get(id)
        if job is not None and id in self._line:
            self._line.take(id)
            await self._end_unstarted(job)
            return True, f"Dequeued job {id}"
        if job is None or job.final or id not in self._active:
            return False, f"Job {id} not found in queue"
        run, _ = self._active[id]
        if run.sealed or job.ops[run.index].final:
            run.cancel()  # later opcodes will not start
            return False, "Job no longer waiting, can't cancel (informed it anyway)"
        return await self._cancel_started(run, CANCEL_SECONDS * (not kill))

    async def _cancel_started(self, run: JobRun, seconds: float) -> Answer:
        job = run.job
        if job.ops[run.index].status in (Status.WAITING, Status.RUNNING):
            job.move(run.index, Event.CANCEL)
            self.services.later([("jobs", str(job.id), job.encode())])
        run.cancel()
        if seconds:
            await asyncio.wait((run.ended,), timeout=seconds)
        if not job.final:
            return True, f"Job {job.id} is being canceled, what it has done is being undone"
        if job.status is Status.CANCELED:
            return True, "Job successfully cancelled"
        return False, f"Job exited before it could have been canceled, status {job.status.value}"

    async def _end_unstarted(self, job: Job) -> None:
        ends = job.outcomes(0, Outcome(event=Event.CANCELED, result=CANCELED_TEXT))
        job.closing = True
        await self.services.store.put([("jobs", str(job.id), job.encode(ends))])
        job.settle(ends)
        self._ended(job)

    async def _reject(self, id: int) -> None:
        if id in self._line:
            self._line.take(id)
            log.info("job %d is rejected by a filter rule", id)
            await self._end_unstarted(self._jobs[id])

    async def change_priority(self, id: int, priority: int) -> Answer:
        """For all opcodes that are not finished; also for one that waits for locks."""
        job = self._jobs.get(id)
        if job is None or job.final or job.closing:
            return False, f"Job {id} not found in queue"
        job.set_priority(priority)
        if id in self._line:
            self._line.set_priority(id, priority)
        self.services.locks.set_priority(id, priority)
        await self.services.store.put([("jobs", str(id), job.encode())])
        self.kick()
        return True, f"Priorities of pending opcodes for job {id} have been changed to {priority}"

    async def archive(self, id: int) -> bool:
        """Move a finished job to the archive; False when it is not finished or not there."""
        return await housekeeping.archive(self.services.store, self._jobs, [id]) == 1

    async def autoarchive(self, age: float, timeout: float) -> tuple[int, int]:
        """Archive jobs that ended more than `age` seconds ago (-1: all that ended), for at most `timeout` seconds;
        (how many, how many were not looked at)."""
        return await housekeeping.autoarchive(self.services.store, self._jobs, age, timeout)

    async def set_drained(self, flag: bool) -> None:  # noqa: FBT001 - as on the wire
        """While drained, no job is accepted; those in the queue run."""
        cluster = self.services.config.cluster
        await self.services.writer.change(
            [Update(table="cluster", uuid=cluster.uuid, fields={"queue_drained": flag})],
            who="operator", why="drain the queue" if flag else "undrain the queue")


def _candidate(job: Job) -> Candidate:
    return Candidate(id=job.id, priority=job.priority, buckets=trail.buckets(op.input for op in job.ops))
