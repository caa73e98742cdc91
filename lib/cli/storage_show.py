# SPDX-License-Identifier: BSD-2-Clause
"""gnt-storage diagnose and info."""

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context


def diagnose(ctx: Context) -> int:
    """Providers node by node; exit status 1 when there is none."""
    rows = jobs.run(ctx, submit.op(ctx, output_fields=["name", "node_status", "nodegroup_status"], names=[]))
    for name, nodes, groups in rows:
        output.line(f"Provider: {name}")
        output.line("---")
        for node, found in sorted(nodes.items()):
            output.line(f"  Node: {node}, status: {_text(found)}")
        output.line("  --")
        for group, valid in sorted(groups.items()):
            output.line(f"  For nodegroup: {group} --> {'valid' if valid else 'invalid'}")
        output.line()
    return 0 if rows else 1


def _text(found: list[list[object]]) -> str:
    if not found:
        return "missing"
    path, valid, problem, parameters = found[0][:4]
    if not valid:
        return f"invalid - {problem} (path: {path})"
    names = ", ".join(str(item[0]) for item in parameters) if isinstance(parameters, list) else ""
    return f"valid (path: {path})" + (f" [parameters: {names}]" if names else "")


def info(ctx: Context) -> int:
    """Providers as the cluster sees them."""
    rows = jobs.run(ctx, submit.op(ctx, output_fields=["name", "nodegroup_status", "parameters"], names=[]))
    found = {row[0]: row for row in rows}
    for name in ctx.args or found:
        if name not in found:
            output.line(f"{name}: Not Found")
            continue
        _, groups, parameters = found[name]
        output.line(f"{name}:")
        valid = ", ".join(sorted(group for group, good in groups.items() if good))
        output.line(f"  - Valid for nodegroups: {valid}")
        output.line("  - Supported parameters:")
        for parameter, text in parameters:
            output.line(f"    - {parameter}: {text}")
        output.line()
    return 0
