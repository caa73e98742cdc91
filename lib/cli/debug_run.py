# SPDX-License-Identifier: BSD-2-Clause
"""gnt-debug delay, submit-job, iallocator, locks, test-jobqueue."""

import json
from pathlib import Path
from typing import Any

from gantry.cli import jobs, lists, output, submit, values
from gantry.cli.context import Context
from gantry.errors import WrongInput
from gantry.utils.clock import SYSTEM
from gantry.utils.units import parse_size

_DISKS = (4096, 4096)
_NIC = "00:11:22:33:44:55"


def delay(ctx: Context) -> int:
    """Sleep."""
    try:
        seconds = float(ctx.args[0])
    except ValueError as err:
        raise WrongInput(detail=f"Invalid duration '{ctx.args[0]}': seconds are expected") from err
    jobs.run_or_submit(ctx, submit.op(ctx, duration=seconds, no_locks=bool(ctx.option("no_locks"))))
    return 0


def submit_job(ctx: Context) -> int:
    """One job for each file (and repetition)."""
    started = SYSTEM.now()
    wanted: list[tuple[str, list[dict[str, Any]]]] = []
    for name in ctx.args:
        ops = [_completed(ctx, op) for op in _read(name)] * (ctx.option("op_repeat") or 1)
        wanted += [(name, ops)] * (ctx.option("job_repeat") or 1)
    if ctx.option("each"):
        submitted = [[True, jobs.submit(ctx, ops)] for _, ops in wanted]
    else:
        submitted = ctx.call("SubmitManyJobs", [ops for _, ops in wanted])
    accepted = SYSTEM.now()
    done = jobs.wait_submitted(ctx, submitted, [name for name, _ in wanted], verbose=bool(ctx.option("verbose")))
    if ctx.option("timing_stats"):
        output.line(f"C:op     {sum(len(ops) for _, ops in wanted)}")
        output.line(f"C:job    {len(wanted)}")
        output.line(f"T:submit {accepted - started:.3f}")
        output.line(f"T:exec   {SYSTEM.now() - accepted:.3f}")
        output.line(f"T:total  {SYSTEM.now() - started:.3f}")
    return 0 if all(good for good, _ in done) else 1


def _read(name: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise WrongInput(detail=f"Cannot read opcodes from {name}: {err}") from err
    if not isinstance(found, list) or not all(isinstance(op, dict) and "OP_ID" in op for op in found):
        raise WrongInput(detail=f"{name} does not hold a list of opcodes (objects with the key OP_ID)")
    return found


def _completed(ctx: Context, op: dict[str, Any]) -> dict[str, Any]:
    """With the options of this invocation; the file's own reason comes first."""
    common = ctx.opcode(op["OP_ID"])
    return common | op | {"reason": [*op.get("reason", []), *common["reason"]]}


def iallocator(ctx: Context) -> int:
    """Print the allocator's input or its answer."""
    sizes = [parse_size(text) for text in ctx.option("disks") or []] or list(_DISKS)
    nics = [_nic(text) for text in ctx.option("nics") or [_NIC]]
    more: dict[str, Any] = {
        "direction": ctx.option("dir") or "in", "mode": ctx.option("mode") or "relocate", "name": ctx.args[0],
        "disks": [{"size": size, "mode": "rw"} for size in sizes], "nics": nics, "instances": ctx.args}
    for key, value in (("memory", 128), ("vcpus", 1), ("count", 2), ("evac_mode", "all")):
        more[key] = ctx.option(key) if ctx.option(key) is not None else value
    output.line(str(jobs.run(ctx, submit.op(ctx, **more))))
    return 0


def _nic(text: str) -> dict[str, Any]:
    mac, _, rest = text.partition("/")
    address, _, bridge = rest.partition("/")
    found = {"mac": mac, "ip": address or None, "bridge": bridge or None}
    if not mac:
        raise values.wrong(f"'{text}' is no interface; the form is MAC/IP/BRIDGE")
    return found


def locks(ctx: Context) -> int:
    """Show the locks, once or again and again until interrupted."""
    interval = ctx.option("interval")
    while True:
        status = lists.show(ctx, ctx.command.data, None)
        if not interval:
            return status
        output.line()
        output.flush()
        SYSTEM.sleep(interval)


def test_jobqueue(ctx: Context) -> int:
    """Run a job that announces its phases, and one that is meant to fail."""
    jobs.run(ctx, submit.op(ctx, log_messages=["Hello World", "A", "", "B"]))
    good, _ = jobs.wait(ctx, jobs.submit(ctx, [submit.op(ctx, fail=True)]))
    if good:
        output.error("A job that was meant to fail succeeded")
        return 1
    output.line("Job queue test successful")
    return 0
