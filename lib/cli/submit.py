# SPDX-License-Identifier: BSD-2-Clause
"""Commands that only submit their opcode: everything they need is in their declaration."""

from typing import Any

from gantry.cli import build, jobs, output
from gantry.cli.context import Context
from gantry.cli.values import by_ident


def params(ctx: Context) -> dict[str, Any]:
    """Parameters of the opcode out of options and arguments.  What was not given is left to its default."""
    found: dict[str, Any] = dict(ctx.command.fixed)
    for option in build.all_options(ctx.command):
        value = ctx.option(option.dest) if option.param else None
        if value is not None:
            found[option.param] = by_ident(value, option.flags[-1]) if option.kind == "idents" or (
                isinstance(value, list) and value and isinstance(value[0], tuple)) else value
    return found | positionals(ctx)


def positionals(ctx: Context) -> dict[str, Any]:
    fields = build.opcode_fields(ctx.command)
    args = list(ctx.args)
    found: dict[str, Any] = {}
    for name in ctx.command.positional:
        if fields[name].metadata["kind"].name.startswith("["):
            if args:
                found[name] = args
            break
        if args:
            found[name] = args.pop(0)
    return found


def op(ctx: Context, **more: Any) -> dict[str, Any]:
    """The opcode of this command."""
    return ctx.opcode(build.opcode_class(ctx.command).OP_ID, **(params(ctx) | more))


def run(ctx: Context) -> int:
    """Submit, wait (unless told not to), show the log and nothing more."""
    jobs.run_or_submit(ctx, op(ctx))
    return 0


def run_and_say(ctx: Context) -> int:
    """The same, and on success the line of the declaration's `data`, with the result and the arguments."""
    waited, result = jobs.run_or_submit(ctx, op(ctx))
    if waited and not ctx.option("dry_run"):
        output.line(ctx.command.data.format(*ctx.args, result=result))
    return 0


def confirm(ctx: Context, question: str, skip: str = "force") -> bool:
    """Whether to go on: the option was given, or the operator says yes."""
    return bool(ctx.option(skip)) or output.ask(question)


def run_confirmed(ctx: Context) -> int:
    """Ask first; `data` is (question, option that skips it, exit status when declined)."""
    question, skip, declined = ctx.command.data
    if not confirm(ctx, question.format(*ctx.args), skip):
        return int(declined)
    return run(ctx)


def run_changes(ctx: Context) -> int:
    """Ask at least one option of the command's own, then run it."""
    if nothing_given(ctx):
        return 1
    return run(ctx)


def nothing_given(ctx: Context) -> bool:
    """Whether no option that changes something was given; says so."""
    wanted = [option for option in ctx.command.options if option.param != "force" and option.dest != "force"]
    if any(ctx.option(option.dest) is not None for option in wanted):
        return False
    output.error("Please give at least one of the parameters.")
    return True
