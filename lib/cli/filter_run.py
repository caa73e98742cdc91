# SPDX-License-Identifier: BSD-2-Clause
"""gnt-filter add, replace, delete, info."""

import json
from typing import Any

from gantry.cli import output
from gantry.cli.context import Context
from gantry.errors import WrongInput

_ACTIONS = ("ACCEPT", "CONTINUE", "PAUSE", "REJECT")


def add(ctx: Context) -> int:
    """Make a rule and print its UUID."""
    return _put(ctx, None)


def replace(ctx: Context) -> int:
    """Put a rule in the place of another."""
    return _put(ctx, ctx.args[0])


def _put(ctx: Context, uuid: str | None) -> int:
    output.line(ctx.call("ReplaceFilter", uuid, ctx.option("priority") or 0, _predicates(ctx.option("predicates")),
                         _action(ctx.option("action") or "CONTINUE"), ctx.reason()))
    return 0


def _predicates(text: str | None) -> list[Any]:
    try:
        found = json.loads(text or "[]")
    except ValueError as err:
        raise WrongInput(detail=f"The predicates are not JSON: {err}") from err
    if not isinstance(found, list):
        raise WrongInput(detail="The predicates must be a JSON list")
    return found


def _action(text: str) -> Any:
    word, _, number = text.upper().partition(" ")
    if word in _ACTIONS and not number:
        return word
    if word == "RATE_LIMIT" and number.strip().isdecimal() and int(number) > 0:
        return [word, int(number)]
    raise WrongInput(detail=f"Action '{text}' is none of {', '.join(_ACTIONS)} and 'RATE_LIMIT N'")


def delete(ctx: Context) -> int:
    """Delete a rule."""
    ctx.call("DeleteFilter", ctx.args[0])
    return 0


def info(ctx: Context) -> int:
    """Show rules."""
    fields = ["uuid", "watermark", "priority", "predicates", "action", "reason_trail"]
    rows = ctx.call("QueryFilters", ctx.args or None, fields)
    for uuid, watermark, priority, predicates, action, trail in rows:
        output.line(f"UUID: {uuid}")
        for title, value in (("Watermark", watermark), ("Priority", priority), ("Predicates", json.dumps(predicates)),
                             ("Action", json.dumps(action)), ("Reason trail", json.dumps(trail))):
            output.line(f"  {title}: {value}")
    return 0
