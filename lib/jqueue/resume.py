# SPDX-License-Identifier: BSD-2-Clause
"""What the store knows of jobs when the master daemon starts, and what becomes of each.

    queued, waiting                              runs again from the start
    running, plan not stored                     back to the start: nothing outside had been touched
    running, plan stored                         goes on at its first unfinished step, with its locks taken first
    running, plan stored, undoing had begun      goes on undoing
    canceling                                    as running; without a plan it is canceled at once
    final                                        untouched
"""

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gantry.cmdlib.base import Hooks
from gantry.errors import ConfigurationError, Error, ExecError
from gantry.jqueue import job as jobs
from gantry.jqueue import log as joblog
from gantry.jqueue.job import CANCELED_TEXT, Job, Outcome
from gantry.jqueue.services import JobStore, Row
from gantry.jqueue.states import Event, Status
from gantry.locking.manager import Claim
from gantry.locking.modes import Wanted
from gantry.objects import codec
from gantry.objects.plan import Plan, decode_plan

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StoredPlan:
    """A plan with what is needed to go on with it.  `undo` is set when it was decided to go back: {event,
    result, reached}.  `done` are the records of its steps, `claim` its locks when they were taken already.
    """

    plan: Plan
    hooks: Hooks | None
    wanted: Wanted
    undo: dict[str, Any] | None = None
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    claim: Claim | None = None

    def going_back(self, undo: dict[str, Any]) -> "StoredPlan":
        return dataclasses.replace(self, undo=undo)

    def with_claim(self, claim: Claim | None) -> "StoredPlan":
        return dataclasses.replace(self, claim=claim)

    def encode(self) -> dict[str, Any]:
        return {"plan": self.plan.encode(), "hooks": None if self.hooks is None else codec.encode(self.hooks),
                "locks": codec.encode(self.wanted), "undo": self.undo}


def decode_stored(data: Mapping[str, Any], done: dict[str, dict[str, Any]]) -> StoredPlan:
    """Raises ConfigurationError when the record is damaged."""
    try:
        hooks = None if data["hooks"] is None else codec.decode(Hooks, data["hooks"], "hooks of a plan")
        return StoredPlan(plan=decode_plan(data["plan"]), hooks=hooks, undo=data["undo"], done=done,
                          wanted=codec.decode(Wanted, data["locks"], "locks of a plan"))
    except (KeyError, TypeError) as err:
        raise ConfigurationError(detail=f"a stored plan is damaged: {err!r}") from err


@dataclass(kw_only=True)
class Loaded:
    """`plans` by job id, of those that go on.  `rows` bring the store up to date with what was decided here."""

    jobs: list[Job] = field(default_factory=list)
    plans: dict[int, StoredPlan] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    last_id: int = 0


async def load(store: JobStore) -> Loaded:
    """All jobs that are not archived.  A damaged record is logged and left alone."""
    loaded = Loaded()
    stored = await store.read("jobs")
    plans, steps = await store.read("plans"), _by_plan(await store.read("steps"))
    for data in stored.values():
        try:
            job = jobs.decode(data)
        except Error as err:
            log.error("%s", err)  # noqa: TRY400 - a sentence about data, no bug
            continue
        loaded.jobs.append(job)
        if job.end is None:
            _decide(job, plans, steps, loaded)
    loaded.jobs.sort(key=lambda job: job.id)
    serial = await store.read("meta", ["job_serial"])
    loaded.last_id = max([int(serial.get("job_serial") or 0), *(int(key) for key in stored)])
    return loaded


def _by_plan(rows: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Records of steps, by JOB.OP and then by STEP or STEP.undo."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for key, record in rows.items():
        job, op, step = key.split(".", 2)
        found.setdefault(f"{job}.{op}", {})[step] = record
    return found


def _decide(job: Job, plans: Mapping[str, Any], steps: Mapping[str, dict[str, dict[str, Any]]],
            loaded: Loaded) -> None:
    index = next(index for index, op in enumerate(job.ops) if not op.final)
    op, key = job.ops[index], f"{job.id}.{index}"
    done = steps.get(key, {})
    for record in done.values():
        joblog.merge(op.log, record.get("log", ()))
    job.skip_serials()
    if key in plans:
        try:
            loaded.plans[job.id] = decode_stored(plans[key], done)
        except Error as err:
            _end(job, index, Event.FAILED, ExecError(detail=f"job {job.id} cannot go on: {err}").wire(), loaded.rows)
    elif op.status is Status.CANCELING:
        _end(job, index, Event.CANCELED, CANCELED_TEXT, loaded.rows)
    elif op.status in (Status.WAITING, Status.RUNNING):
        job.move(index, Event.RESTART)


def _end(job: Job, index: int, event: Event, result: Any, rows: list[Row]) -> None:
    job.settle(job.outcomes(index, Outcome(event=event, result=result)))
    rows.append(("jobs", str(job.id), job.encode()))
