# SPDX-License-Identifier: BSD-2-Clause
"""gnt-instance activate-disks, recreate-disks, replace-disks."""

from typing import Any

from gantry.cli import jobs, output, submit, values
from gantry.cli.context import Context
from gantry.cli.instance_add import placement
from gantry.errors import WrongInput


def activate(ctx: Context) -> int:
    """Assemble an instance's disks and say where they are."""
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx))
    if waited:
        for node, disk, device in result or []:
            output.line(f"{node}:{disk}:{device}")
    return 0


def recreate(ctx: Context) -> int:
    """Make missing disks again, all or those of --disk."""
    chosen: list[list[Any]] = []
    for ident, changes in ctx.option("disk") or []:
        if not isinstance(changes, dict):
            raise WrongInput(detail=f"'{ident}' is no disk to recreate; the form is INDEX[:KEY=VALUE,...]")
        chosen.append([values.index(ident, "disk"), values.device(changes, "disk")])
    where = placement(ctx)
    jobs.run_or_submit(ctx, submit.op(ctx, disks=chosen, nodes=list(where.values())))
    return 0


def replace(ctx: Context) -> int:
    """Replace storage on one node, or the secondary node."""
    modes = {"auto": "replace_auto", "on_primary": "replace_on_primary", "on_secondary": "replace_on_secondary",
             "new_secondary": "replace_new_secondary", "iallocator": "replace_new_secondary"}
    given = [name for name in modes if ctx.option(name) is not None]
    if len(given) != 1:
        raise WrongInput(detail="Exactly one of -p, -s, -a, -n and -I must be given")
    text = ctx.option("disks")
    if text is not None and given == ["auto"]:
        raise WrongInput(detail="--auto finds the disks itself; it goes not with --disks")
    disks = [values.index(item, "disk") for item in values.comma_list(text or "")]
    jobs.run_or_submit(ctx, submit.op(ctx, mode=modes[given[0]], disks=disks))
    return 0
