# SPDX-License-Identifier: BSD-2-Clause
"""gnt-instance modify."""

from typing import Any

from gantry.cli import jobs, output, submit, values
from gantry.cli.context import Context
from gantry.errors import WrongInput

_NOT_CHANGES = ("force", "force_variant", "wait_for_sync", "no_wait_for_sync", "ignore_ipolicy", "no_conflicts_check",
                "hotplug", "hotplug_if_possible", "no_hotplug", "node", "iallocator", "ext_params", "file_driver",
                "file_storage_dir", "live")
_AT_RESTART = ("Please don't forget that most parameters take effect only at the next (re)start of the instance "
               "initiated by ganeti; restarting from within the instance will not be enough.")
_NO_MIGRATION = ("Until that restart the instance runs with its old hypervisor parameters; a migration before it may "
                 "not go through.")
_EXCHANGE = ("The instance runs: its changed network interface is taken from it and given to it anew, and its "
             "connections may break. Continue?")


def run(ctx: Context) -> int:
    """Change an instance and show what was changed."""
    if not any(ctx.option(option.dest) is not None for option in ctx.command.options
               if option.dest not in _NOT_CHANGES):
        output.error("Please give at least one of the parameters.")
        return 1
    changes = _changes(ctx)
    if _exchanges(ctx, changes) and not submit.confirm(ctx, _EXCHANGE):
        return 1
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx, **changes))
    if not waited or ctx.option("dry_run"):
        return 0
    if result:
        output.line(f"Modified instance {ctx.args[0]}")
        for key, value in result:
            output.line(f" - {key:<5} -> {value}")
        output.line(_AT_RESTART)
        if ctx.option("hypervisor_parameters") is not None:
            output.line(_NO_MIGRATION)
    return 0


def _exchanges(ctx: Context, changes: dict[str, Any]) -> bool:
    """Whether an interface of a guest that runs is to become another."""
    edits = [operation for operation, _, _ in changes.get("nics", ())]
    if "modify" not in edits or ctx.option("no_hotplug") is not None or ctx.option("dry_run"):
        return False
    return bool(ctx.one("instance", ["oper_state"], ctx.args[0])[0])


def _changes(ctx: Context) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if ctx.option("backend_parameters") is not None:
        found["beparams"] = values.beparams(ctx.options.backend_parameters)
    if ctx.option("hypervisor_parameters") is not None:
        found["hvparams"] = _defaults(ctx.options.hypervisor_parameters)
    if ctx.option("disk"):
        found["disks"] = values.device_edits(ctx.options.disk, "disk")
    if ctx.option("net"):
        found["nics"] = values.device_edits(ctx.options.net, "nic")
    if ctx.option("offline") and ctx.option("online"):
        raise WrongInput(detail="Only one of --offline and --online can be given")
    if ctx.option("offline") or ctx.option("online"):
        found["offline"] = bool(ctx.option("offline"))
    if ctx.option("disk_template") and ctx.option("disk"):
        raise WrongInput(detail="A change of the disk template goes alone: change disks with a command of its own")
    return found


def _defaults(params: dict[str, Any]) -> dict[str, Any]:
    """`-key` goes back to the inherited value."""
    return {key: "default" if value is None else value for key, value in params.items()}
