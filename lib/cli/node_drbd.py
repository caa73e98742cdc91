# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node list-drbd: the minors of a node, as the configuration has them."""

from typing import Any

from gantry.cli import jobs, lists, output
from gantry.cli.context import Context

_COLUMNS = ("Node", "Minor", "Instance", "Disk", "Role", "PeerNode")
_KINDS = ("text", "number", "text", "text", "text", "text")


def run(ctx: Context) -> int:
    """A row for each mirrored disk that has an end there."""
    name, primaries, secondaries = ctx.one("node", ["name", "pinst_list", "sinst_list"], ctx.args[0])
    instances = sorted({*(primaries or ()), *(secondaries or ())})
    rows: list[tuple[Any, ...]] = []
    if instances:
        found = jobs.run(ctx, ctx.opcode("OP_INSTANCE_QUERY_DATA", instances=instances, static=True, use_locking=False))
        rows = sorted(row for instance, data in found.items() for disk in data["disks"]
                      if (row := _row(name, instance, disk)) is not None)
    cells = [[[output.NORMAL, value] for value in row] for row in rows]
    for text in output.table(_COLUMNS, _KINDS, cells, lists.style(ctx)):
        output.line(text)
    return 0


def _row(node: str, instance: str, disk: dict[str, Any]) -> tuple[Any, ...] | None:
    """(node, minor, instance, disk, role, the other node); None for a disk that has no end on the node."""
    facts = disk.get("drbd_info") or {}
    for role, other in (("primary", "secondary"), ("secondary", "primary")):
        if facts.get(f"{role}_node") == node:
            return node, facts[f"{role}_minor"], instance, disk["iv_name"], role, facts[f"{other}_node"]
    return None
