# SPDX-License-Identifier: BSD-2-Clause
"""list-tags, add-tags, remove-tags of all kinds of objects, and search-tags."""

import sys
from collections.abc import Iterable
from pathlib import Path

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context
from gantry.cli.declare import Command
from gantry.cli.options import FROM
from gantry.errors import WrongInput


def tag_commands(kind: str, target: str) -> dict[str, Command]:
    """The three commands for tags of `kind`; `target` is the argument that names the object (cluster: none)."""
    rest = f"{target} [TAG...]".strip()
    return {
        "list-tags": Command(target, "List tags", run="tags:show", data=kind),
        "add-tags": Command(rest, "", (FROM,), "SPN", "tags.TagsSet", run="tags:change", data=kind),
        "remove-tags": Command(rest, "", (FROM,), "SPN", "tags.TagsDel", run="tags:change", data=kind),
    }


def show(ctx: Context) -> int:
    """Tags of an object, sorted, one a line."""
    for tag in sorted(ctx.call("QueryTags", ctx.command.data, ctx.args[0] if ctx.args else "")):
        output.line(tag)
    return 0


def change(ctx: Context) -> int:
    """Add or remove tags."""
    kind = ctx.command.data
    name, tags = (None, ctx.args) if kind == "cluster" else (ctx.args[0], ctx.args[1:])
    tags = [*tags, *_from_file(ctx.option("from"))]
    if not tags:
        what = "added" if ctx.name == "add-tags" else "removed"
        raise WrongInput(detail=f"No tags to be {what}")
    jobs.run_or_submit(ctx, submit.op(ctx, kind=kind, tags=tags, name=name))
    return 0


def _from_file(name: str | None) -> list[str]:
    if not name:
        return []
    try:
        lines: Iterable[str] = sys.stdin if name == "-" else Path(name).read_text(encoding="utf-8").splitlines()
        return [tag for tag in map(str.strip, lines) if tag]
    except (OSError, ValueError) as err:
        raise WrongInput(detail=f"Cannot read tags from {name}: {err}") from err


def search(ctx: Context) -> int:
    """Objects with a tag that matches, and the tag; nothing found is exit status 1."""
    found = jobs.run(ctx, submit.op(ctx))
    for path, tag in sorted(found or []):
        output.line(f"{path} {tag}")
    return 0 if found else 1
