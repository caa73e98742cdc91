# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster verify."""

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context


def run(ctx: Context) -> int:
    """Verify everything; exit status 1 if a job failed or found an error."""
    skipped = [check for option, check in (("no_nplus1_mem", "nplusone_mem"),
                                           ("no_hv_param_assessment", "hvparam_assessment")) if ctx.option(option)]
    result = jobs.run(ctx, submit.op(ctx, skip_checks=skipped))
    done = jobs.follow_ups(ctx, result)
    failed = sum(not good for good, _ in done)
    if failed:
        output.line(f"{failed} job(s) failed while verifying the cluster.")
    return 0 if not failed and all(clean is not False for _, clean in done) else 1
