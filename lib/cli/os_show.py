# SPDX-License-Identifier: BSD-2-Clause
"""gnt-os list, diagnose, info."""

from collections.abc import Iterable, Sequence
from typing import Any

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context


def names(ctx: Context) -> int:
    """OS definitions with their variants, as instances name them."""
    rows = jobs.run(ctx, submit.op(ctx, output_fields=["name", "variants"], names=[]))
    if not ctx.option("no_headers"):
        output.line("Name")
    for name, variants in rows:
        for full in [f"{name}+{variant}" for variant in variants] or [name]:
            output.line(full)
    return 0


def info(ctx: Context) -> int:
    """OS definitions as the cluster sees them."""
    fields = ["name", "valid", "variants", "parameters", "api_versions", "blacklisted", "hidden", "os_hvp", "osparams",
              "trusted"]
    rows = jobs.run(ctx, submit.op(ctx, output_fields=fields, names=ctx.args))
    found = {row[0]: row for row in rows}
    for name in ctx.args or found:
        if name in found:
            _info(found[name])
        else:
            output.line(f"{name}: Not Found")
        output.line()
    return 0 if all(name in found for name in ctx.args) else 1


def _info(row: Sequence[Any]) -> None:
    name, valid, variants, parameters, versions, blacklisted, hidden, hvparams, osparams, trusted = row
    output.line(f"{name}:")
    output.line(f"  - valid: {valid}")
    output.line(f"  - hidden: {hidden}")
    output.line(f"  - blacklisted: {blacklisted}")
    if not valid:
        return
    _items("API versions", sorted(map(str, versions)))
    _items("variants", variants)
    _items("parameters", (f"{parameter}: {text}" for parameter, text in parameters))
    for title, levels in (("hypervisor parameters", hvparams), ("OS parameters", osparams)):
        if levels:
            _items(title, (f"{level}: {values}" for level, values in sorted(levels.items())))
    output.line(f"  - trusted: {trusted}")


def _items(title: str, items: Iterable[str]) -> None:
    output.line(f"  - {title}:")
    for item in items:
        output.line(f"    - {item}")


def diagnose(ctx: Context) -> int:
    """OS definitions node by node; exit status 1 if one is not valid everywhere."""
    fields = ["name", "valid", "variants", "node_status", "hidden", "blacklisted"]
    rows = jobs.run(ctx, submit.op(ctx, output_fields=fields, names=[]))
    for name, valid, variants, nodes, hidden, blacklisted in rows:
        usable = sum(bool(paths and paths[0][1]) for paths in nodes.values())
        state = "valid" if valid else "partial valid" if usable else "invalid"
        marks = " [hidden]" * bool(hidden) + " [blacklisted]" * bool(blacklisted)
        output.line(f"OS: {name} [global status: {state}]{marks}")
        if variants:
            output.line(f"  Variants: [{', '.join(variants)}]")
        for node, found in sorted(nodes.items()):
            output.line(f"  Node: {node}, status: {_node_text(found)}")
        output.line()
    return 0 if all(row[1] for row in rows) else 1


def _node_text(found: Sequence[Sequence[Any]]) -> str:
    """How a node has it: the first definition counts, others are hidden by it."""
    if not found:
        return "missing"
    path, valid, problem, variants, parameters, versions, trusted = found[0]
    if not valid:
        return f"invalid - {problem} (path: {path})"
    text = f"valid (path: {path}) [API versions: {', '.join(map(str, sorted(versions)))}]"
    if variants:
        text += f" [variants: {', '.join(variants)}]"
    if parameters:
        text += f" [parameters: {', '.join(name for name, _ in parameters)}]"
    if trusted:
        text += " [trusted]"
    hidden = [other[0] for other in found[1:]]
    return text + (f" (hiding: {', '.join(hidden)})" if hidden else "")
