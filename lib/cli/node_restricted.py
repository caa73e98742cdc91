# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node restricted-command, and how the output of a command on several nodes is shown."""

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context, by_names
from gantry.errors import WrongInput

RULE = "-" * 48


def run(ctx: Context) -> int:
    """Run one of the administrator's commands on nodes; exit status 1 when it failed on one of them."""
    command, names = ctx.args[0], ctx.args[1:]
    nodes = nodes_of(ctx, names)
    if not names and not ctx.option("node_group"):
        raise WrongInput(detail="Where the command is to run is missing: name nodes, or a group with --node-group")
    if not nodes:
        raise WrongInput(detail="The selection matches no nodes")
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx, command=command, nodes=nodes))
    for name, (_, text) in zip(nodes, result or [], strict=False) if waited else ():
        show(ctx, f"Node: {name}", name, str(text))
    return 1 if waited and not all(good for good, _ in result or []) else 0


def nodes_of(ctx: Context, names: list[str]) -> list[str]:
    """Full names of these nodes, or of all that are not marked offline, that belong to the group of --node-group, if
    it is given.
    """
    rows = ctx.query("node", ["name", "offline", "group.uuid"], by_names("node", names))
    wanted = ctx.option("node_group")
    if wanted is not None:
        group = ctx.one("group", ["uuid"], wanted)[0]
        rows = [row for row in rows if row[2] == group]
    return [row[0] for row in rows if names or not row[1]]


def show(ctx: Context, title: str, name: str, text: str) -> None:
    """A node's output, below a rule and its title, or with its name before each line."""
    if ctx.option("show_machine_names"):
        for each in text.splitlines():
            output.line(f"{name}: {each}")
        return
    output.line(RULE)
    output.line(title)
    output.line(text)
