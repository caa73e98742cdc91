# SPDX-License-Identifier: BSD-2-Clause
"""gnt-job list: with selectors for the state."""

from typing import Any

from gantry.cli import lists
from gantry.cli.context import Context
from gantry.errors import WrongInput

_STATES = {"pending": ("queued", "waiting", "canceling"), "running": ("running",), "error": ("error",),
           "finished": ("success", "canceled", "error"), "queued": ("queued",), "waiting": ("waiting",)}


def states(ctx: Context) -> list[str]:
    """States asked for with options, in their order."""
    return [state for name, members in _STATES.items() if ctx.option(name) for state in members]


def state_filter(wanted: list[str]) -> list[Any]:
    return ["|", *(["==", "status", state] for state in wanted)]


def run(ctx: Context) -> int:
    """List jobs; archived ones only when asked for, or named."""
    chosen = lists.selection(ctx, ctx.command.data, ctx.args)
    wanted = states(ctx)
    if wanted and ctx.args:
        raise WrongInput(detail="Job IDs and status filters exclude each other")
    if wanted:
        chosen = state_filter(wanted)
    return lists.show(ctx, ctx.command.data, chosen, also="archived" if ctx.option("archived") else "")
