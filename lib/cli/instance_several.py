# SPDX-License-Identifier: BSD-2-Clause
"""gnt-instance startup, shutdown, reboot, reinstall: one job for each selected instance."""

from typing import Any

from gantry.cli import jobs, output, selection, submit, values
from gantry.cli.context import Context


def run(ctx: Context) -> int:
    """Select, ask where that is due, submit, wait."""
    names = selection.instances(ctx)
    if not names:
        output.line("No instances.")
        return 0
    if ctx.command.data == "reinstall":
        menu = _chosen_os(ctx) if ctx.option("select_os") else {}
        if menu is None or not _reinstall_confirmed(ctx, names):
            return 1
    else:
        menu = {}
        if not _confirmed(ctx, names):
            return 1
    more: dict[str, Any] = dict(menu)
    if ctx.option("backend_parameters") is not None:
        more["beparams"] = values.beparams(ctx.options.backend_parameters)
    ops = [(name, submit.op(ctx, instance_name=name, **more)) for name in names]
    done = jobs.run_many(ctx, ops, verbose=len(ops) > 1)
    return 0 if all(good for good, _ in done) else 1


def _confirmed(ctx: Context, names: list[str]) -> bool:
    if ctx.option("force_multiple") or (len(names) == 1 and not selection.by_option(ctx)):
        return True
    return output.ask_about(names, "instances", ctx.command.data)


def _reinstall_confirmed(ctx: Context, names: list[str]) -> bool:
    if ctx.option("force_multiple"):
        return True
    if len(names) > 1 or selection.by_option(ctx):
        return output.ask_about(names, "instances", "reinstall")
    return bool(ctx.option("force")) or output.ask(
        f"This will reinstall the instance '{names[0]}' (and its new OS is what it was, or what -o says). All data "
        "on its disks is lost. Continue?")


def _chosen_os(ctx: Context) -> dict[str, Any] | None:
    """An OS from a menu; None when the operator leaves it."""
    rows = jobs.run(ctx, ctx.opcode("OP_OS_DIAGNOSE", output_fields=["name", "variants"], names=[]))
    found = [f"{name}+{variant}" if variant else name for name, variants in rows for variant in variants or [""]]
    picked = output.choose("Available OS templates:", found)
    return None if picked is None else {"os_type": picked}
