# SPDX-License-Identifier: BSD-2-Clause
"""Jobs of a command: submitted, followed by their log, judged by their result."""

from collections.abc import Sequence
from typing import Any

from gantry.cli import failures, output
from gantry.cli.context import Context
from gantry.errors import Error, ExecError, JobLost, RemoteError

FINAL = ("success", "error", "canceled")
_ENDED = (*FINAL, "canceling")
_POLL_SECONDS = 60
_PATIENCE = {"queued": "Job {job} is waiting in queue",
             "waiting": "Job {job} is trying to acquire all necessary locks"}

Op = dict[str, Any]


class JobArchived(JobLost):
    text = "Job {job} has been archived, cannot check its result"


def submit(ctx: Context, ops: Sequence[Op]) -> int:
    """The id of the new job; with --print-jobid it is shown as well."""
    job = int(ctx.call("SubmitJob", list(ops)))
    if ctx.option("print_jobid"):
        output.line(str(job), now=True)
    return job


def run(ctx: Context, op: Op) -> Any:
    """The result of one opcode, whose job's log is shown while it runs."""
    return follow(ctx, submit(ctx, [op]))[-1]


def run_or_submit(ctx: Context, op: Op) -> tuple[bool, Any]:
    """As `run`; the first value is False when nothing was done yet: with --submit, which shows only the job's id, and
    with --dry-run.
    """
    if not ctx.option("submit"):
        result = run(ctx, op)
        return not ctx.option("dry_run"), result
    output.error(f"JobID: {submit(ctx, [op])}")
    return False, None


def follow(ctx: Context, job: int, *, quiet: bool = False) -> list[Any]:
    """Shows the job's log until it ends; results of its opcodes.  Raises what the job failed with."""
    previous: Any = None
    serial: int | None = None
    while True:
        answer = ctx.call("WaitForJobChange", job, ["status"], previous, serial, _POLL_SECONDS)
        if not answer:
            raise JobLost(job=job)
        if answer == "nochange":
            _be_patient(job, previous)
            continue
        state, entries = answer
        for number, stamp, kind, payload in entries:
            if not quiet:
                output.job_log(stamp, payload if kind == "message" else str(payload))
            serial = max(serial or 0, number)
        if not entries:
            if state and state[0] in _ENDED:
                break
            if state == previous:
                _be_patient(job, state)
        previous = state
    return result_of(ctx, job)


def _be_patient(job: int, state: Any) -> None:
    if state and state[0] in _PATIENCE:
        output.error(_PATIENCE[state[0]].format(job=job))


def result_of(ctx: Context, job: int) -> list[Any]:
    """Results of a job that has ended, or what it failed with, raised."""
    rows = ctx.call("QueryJobs", [job], ["status", "opstatus", "opresult"])
    if not rows or not rows[0] or rows[0][0] is None:
        raise JobArchived(job=job)
    status, states, results = rows[0]
    if status == "success":
        return list(results)
    if status in ("canceled", "canceling"):
        raise ExecError(detail="Job was canceled")
    for state, result in zip(states, results, strict=True):
        if state == "error":
            raise failure(result)
    raise ExecError(detail=f"Job {job} ended in state {status}")


def failure(result: Any) -> Error:
    """The error that an opcode's result encodes."""
    if isinstance(result, list) and len(result) == 2 and isinstance(result[0], str) and isinstance(result[1], list):
        return RemoteError(name=result[0], args=result[1])
    return ExecError(detail=str(result))


def wait(ctx: Context, job: int, name: str = "") -> tuple[bool, Any]:
    """Follow a job that is one of several: its last result, or False and why it failed (which is shown)."""
    whose = f" for {name}" if name else ""
    output.line(f"Waiting for job {job}{whose} ...")
    output.flush()
    try:
        return True, follow(ctx, job)[-1]
    except JobLost:
        output.error(f"Job {job}{whose} has been archived, cannot check its result")
        return False, None
    except (RemoteError, ExecError) as err:
        text = failures.describe(err)[1]
        output.error(f"Job {job}{whose} has failed: {text}")
        return False, text


def announce(jobs: Sequence[int]) -> None:
    output.line(f"Submitted jobs {', '.join(map(str, jobs))}")
    output.flush()


def wait_submitted(ctx: Context, submitted: Sequence[Sequence[Any]],
                   names: Sequence[str] = (), *, verbose: bool = True) -> list[tuple[bool, Any]]:
    """Wait for jobs given as [true, id] or [false, message], in their order."""
    ids = [int(item[1]) for item in submitted if item[0]]
    if verbose and ids:
        announce(ids)
    done: list[tuple[bool, Any]] = []
    for number, (accepted, value) in enumerate(submitted):
        name = names[number] if number < len(names) else ""
        if accepted:
            done.append(wait(ctx, int(value), name))
        else:
            whose = f" for {name}" if name else ""
            output.error(f"Failed to submit job{whose}: {value}")
            done.append((False, value))
    return done


def run_many(ctx: Context, ops: Sequence[tuple[str, Op]], *, verbose: bool) -> list[tuple[bool, Any]]:
    """One job for each (name, opcode).  With --submit: a line `ID: NAME` for each, no waiting."""
    names = [name for name, _ in ops]
    submitted = ctx.call("SubmitManyJobs", [[op] for _, op in ops])
    if not ctx.option("submit"):
        if ctx.option("print_jobid"):
            for accepted, value in submitted:
                if accepted:
                    output.line(str(value))
        return wait_submitted(ctx, submitted, names, verbose=verbose)
    for name, (accepted, value) in zip(names, submitted, strict=True):
        if accepted:
            output.line(f"{value}: {name}")
        else:
            output.error(f"Failed to submit job for {name}: {value}")
    return [(bool(accepted), value) for accepted, value in submitted]


def follow_ups(ctx: Context, result: Any) -> list[tuple[bool, Any]]:
    """Wait for the jobs that an opcode submitted (`{"jobs": [[true, id], ...]}`)."""
    return wait_submitted(ctx, (result or {}).get("jobs", []))
