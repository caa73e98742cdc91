# SPDX-License-Identifier: BSD-2-Clause
"""gnt-group add, modify, evacuate."""

from gantry.cli import ipolicy, jobs, output, submit
from gantry.cli.context import Context


def add(ctx: Context) -> int:
    """Make a node group."""
    policy = ipolicy.from_options(ctx)
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx, **({"ipolicy": policy} if policy else {})))
    if waited and isinstance(result, dict):
        return 0 if all(good for good, _ in jobs.follow_ups(ctx, result)) else 1
    return 0


def modify(ctx: Context) -> int:
    """Change a node group; only some changes are shown."""
    if submit.nothing_given(ctx):
        return 1
    policy = ipolicy.from_options(ctx, group=True)
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx, **({"ipolicy": policy} if policy else {})))
    if waited and result:
        output.line(f"Modified node group {ctx.args[0]}")
        for key, value in result:
            output.line(f" - {key:<5} -> {value}")
    return 0


def evacuate(ctx: Context) -> int:
    """Move all instances of a group to other groups."""
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx))
    if not waited:
        return 0
    failed = sum(not good for good, _ in jobs.follow_ups(ctx, result))
    output.line("All instances evacuated successfully." if not failed else
                f"There were {failed} errors during the evacuation.")
    return 1 if failed else 0
