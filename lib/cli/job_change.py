# SPDX-License-Identifier: BSD-2-Clause
"""gnt-job cancel, change-priority, archive, autoarchive."""

from collections.abc import Callable
from typing import Any

from gantry.cli import failures, job_list, lists, output
from gantry.cli.context import Context
from gantry.cli.options import PRIORITIES
from gantry.errors import WrongInput
from gantry.utils.units import parse_span

_EVERYTHING = -1
_ARCHIVE_SECONDS = 89


def cancel(ctx: Context) -> int:
    """Cancel jobs; with --kill also running ones."""
    if ctx.option("kill") and not ctx.option("yes_do_it"):
        raise WrongInput(detail="--kill needs --yes-do-it as well: the job is ended wherever it is")
    kill = [True] if ctx.option("kill") else []
    return _each(ctx, "Cancel", lambda job: ctx.call("CancelJob", job, *kill))


def change_priority(ctx: Context) -> int:
    """Give jobs another priority."""
    if ctx.option("priority") is None:
        output.error("--priority must be given")
        return failures.FAILED
    priority = PRIORITIES[ctx.options.priority]
    return _each(ctx, "Change priority of", lambda job: ctx.call("ChangeJobPriority", job, priority))


def _each(ctx: Context, verb: str, act: Callable[[int], Any]) -> int:
    """`act` on the jobs named, or (after a question) on those in the states asked for."""
    wanted = job_list.states(ctx)
    if bool(wanted) == bool(ctx.args):
        raise WrongInput(detail="Either job IDs or one of --pending, --queued and --waiting must be given")
    jobs = _ids(ctx.args)
    if wanted:
        qfilter = job_list.state_filter(wanted)
        jobs = [int(row[0]) for row in ctx.query("job", ["id"], qfilter)]
        if not jobs:
            output.line("No jobs found")
            return 0
        from gantry.cli.of_job import LISTING

        lists.show(ctx, LISTING, qfilter)
        if not ctx.option("force") and not output.ask(f"{verb} job(s) listed above?"):
            return failures.NOT_CONFIRMED
    done = [act(job) for job in jobs]
    for _, message in done:
        output.line(message)
    return 0 if all(good for good, _ in done) else failures.FAILED


def _ids(args: list[str]) -> list[int]:
    for arg in args:
        if not arg.isdecimal():
            raise WrongInput(detail=f"Invalid job ID '{arg}': a number is expected")
    return [int(arg) for arg in args]


def archive(ctx: Context) -> int:
    """Archive jobs that ended."""
    failed = [job for job in _ids(ctx.args) if not ctx.call("ArchiveJob", job)]
    for job in failed:
        output.error(f"Failed to archive job with ID '{job}'")
    return failures.FAILED if failed else 0


def autoarchive(ctx: Context) -> int:
    """Archive all jobs that ended longer ago than AGE."""
    age = _EVERYTHING if ctx.args[0] == "all" else parse_span(ctx.args[0])
    archived, left = ctx.call("AutoArchiveJobs", age, _ARCHIVE_SECONDS)
    output.line(f"Archived {archived} jobs, {left} unchecked left")
    return 0
