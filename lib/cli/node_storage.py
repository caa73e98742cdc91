# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node volumes, list-storage, modify-storage."""

from gantry.cli import jobs, lists, output, submit
from gantry.cli.context import Context

_VOLUMES = {"node": ("Node", "text"), "phys": ("PhysDev", "text"), "vg": ("VG", "text"), "name": ("Name", "text"),
            "size": ("Size", "unit"), "instance": ("Instance", "text")}
_STORAGE = {"node": ("Node", "text"), "type": ("Type", "text"), "name": ("Name", "text"), "size": ("Size", "unit"),
            "used": ("Used", "unit"), "free": ("Free", "unit"), "allocatable": ("Allocatable", "bool")}


def volumes(ctx: Context) -> int:
    """Logical volumes on nodes."""
    return _show(ctx, _VOLUMES)


def storage(ctx: Context) -> int:
    """Storage units on nodes."""
    return _show(ctx, _STORAGE)


def _show(ctx: Context, known: dict[str, tuple[str, str]]) -> int:
    names = lists.columns(ctx.option("output"), ",".join(known))
    result = jobs.run(ctx, submit.op(ctx, output_fields=names, nodes=ctx.args))
    shown = [known.get(name, (name, "text")) for name in names]
    rows = [[[output.NORMAL if value is not None else output.UNAVAIL, value] for value in row] for row in result]
    for text in output.table([title for title, _ in shown], [kind for _, kind in shown], rows, lists.style(ctx)):
        output.line(text)
    return 0


def modify(ctx: Context) -> int:
    """Change a storage unit."""
    if ctx.option("allocatable") is None:
        output.error("No changes to perform, exiting.")
        return 0
    jobs.run_or_submit(ctx, submit.op(ctx, changes={"allocatable": ctx.options.allocatable}))
    return 0
