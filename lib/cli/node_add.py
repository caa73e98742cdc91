# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node add: bring the node in, then the job that makes it a member."""

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context
from gantry.errors import WrongInput
from gantry.utils import resolver
from gantry.utils.names import find_short


def run(ctx: Context) -> int:
    """Add a node, or give a former member its files back."""
    name = resolver.own_name() if ctx.args[0] == "localhost" else ctx.args[0]
    full, _ = resolver.resolve(name)
    known, master = _members(ctx)
    member = find_short(full, known) or find_short(name, known)
    readd = bool(ctx.option("readd"))
    if member and not readd:
        raise WrongInput(detail=f"Node {full} already in the cluster (as {member}) - please retry with '--readd'")
    if readd and not member:
        raise WrongInput(detail=f"Node {full} not in the cluster - please retry without '--readd'")
    if readd and member == master:
        raise WrongInput(detail=f"Node {full} is the master, cannot readd")
    if readd and ctx.option("node_group"):
        raise WrongInput(detail="A node keeps its group when it is added again: --node-group goes not with --readd")
    for ignored in ("force_join", "no_node_setup"):
        if ctx.option(ignored):
            output.error(f"The option --{ignored.replace('_', '-')} has no effect any more")
    from gantry.bootstrap.node_add import add_node

    options = {option.dest: value for option in ctx.command.options
               if (value := ctx.option(option.dest)) is not None}
    made = add_node(member or name, options, _say if ctx.option("verbose") else _quiet)
    jobs.run(ctx, submit.op(ctx, **made))
    return 0


def _say(text: str) -> None:
    output.line(text)
    output.flush()


def _quiet(text: str) -> None:
    """Silent on success, unless asked."""


def _members(ctx: Context) -> tuple[list[str], str]:
    rows = ctx.query("node", ["name", "master"])
    return [row[0] for row in rows], next((row[0] for row in rows if row[1]), "")
