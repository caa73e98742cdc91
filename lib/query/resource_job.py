# SPDX-License-Identifier: BSD-2-Clause
"""The jobs as queries show them."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from gantry.errors import WrongInput
from gantry.query.fields import UNAVAIL, Field, Kind
from gantry.query.world import Job, Resource, World, table

QUEUE, ARCHIVE = "queue", "archive"


class JobRow:
    """`job` is None where the job asked for is not there."""

    def __init__(self, id: int, job: Job | None) -> None:
        self.id = id
        self.job = job


def _of_job(get: Callable[[Job], Any]) -> Callable[[JobRow], Any]:
    return lambda row: UNAVAIL if row.job is None else get(row.job)


def _of_ops(get: Callable[[Any], Any]) -> Callable[[JobRow], Any]:
    return lambda row: UNAVAIL if row.job is None else [get(op) for op in row.job.ops]


def _stamp(value: Any) -> list[int] | None:
    return None if value is None else list(value)


def _time(name: str) -> Callable[[JobRow], Any]:
    def get(row: JobRow) -> Any:
        stamp = None if row.job is None else getattr(row.job, name)
        return UNAVAIL if stamp is None else list(stamp)
    return get


O = Kind.OTHER  # noqa: E741  (for other)

FIELDS = (
    Field("id", "ID", Kind.NUMBER, "Its number", attrgetter("id")),
    Field("archived", "Archived", Kind.BOOL, "Whether it is in the archive", _of_job(attrgetter("archived")), ARCHIVE),
    Field("end_ts", "End", O, "When it ended, as [seconds, microseconds]", _time("end"), QUEUE),
    Field("opend", "OpCode_end", O, "When each opcode ended", _of_ops(lambda op: _stamp(op.end)), QUEUE),
    Field("opexec", "OpCode_exec", O, "When each opcode had its locks", _of_ops(lambda op: _stamp(op.exec)), QUEUE),
    Field("oplog", "OpCode_log", O, "Log entries of each opcode", _of_ops(lambda op: list(op.log)), QUEUE),
    Field("oppriority", "OpCode_prio", O, "Priority of each opcode", _of_ops(attrgetter("priority")), QUEUE),
    Field("opresult", "OpCode_result", O, "Result of each opcode", _of_ops(attrgetter("result")), QUEUE),
    Field("ops", "OpCodes", O, "The opcodes", _of_ops(attrgetter("shown_input")), QUEUE),
    Field("opstart", "OpCode_start", O, "When each opcode started", _of_ops(lambda op: _stamp(op.start)), QUEUE),
    Field("opstatus", "OpCode_status", O, "Status of each opcode", _of_ops(lambda op: str(op.status)), QUEUE),
    Field("priority", "Priority", Kind.NUMBER, "Smallest number among its unfinished opcodes",
          _of_job(attrgetter("priority")), QUEUE),
    Field("received_ts", "Received", O, "When it was submitted", _time("received"), QUEUE),
    Field("start_ts", "Start", O, "When it started", _time("start"), QUEUE),
    Field("status", "Status", Kind.TEXT, "queued, waiting, canceling, running, canceled, success or error",
          _of_job(lambda job: str(job.status)), QUEUE),
    Field("summary", "Summary", O, "What it does, an item an opcode", _of_job(lambda job: list(job.summary)), QUEUE),
)


def job_id(value: Any) -> int:
    """A job's number as clients write it; raises WrongInput."""
    try:
        number = value if type(value) is int else int(value, 10)
    except (TypeError, ValueError) as err:
        raise WrongInput(detail=f"Invalid job ID '{value}'") from err
    if number < 0:
        raise WrongInput(detail=f"Invalid job ID '{value}'")
    return number


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[JobRow]:
    """The jobs of these ids, archived ones too; without ids all that are not in the archive."""
    queue = world.queue
    if queue is None:
        raise WrongInput(detail="Jobs cannot be queried by a job")
    if names is None:
        found = list(queue.jobs())
        if ARCHIVE in needs:
            found += await queue.archived(None)
        return sorted((JobRow(job.id, job) for job in found), key=lambda row: row.id)
    ids = [job_id(name) for name in names]
    known = {id: queue.job(id) for id in ids}
    missing = [id for id, job in known.items() if job is None]
    if missing:
        known |= {job.id: job for job in await queue.archived(missing)}
    return [JobRow(id, known[id]) for id in ids]


RESOURCE: Resource[JobRow] = Resource("job", "id", table(FIELDS), rows)
