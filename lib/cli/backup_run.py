# SPDX-License-Identifier: BSD-2-Clause
"""gnt-backup list and export."""

from gantry.cli import jobs, lists, submit
from gantry.cli.context import Context, by_names
from gantry.errors import WrongInput


def show(ctx: Context) -> int:
    """List exports, on all nodes or some."""
    return lists.show(ctx, ctx.command.data, by_names("export", ctx.option("node") or []))


def export(ctx: Context) -> int:
    """Export an instance to a node."""
    if ctx.option("node") is None:
        raise WrongInput(detail="Target node must be specified")
    if ctx.option("remove_instance") and ctx.option("noshutdown") is not None:
        raise WrongInput(detail="--remove-instance needs the instance stopped; it goes not with --noshutdown")
    jobs.run_or_submit(ctx, submit.op(ctx))
    return 0
