# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node migrate, failover, evacuate: take the instances off a node."""

from typing import Any

from gantry.cli import failures, jobs, output, submit
from gantry.cli.context import Context
from gantry.errors import WrongInput

_DECLINED_FAILOVER = 2


def migration_mode(ctx: Context) -> dict[str, Any]:
    """What --non-live and --migration-mode say."""
    if not ctx.option("non_live"):
        return {}
    if ctx.option("migration_mode"):
        raise WrongInput(detail="Only one of --non-live and --migration-mode can be given")
    return {"mode": "non-live"}


def migrate(ctx: Context) -> int:
    """Migrate all primary instances of a node."""
    node, instances = ctx.one("node", ["name", "pinst_list"], ctx.args[0])
    if not instances:
        output.line(f"No primary instances on node {node}, exiting.")
        return 0
    shown = ",".join(f"'{name}'" for name in instances)
    if not submit.confirm(ctx, f"Migrate instance(s) {shown}?"):
        return failures.NOT_CONFIRMED
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx, node_name=node, **migration_mode(ctx)))
    if not waited:
        return 0
    return _judge(ctx, result, "All instances migrated successfully.", "during the node migration.")


def _judge(ctx: Context, result: Any, good: str, when: str) -> int:
    """Wait for the jobs that were submitted and say how they ended."""
    failed = sum(not fine for fine, _ in jobs.follow_ups(ctx, result))
    output.line(good if not failed else f"There were {failed} errors {when}")
    return 1 if failed else 0


def failover(ctx: Context) -> int:
    """Fail over all primary instances of a node; the exit status does not tell whether they all went well."""
    node, instances = ctx.one("node", ["name", "pinst_list"], ctx.args[0])
    if not instances:
        output.error(f"No primary instances on node {node}, exiting.")
        return 0
    shown = ",".join(f"'{name}'" for name in instances)
    if not submit.confirm(ctx, f"Fail over instance(s) {shown}?"):
        return _DECLINED_FAILOVER
    ops = [(name, submit.op(ctx, instance_name=name)) for name in instances]
    done = jobs.run_many(ctx, ops, verbose=True)
    failed = sum(not fine for fine, _ in done)
    if ctx.option("dry_run"):
        return 1 if failed else 0
    if failed:
        output.line("There were errors during the failover:")
        output.line(f"{failed} error(s) out of {len(done)} instance(s).")
    else:
        output.line(f"All {len(done)} instance(s) failed over successfully.")
    return 0


def evacuate(ctx: Context) -> int:
    """Move primaries or secondaries of a node to other nodes."""
    mode, more = _evacuation(ctx)
    node, primaries, secondaries = ctx.one("node", ["name", "pinst_list", "sinst_list"], ctx.args[0])
    instances = sorted({*(primaries if mode != "secondary-only" else ()),
                        *(secondaries if mode != "primary-only" else ())})
    if not instances:
        output.error(f"No instances to evacuate on node(s) {node}, exiting.")
        return 0
    if not submit.confirm(ctx, f"Relocate instance(s) {', '.join(instances)} from node(s) {node}?"):
        return failures.NOT_CONFIRMED
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx, node_name=node, mode=mode, **more))
    if not waited:
        return 0
    return _judge(ctx, result, "All instances evacuated successfully.", "during the evacuation.")


def _evacuation(ctx: Context) -> tuple[str, dict[str, Any]]:
    """Mode, and what it changes of the other parameters."""
    if ctx.option("primary_only") and ctx.option("secondary_only"):
        raise WrongInput(detail="Only one of --primary-only and --secondary-only can be given")
    if ctx.option("new_secondary"):
        if ctx.option("primary_only"):
            raise WrongInput(detail="--new-secondary moves secondaries; it goes not with --primary-only")
        if not ctx.option("secondary_only") or ctx.option("iallocator"):
            output.error("Note: disabling iallocator, because a new secondary node was given")
        return "secondary-only", {"iallocator": None}
    if ctx.option("primary_only"):
        return "primary-only", {}
    return ("secondary-only" if ctx.option("secondary_only") else "all"), {}
