# SPDX-License-Identifier: BSD-2-Clause
"""gnt-os modify."""

from typing import Any

from gantry.cli import jobs, output, submit, values
from gantry.cli.context import Context


def run(ctx: Context) -> int:
    """Change parameters of an OS, hide it or forbid it."""
    changes = _changes(ctx, ctx.args[0])
    if not changes:
        output.error("Please give at least one of the parameters.")
        return 1
    jobs.run_or_submit(ctx, submit.op(ctx, **changes))
    return 0


def _changes(ctx: Context, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if ctx.option("hypervisor_parameters"):
        found["os_hvp"] = {name: values.by_ident(ctx.options.hypervisor_parameters, "-H")}
    if ctx.option("os_parameters") is not None:
        found["osparams"] = {name: ctx.options.os_parameters}
    if ctx.option("os_parameters_private") is not None:
        found["osparams_private_cluster"] = {name: ctx.options.os_parameters_private}
    for option, key in (("hidden", "hidden_os"), ("blacklisted", "blacklisted_os")):
        if ctx.option(option) is not None:
            found[key] = [["add" if ctx.option(option) else "remove", name]]
    return found
