# SPDX-License-Identifier: BSD-2-Clause
"""gnt-debug wconfd and metad: questions to daemons of other implementations, answered by the master daemon."""

from gantry.cli import output
from gantry.cli.context import Context
from gantry.errors import WrongInput


def wconfd(ctx: Context) -> int:
    """Locks and the configuration, which the master daemon has."""
    word, rest = ctx.args[0], ctx.args[1:]
    expected = {"echo": 1, "listlocks": 1, "listalllocks": 0, "listalllocksowners": 0, "cleanuplocks": 0,
                "flushconfig": 0}
    if expected.get(word) != len(rest):
        raise WrongInput(detail="One of these is expected: echo TEXT, listlocks JOBID, listalllocks, "
                                "listalllocksowners, cleanuplocks, flushconfig")
    if word == "echo":
        ctx.call("QueryClusterInfo")
        output.line(f"Answer: {rest[0]}")
    elif word.startswith("list"):
        _locks(ctx, word, rest)
    else:  # locks end with their jobs, and each change is on the disk before it is acknowledged
        ctx.call("QueryClusterInfo")
    return 0


def _locks(ctx: Context, word: str, rest: list[str]) -> None:
    rows = ctx.query("lock", ["name", "mode", "owner"])
    if word == "listlocks":
        if not rest[0].isdecimal():
            raise WrongInput(detail=f"'{rest[0]}' is no job id")
        rows = [row for row in rows if int(rest[0]) in map(int, row[2] or ())]
    for name, mode, owner in rows:
        owners = ",".join(map(str, owner or ()))
        output.line(f"{name}" if word == "listalllocks" else f"{name} {mode} {owners}".rstrip())


def metad(ctx: Context) -> int:
    """There is no such daemon."""
    raise WrongInput(detail="This cluster runs no metadata daemon, there is nothing to ask")
