# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster verify-disks: what is broken is named, what is only inactive is activated."""

from typing import Any

from gantry.cli import failures, jobs, output, submit
from gantry.cli.context import Context
from gantry.errors import ExecError, RemoteError


def run(ctx: Context) -> int:
    """Check the disks of all groups, or of one."""
    status = 0
    done = jobs.follow_ups(ctx, jobs.run(ctx, submit.op(ctx)))
    for good, result in done:
        if not good:
            output.line(f"Job failed: {result}")
            continue
        status |= _group(ctx, *result)
    return status


def _group(ctx: Context, bad_nodes: dict[str, str], inactive: list[str], missing: dict[str, list[Any]]) -> int:
    """The outcome of one group, and the repairs."""
    for node, text in bad_nodes.items():
        output.line(f"Error gathering data on node {node}: {text}")
    if bad_nodes:
        output.line("You need to fix these nodes first before fixing instances")
    failed = [_activate(ctx, name) for name in inactive if name not in missing]
    for name, volumes in missing.items():
        _say_missing(name, volumes, bad_nodes)
    if missing:
        output.line("You need to replace or recreate disks for all the above instances if this message persists "
                    "after fixing broken nodes.")
    if not inactive and not missing:
        output.line("No disks need to be activated.")
    return 1 if bad_nodes or missing or any(failed) else 0


def _activate(ctx: Context, name: str) -> bool:
    """Activate an instance's disks; whether that failed."""
    output.line(f"Activating disks for instance '{name}'")
    try:
        jobs.run(ctx, ctx.opcode("OP_INSTANCE_ACTIVATE_DISKS", instance_name=name))
    except (RemoteError, ExecError) as err:
        output.error(f"Error activating disks for instance {name}: {failures.describe(err)[1]}")
        return True
    return False


def _say_missing(name: str, volumes: list[Any], bad_nodes: dict[str, str]) -> None:
    if volumes and all(node in bad_nodes for node, _ in volumes):
        output.line(f"Instance {name} cannot be verified as it lives on broken nodes")
        return
    output.line(f"Instance {name} has missing logical volumes:")
    for node, volume in volumes:
        broken = "broken node " if node in bad_nodes else ""
        place = volume if volume.startswith("/") else f"/dev/{volume}"
        output.line(f"\t{broken}{node} {place}")
