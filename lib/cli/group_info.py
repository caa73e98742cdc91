# SPDX-License-Identifier: BSD-2-Clause
"""gnt-group info."""

from typing import Any

from gantry.cli import ipolicy, output
from gantry.cli.context import Context
from gantry.cli.node_info import marked

_FIELDS = ("name", "ndparams", "custom_ndparams", "diskparams", "custom_diskparams", "ipolicy", "custom_ipolicy")


def run(ctx: Context) -> int:
    """Show node groups."""
    found = [tree(dict(zip(_FIELDS, row, strict=True))) for row in ctx.named("group", _FIELDS, ctx.args)]
    if found:
        output.info(found)
    return 0


def tree(group: dict[str, Any]) -> list[tuple[str, Any]]:
    """What is shown of one group."""
    own_disks = group["custom_diskparams"] or {}
    return [
        ("Node group", group["name"]),
        ("Node parameters", marked(group["ndparams"] or {}, group["custom_ndparams"] or {})),
        ("Disk parameters", {template: marked(values, own_disks.get(template, {}))
                             for template, values in (group["diskparams"] or {}).items()}),
        ("Instance policy", ipolicy.tree(group["ipolicy"] or {}, group["custom_ipolicy"] or {}, std=False)),
    ]
