# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node info."""

from typing import Any

from gantry.cli import output
from gantry.cli.context import Context

_FIELDS = ("name", "pip", "sip", "master_candidate", "drained", "offline", "powered", "master_capable", "vm_capable",
           "pinst_list", "sinst_list", "ndparams", "custom_ndparams")


def run(ctx: Context) -> int:
    """Show nodes."""
    found = [tree(dict(zip(_FIELDS, row, strict=True))) for row in ctx.named("node", _FIELDS, ctx.args)]
    if found:
        output.info(found)
    return 0


def tree(node: dict[str, Any]) -> list[tuple[str, Any]]:
    """What is shown of one node."""
    powered = [] if node["powered"] is None else [("powered", node["powered"])]
    instances = [("primary for instances", list(node["pinst_list"])),
                 ("secondary for instances", list(node["sinst_list"]))] if node["vm_capable"] else []
    own = node["custom_ndparams"] or {}
    return [
        ("Node name", node["name"]), ("primary ip", node["pip"]), ("secondary ip", node["sip"]),
        ("master candidate", node["master_candidate"]), ("drained", node["drained"]), ("offline", node["offline"]),
        *powered, ("master_capable", node["master_capable"]), ("vm_capable", node["vm_capable"]), *instances,
        ("node parameters", marked(node["ndparams"] or {}, own)),
    ]


def marked(values: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Merged parameters, the inherited ones as `default (VALUE)`."""
    return {key: value if key in own else f"default ({value})" for key, value in values.items()}
