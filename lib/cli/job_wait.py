# SPDX-License-Identifier: BSD-2-Clause
"""gnt-job wait and watch."""

from gantry.cli import failures, jobs, output
from gantry.cli.context import Context
from gantry.errors import ExecError, RemoteError, WrongInput


def wait(ctx: Context) -> int:
    """Wait for a job without a word."""
    return _follow(ctx, quiet=True)


def watch(ctx: Context) -> int:
    """Show a job's log, from its first line."""
    title = f"Output from job {ctx.args[0]} follows"
    output.line(title)
    output.line("-" * len(title))
    return _follow(ctx, quiet=False)


def _follow(ctx: Context, *, quiet: bool) -> int:
    if not ctx.args[0].isdecimal():
        raise WrongInput(detail=f"Invalid job ID '{ctx.args[0]}': a number is expected")
    job = int(ctx.args[0])
    try:
        jobs.follow(ctx, job, quiet=quiet)
    except (RemoteError, ExecError) as err:
        if isinstance(err, RemoteError) and err.facts["name"] == "JobLost":
            raise
        status, text = failures.describe(err)
        output.error(f"Job {job} failed: {text}")
        return status
    return 0
