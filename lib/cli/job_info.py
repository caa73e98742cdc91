# SPDX-License-Identifier: BSD-2-Clause
"""gnt-job info."""

from typing import Any

from gantry.cli import output
from gantry.cli.context import Context
from gantry.errors import WrongInput

_FIELDS = ("id", "status", "ops", "opresult", "opstatus", "oplog", "opstart", "opexec", "opend", "received_ts",
           "start_ts", "end_ts")


def run(ctx: Context) -> int:
    """Everything about some jobs; those that are not known are named on stderr."""
    for arg in ctx.args:
        if not arg.isdecimal():
            raise WrongInput(detail=f"Invalid job ID '{arg}': a number is expected")
    asked = [int(arg) for arg in ctx.args]
    rows = {row[0]: dict(zip(_FIELDS, row, strict=True))
            for row in ctx.call("QueryJobs", asked, list(_FIELDS)) if row and row[1] is not None}
    found = [_tree(rows[job]) for job in asked if job in rows]
    if found:
        output.info(found)
    missing = [job for job in asked if job not in rows]
    for job in missing:
        output.error(f"Job ID {job} not found")
    return 1 if missing else 0


def _tree(job: dict[str, Any]) -> list[tuple[str, Any]]:
    start, end, received = job["start_ts"], job["end_ts"], job["received_ts"]
    return [
        ("Job ID", job["id"]), ("Status", job["status"]), ("Received", _moment(received)),
        ("Processing start", _moment(start, received)), ("Processing end", _moment(end, start)),
        ("Total processing time",
         f"{_seconds(end) - _seconds(received):.6f} seconds" if received and end else "N/A"),
        ("Opcodes", [_opcode(job, number) for number in range(len(job["ops"]))]),
    ]


def _opcode(job: dict[str, Any], number: int) -> list[tuple[str, Any]]:
    op = job["ops"][number]
    log = [[("Time", output.exact_date(entry[1])), ("Content", (entry[0], entry[2], entry[3]))]
           for entry in job["oplog"][number]]
    return [
        ("Opcode", op["OP_ID"]), ("Status", job["opstatus"][number]),
        ("Processing start", output.exact_date(job["opstart"][number])),
        ("Execution start", output.exact_date(job["opexec"][number])),
        ("Processing end", output.exact_date(job["opend"][number])),
        ("Input fields", {key: _value(value) for key, value in op.items() if key != "OP_ID"}),
        ("Result", _value(job["opresult"][number])),
        ("Execution log", log),
    ]


def _value(value: Any) -> Any:
    """A tree of the value; lists that hold no objects are shown inline."""
    if isinstance(value, dict):
        return {str(key): _value(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_value(item) for item in value] if _holds_objects(value) else tuple(map(_inline, value))
    return value


def _holds_objects(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_objects, value)))


def _inline(value: Any) -> str:
    return f"[{', '.join(map(_inline, value))}]" if isinstance(value, list) else str(value)


def _seconds(stamp: list[int]) -> float:
    return stamp[0] + stamp[1] / 1e6


def _moment(stamp: list[int] | None, since: list[int] | None = None) -> str:
    if not stamp:
        return f"unknown ({stamp})"
    if not since:
        return output.exact_date(stamp)
    return f"{output.exact_date(stamp)} (delta {_seconds(stamp) - _seconds(since):.6f})"
