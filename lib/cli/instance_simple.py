# SPDX-License-Identifier: BSD-2-Clause
"""gnt-instance commands that ask a question or say a line around their opcode."""

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context
from gantry.cli.node_empty import migration_mode
from gantry.errors import WrongInput
from gantry.utils.units import parse_size


def full_name(ctx: Context) -> str:
    """The full name of the instance named; raises when it is not known."""
    return str(ctx.one("instance", ["name"], ctx.args[0])[0])


def remove(ctx: Context) -> int:
    """Delete an instance for good."""
    name = full_name(ctx)
    question = f"Instance {name} will be removed with all its disks and their mirrors: its data is lost. Continue?"
    if not submit.confirm(ctx, question):
        return 1
    jobs.run_or_submit(ctx, submit.op(ctx, instance_name=name))
    return 0


def grow_disk(ctx: Context) -> int:
    """Make a disk larger."""
    name, disk, size = ctx.args
    if not disk.isdecimal():
        raise WrongInput(detail=f"Invalid disk index '{disk}': a number is expected")
    jobs.run_or_submit(ctx, submit.op(ctx, instance_name=name, disk=int(disk), amount=parse_size(size)))
    return 0


def change_group(ctx: Context) -> int:
    """Move an instance to another group."""
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx))
    if not waited:
        return 0
    failed = sum(not good for good, _ in jobs.follow_ups(ctx, result))
    name = ctx.args[0]
    output.line(f"Instance '{name}' changed group successfully." if not failed else
                f"There were {failed} errors while changing group of instance '{name}'.")
    return 1 if failed else 0


def _one_target(ctx: Context) -> None:
    if ctx.option("iallocator") is not None and ctx.option("target_node") is not None:
        raise WrongInput(detail="A target node and an allocator cannot both be given")


def migrate(ctx: Context) -> int:
    """Move a running instance without stopping it."""
    _one_target(ctx)
    name = full_name(ctx)
    if ctx.option("cleanup"):
        question = f"What a broken migration of instance {name} left behind will be put right. Continue?"
    else:
        question = f"Instance {name} will be migrated while it runs. Continue?"
    if not submit.confirm(ctx, question):
        return 1
    jobs.run_or_submit(ctx, submit.op(ctx, instance_name=name, **migration_mode(ctx)))
    return 0


def failover(ctx: Context) -> int:
    """Stop an instance and start it on another node."""
    _one_target(ctx)
    name, primary = ctx.one("instance", ["name", "pnode"], ctx.args[0])
    if not submit.confirm(ctx, f"Instance {name} will be stopped here and started on another node. Continue?"):
        return 1
    if ctx.option("ignore_consistency") and not output.ask(
            f"If node {primary} still runs instance {name}, its data will be damaged. Is the node marked offline?"):
        output.error("Aborting.")
        return 1
    jobs.run_or_submit(ctx, submit.op(ctx, instance_name=name))
    return 0


def move(ctx: Context) -> int:
    """Move an instance by copying its disks."""
    name = full_name(ctx)
    if ctx.option("node") is None:
        raise WrongInput(detail="A target node must be given with -n")
    if not submit.confirm(ctx, f"Instance {name} will be stopped while its disks are copied. Continue?"):
        return 1
    jobs.run_or_submit(ctx, submit.op(ctx, instance_name=name))
    return 0
