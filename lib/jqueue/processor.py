# SPDX-License-Identifier: BSD-2-Clause
"""One job, opcode after opcode: locks, check, pre hooks, plan, steps, post hooks, result."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.errors import BadEnvironment, Error, ExecError, NodeUnreachable, NoResourcesNow, StaleTerm
from gantry.jqueue import hooks as hooks_
from gantry.jqueue.actions import Actor
from gantry.jqueue.execute import PlanRun
from gantry.jqueue.job import CANCELED_TEXT, Outcome
from gantry.jqueue.progress import describe
from gantry.jqueue.resume import StoredPlan
from gantry.jqueue.run import Halt, JobCanceled, JobRun
from gantry.jqueue.services import Row, Services
from gantry.jqueue.states import Event
from gantry.jqueue.view import JobView
from gantry.locking.modes import ALL, Wanted
from gantry.opcodes.base import OpCode
from gantry.rpc import calls
from gantry.utils import faults

log = logging.getLogger(__name__)

SHORTAGE_PAUSES = (5.0, 10.0, 20.0, 40.0, *[75.0] * 23)
"""Seconds between tries while something is missing that may come by itself: half an hour together."""
LOCK_ROUNDS = 10
DRY_RUN = " - INFO: dry-run mode requested, not actually executing the operation"

Depends = Callable[[JobRun, Sequence[Any]], Awaitable[None]]
Submit = Callable[..., Awaitable[Any]]


class Shortage(Exception):
    """`check` said that something is missing for now; the cause is its error."""


class Processor:
    """`depends` raises when a dependency ended wrongly; `submit` accepts jobs that a plan submits."""

    def __init__(self, services: Services, depends: Depends, submit: Submit) -> None:
        self._services, self._depends, self._submit = services, depends, submit

    async def run(self, run: JobRun, stored: StoredPlan | None = None) -> None:
        """All opcodes that are left.  `stored`: the plan that the first of them had begun before a restart.

        Raises Halt, and nothing else; then the job stays as it is recorded.
        """
        for index, op in enumerate(run.job.ops):
            if op.final:
                continue
            run.index, run.sealed = index, False
            event, result, drop = await self._opcode(run, stored)
            stored = None
            await self._finish(run, Outcome(event=event, result=result), drop)
            if event is not Event.FINISHED:
                return

    async def _finish(self, run: JobRun, outcome: Outcome, drop: Sequence[Row]) -> None:
        """Make the outcome durable; only then can anybody see it."""
        job = run.job
        ends = job.outcomes(run.index, outcome)
        job.closing = job.ends_with(ends)
        run.sealed = True
        await self._services.durable([("jobs", str(job.id), job.encode(ends)), *drop])
        faults.point(f"job:{job.ops[run.index].op_id}:finished")
        job.settle(ends)
        self._services.reservations.release(job.id)

    async def _opcode(self, run: JobRun, stored: StoredPlan | None) -> tuple[Event, Any, Sequence[Row]]:
        """How the opcode ends, and which rows of its plan are to be dropped then."""
        work = _Work(self._services, run, self._submit)
        try:
            if stored is not None:
                event, result = await work.resume(stored)
            else:
                event, result = Event.FINISHED, await self._from_start(run, work)
        except (Halt, StaleTerm) as err:
            raise err if isinstance(err, Halt) else Halt(str(err)) from err
        except JobCanceled:
            event, result = Event.CANCELED, CANCELED_TEXT
        except Error as err:
            event, result = Event.FAILED, _wire(err)
        except Exception as err:  # the outermost loop of a job: a bug of one may not end all
            log.exception("job %d, opcode %d: unexpected error", run.job.id, run.index)
            event, result = Event.FAILED, _wire(err)
        return event, result, work.end()

    async def _from_start(self, run: JobRun, work: "_Work") -> Any:
        run.check()
        op = run.job.ops[run.index]
        run.job.move(run.index, Event.PICKED)
        if op.secrets_lost:
            raise ExecError(detail=f"the secret OS parameters of job {run.job.id} are not stored and were lost when "
                                   "the master daemon restarted; submit it again")
        await self._depends(run, op.input.get("depends") or ())
        unit = _unit(op.opcode())
        for pause in SHORTAGE_PAUSES:
            try:
                return await work.attempt(unit)
            except Shortage as err:
                run.job.say(run.index, f" - INFO: {err.__cause__}; trying again in {pause:g} s")
                run.check()
                run.job.move(run.index, Event.AGAIN)
                with run.interruptible():
                    await self._services.sleep(pause)
        try:
            return await work.attempt(unit)
        except Shortage as err:
            raise err.__cause__ or err from None


class _Work:
    """One opcode at work."""

    def __init__(self, services: Services, run: JobRun, submit: Submit) -> None:
        self._services, self._run = services, run
        self._job, self._index = run.job, run.index
        self._op = run.job.ops[run.index]
        self._view = JobView(services, run.job, run.index)
        self._actor = Actor(services, run, lambda jobs, rows: submit(jobs, rows, parent=self._op.input))
        self._plan_run: PlanRun | None = None

    async def attempt(self, unit: LogicalUnit[Any, Any]) -> Any:
        """From the locks to the result.  Raises Shortage when it may be tried again later."""
        async with AsyncExitStack() as stack:
            wanted = await self._lock(unit, stack)
            self._job.move(self._index, Event.LOCKED)
            try:
                with self._run.interruptible():
                    seen = await unit.check(self._view)
            except NoResourcesNow as err:
                raise Shortage from err
            except NodeUnreachable as err:  # nothing was done yet: it is the cluster that is not as it should be
                raise BadEnvironment(detail=str(err)) from err
            hooks = unit.hooks(seen)
            if hooks is not None and hooks.pre_nodes:
                await hooks_.run_pre(self._services, self._op.op_id, hooks, self._view.warn)
                self._run.check()
            plan = unit.plan(seen)
            if self._op.input.get("dry_run"):
                for line in describe(plan, self._services.config):
                    self._view.say(line)
                self._view.say(DRY_RUN)
                return None
            self._services.reservations.reserve_all(plan.reserves, self._job.id)
            stored = StoredPlan(plan=plan, hooks=hooks, wanted=wanted)
            self._plan_run = PlanRun(self._services, self._run, self._actor, plan)
            if self._plan_run.stored:
                rows = [self._plan_row(stored), ("jobs", str(self._job.id), self._job.encode())]
                if self._plan_run.begins_with_change:
                    self._plan_run.prelude = rows
                else:
                    await self._services.durable(rows)
            faults.point(f"job:{self._op.op_id}:planned")
            return await self._carry_out(stored, self._plan_run)

    async def resume(self, stored: StoredPlan) -> tuple[Event, Any]:
        """Go on with a plan that was begun before a restart: forward, or back when that was decided."""
        async with AsyncExitStack() as stack:
            if stored.claim is not None:
                stack.callback(self._services.locks.release, stored.claim)
            else:
                await stack.enter_async_context(self._services.locks.hold(
                    self._job.id, stored.wanted, priority=self._op.priority))
            self._plan_run = PlanRun(self._services, self._run, self._actor, stored.plan, stored.done)
            if stored.undo is not None:
                await self._plan_run.undo()
                return Event(stored.undo["event"]), stored.undo["result"]
            return Event.FINISHED, await self._carry_out(stored, self._plan_run)

    async def _carry_out(self, stored: StoredPlan, plan_run: PlanRun) -> Any:
        try:
            result = await plan_run.forward()
        except (Halt, StaleTerm):
            raise
        except Exception as err:
            if plan_run.can_undo:
                await self._decide_to_undo(stored, err, plan_run)
                await plan_run.undo()
            raise
        self._run.sealed = True
        if stored.hooks is not None and stored.hooks.post_nodes:
            await hooks_.run_post(self._services, self._op.op_id, stored.hooks, self._view.warn)
        if self._actor.config_changed:
            await hooks_.run_config_update(self._services, self._op.op_id, self._view.warn)
        return result

    async def _decide_to_undo(self, stored: StoredPlan, err: Exception, plan_run: PlanRun) -> None:
        """From here on a restart goes back, too; that is on the disk before anything is undone."""
        self._run.sealed = True
        if not plan_run.stored:
            return
        canceled = isinstance(err, JobCanceled)
        event, result = (Event.CANCELED, CANCELED_TEXT) if canceled else (Event.FAILED, _wire(err))
        undo = {"event": event.value, "result": result, "reached": plan_run.reached}
        await self._services.durable([self._plan_row(stored.going_back(undo)),
                                      ("jobs", str(self._job.id), self._job.encode())])

    def end(self) -> Sequence[Row]:
        """Rows to drop from the store together with the last state; forgets the plan's tasks on the nodes."""
        if self._plan_run is None:
            return ()
        for node, tasks in self._plan_run.tasks().items():
            self._services.spawn(_forget(self._services, node, tasks))
        return self._plan_run.rows_to_drop()

    async def _lock(self, unit: LogicalUnit[Any, Any], stack: AsyncExitStack) -> Wanted:
        """Take what the unit needs; when that changed while it waited, give all back and begin again."""
        asked = unit.locks(self._view)
        for _ in range(LOCK_ROUNDS):
            wanted = self._wanted(asked)
            with self._run.interruptible():
                claim = await stack.enter_async_context(self._services.locks.hold(
                    self._job.id, wanted, priority=self._op.priority))
            again = unit.locks(self._view) if claim.waited else asked
            if again == asked:
                self._view.claim = claim
                return wanted.narrowed(claim.names) if wanted.opportunistic else wanted
            asked = again
            await stack.pop_all().aclose()
        raise ExecError(detail=f"job {self._job.id} cannot get its locks: what it needs changes too fast; try again")

    def _wanted(self, locks: Locks) -> Wanted:
        """For the lock manager; ALL of an opportunistic level are the names there are now."""
        def names(level: str, given: frozenset[str]) -> frozenset[str]:
            return self._names_of(level) if given == ALL and level in locks.opportunistic else given

        return Wanted(shared={level: names(level, given) for level, given in locks.shared.items()},
                      exclusive={level: names(level, given) for level, given in locks.exclusive.items()},
                      opportunistic=locks.opportunistic, exclusive_cluster=locks.exclusive_cluster)

    def _names_of(self, level: str) -> frozenset[str]:
        config = self._services.config
        if level == "instance":
            return frozenset(item.name for item in config.instances.values())
        table = {"nodegroup": config.groups, "node": config.nodes, "node-res": config.nodes,
                 "network": config.networks}[level]
        return frozenset(table)

    def _plan_row(self, stored: StoredPlan) -> Row:
        return ("plans", f"{self._job.id}.{self._index}", stored.encode())


def _unit(op: OpCode) -> LogicalUnit[Any, Any]:
    cls = LogicalUnit.registry.get(op.OP_ID)
    if cls is None:
        raise ExecError(detail=f"this release cannot run {op.OP_ID}")
    return cls(op)


def _wire(err: Exception) -> Any:
    """An error as an opcode's result."""
    return (err if isinstance(err, Error) else ExecError(detail=f"{type(err).__name__}: {err}")).wire()


async def _forget(services: Services, node: str, ids: list[str]) -> None:
    try:
        await services.nodes.call(node, calls.task_forget, tasks=ids)
    except Error as err:
        log.info("node %s keeps the records of %d finished tasks: %s", node, len(ids), err)
