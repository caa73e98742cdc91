# SPDX-License-Identifier: BSD-2-Clause
"""gnt-instance batch-create."""

import json
from pathlib import Path
from typing import Any

from gantry.cli import jobs, submit
from gantry.cli.context import Context
from gantry.errors import WrongInput

_SHORT: dict[str, str] = {"name": "instance_name", "os": "os_type"}


def run(ctx: Context) -> int:
    """Create the instances of a JSON file, all or none."""
    instances = [_instance(item, number) for number, item in enumerate(_read(ctx.args[0]))]
    if ctx.option("iallocator") and any("pnode" in item for item in instances):
        raise WrongInput(detail="An allocator and nodes cannot both be given: some instances name their nodes")
    waited, result = jobs.run_or_submit(ctx, submit.op(ctx, instances=instances))
    if not waited:
        return 0
    return 0 if all(good for good, _ in jobs.follow_ups(ctx, result)) else 1


def _read(name: str) -> list[Any]:
    try:
        found = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise WrongInput(detail=f"Cannot read instances from {name}: {err}") from err
    if not isinstance(found, list) or not found:
        raise WrongInput(detail=f"{name} does not hold a list of instances")
    return found


def _instance(item: Any, number: int) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise WrongInput(detail=f"Instance {number} of the file is not an object")
    op: dict[str, Any] = {_SHORT.get(str(key), str(key)): value for key, value in item.items()}
    return {"OP_ID": "OP_INSTANCE_CREATE", "mode": "create", "nics": [{}], "disks": []} | op
