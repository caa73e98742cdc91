# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node powercycle, power, health."""

from typing import Any

from gantry.cli import failures, jobs, lists, output, submit
from gantry.cli.context import Context
from gantry.errors import WrongInput

_WORDS = {"on": "power-on", "off": "power-off", "cycle": "power-cycle", "status": "power-status"}


def powercycle(ctx: Context) -> int:
    """Reboot a node the hard way."""
    if not submit.confirm(ctx, f"Node {ctx.args[0]} will be reset at once, without a shutdown. Continue?", "yes"):
        return failures.USAGE
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx))
    if waited and result:
        output.error(str(result))
    return 0


def power(ctx: Context) -> int:
    """Power nodes on or off, cycle them, or ask."""
    word, names = ctx.args[0], ctx.args[1:]
    if word not in _WORDS:
        raise WrongInput(detail=f"Command '{word}' is not valid: one of {', '.join(_WORDS)} is expected")
    if word in ("off", "cycle"):
        if not names:
            raise WrongInput(detail=f"Command '{word}' needs the names of nodes")
        if not ctx.option("force") and not output.ask_about(names, "nodes", f"power {word}"):
            return 1
    if word == "off" and not ctx.option("ignore_status"):
        for name in names:
            jobs.run(ctx, ctx.opcode("OP_NODE_SET_PARAMS", node_name=name, offline=True,
                                     auto_promote=bool(ctx.option("auto_promote"))))
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx, command=_WORDS[word], node_names=names))
    return _status_table(ctx, result, _power_word) if waited else 0


def _power_word(value: Any) -> list[str]:
    if isinstance(value, dict) and "powered" in value:
        return ["powered" if value["powered"] else "unpowered"]
    return ["invoked"]


def health(ctx: Context) -> int:
    """Health of nodes, item by item."""
    result = jobs.run(ctx, submit.op(ctx, command="health", node_names=ctx.args))
    return _status_table(ctx, result, lambda value: [f"{item}={state}" for item, state in value or []])


def _status_table(ctx: Context, result: Any, words: Any) -> int:
    """Rows of [status, value] pairs: the node's name, then what its program said."""
    rows, failed = [], False
    for (_, node), (status, value) in result or []:
        bad = status != output.NORMAL
        failed |= bad
        shown = [("(nodata)" if status == output.NODATA else "(unavail)")] if bad else words(value)
        for number, text in enumerate(shown):
            rows.append([[output.NORMAL, "" if number else node], [output.NORMAL, text]])
    for text in output.table(("Node", "Status"), ("text", "text"), rows, lists.style(ctx)):
        output.line(text)
    return 1 if failed else 0
