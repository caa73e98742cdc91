# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node modify."""

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context


def run(ctx: Context) -> int:
    """Change a node and show what really changed."""
    if submit.nothing_given(ctx):
        return 1
    name = ctx.args[0]
    question = (f"Setting node {name} online again: if it was repaired or reinstalled, 'gnt-node add --readd' is the "
                "safe way. Continue?")
    if ctx.option("offline") is False and not submit.confirm(ctx, question):
        return 1
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx))
    if waited and result:
        output.line(f"Modified node {name}")
        for key, value in result:
            output.line(f" - {key:<5} -> {value}")
    return 0
