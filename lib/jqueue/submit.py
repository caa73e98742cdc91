# SPDX-License-Identifier: BSD-2-Clause
"""From opcodes in wire form to jobs: validation, relative dependencies, reason trails, secrets."""

from collections.abc import Sequence
from typing import Any

from gantry.errors import Error, ParameterError
from gantry.jqueue import trail
from gantry.jqueue.job import Job, OpRecord
from gantry.opcodes import base as opcodes
from gantry.opcodes.common import redacted
from gantry.opcodes.types import SECRET
from gantry.utils import clock

Answer = tuple[bool, int | str]


def build(ops: Sequence[dict[str, Any]], id: int) -> Job:
    """The job with this id; raises ParameterError."""
    if not isinstance(ops, (list, tuple)) or not ops:
        raise ParameterError(detail="a job needs at least one opcode")
    return Job(id, [_record(data, id, index) for index, data in enumerate(ops)], clock.timestamp())


def build_all(jobs: Sequence[Sequence[dict[str, Any]]], first: int) -> tuple[list[Job], list[Answer]]:
    """Jobs with ids from `first` on, and the answer for each; one that is refused leaves its id unused."""
    built: list[Job] = []
    answers: list[Answer] = []
    for id, ops in enumerate(jobs, first):
        try:
            built.append(build(ops, id))
        except Error as err:
            answers.append((False, str(err)))
        else:
            answers.append((True, id))
    return built, answers


def _record(data: dict[str, Any], job: int, index: int) -> OpRecord:
    op = opcodes.decode(data)
    wire = op.encode()
    wire["depends"] = _absolute(wire.get("depends"), job)
    wire["reason"] = [*(list(entry) for entry in wire.get("reason") or ()), trail.received(op.OP_ID, job, index)]
    secret = {name: wire[name] for name, field in type(op).__dataclass_fields__.items()
              if field.metadata.get("kind") is SECRET and wire.get(name)}
    if secret:
        hidden = redacted(wire)
        wire |= {name: hidden[name] for name in secret}
    return OpRecord(input=wire, priority=wire.get("priority") or 0, secrets=secret)


def _absolute(depends: Any, job: int) -> list[list[Any]] | None:
    """Dependencies by job id; a negative one counts back from the job itself."""
    if not depends:
        return None
    found = [[(job + id if id < 0 else id), list(statuses)] for id, statuses in depends]
    for id, _ in found:
        if id == job:
            raise ParameterError(detail="a job cannot depend on itself")
        if id <= 0:
            raise ParameterError(detail=f"a dependency on job {id} makes no sense")
    return found


def depends_on(job: Job) -> frozenset[int]:
    """Ids of all jobs that any opcode of this one waits for."""
    return frozenset(id for op in job.ops for id, _ in op.input.get("depends") or ())
