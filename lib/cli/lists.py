# SPDX-License-Identifier: BSD-2-Clause
"""All `list` and `list-fields` commands: one declaration each."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gantry.cli import failures, output
from gantry.cli.context import Context, by_names
from gantry.cli.declare import Command, Option
from gantry.cli.options import FIELD_LIST, FILTER, UNITS

_TYPES = {"text": "Text", "bool": "Boolean", "number": "Number", "float": "Floating-point number",
          "unit": "Storage size", "timestamp": "Timestamp", "other": "Custom", "unknown": "Unknown"}


class Listing(NamedTuple):
    """What a list command asks for and how some of its columns read."""

    what: str
    fields: str
    formats: dict[str, Callable[[Any], str]] = {}  # noqa: RUF012  # never changed; a tuple class has no ClassVar
    key: str = "name"


def list_command(listing: Listing, args: str, help: str, *extra: Option, units: bool = False,
                 filters: bool = False, run: str = "lists:run") -> Command:
    """A list command's declaration."""
    options = (*((UNITS,) if units else ()), *((FILTER,) if filters else ()), *extra)
    return Command(args=args, help=help, options=options, sets="L", run=run, data=listing)


def fields_command(what: str) -> Command:
    return Command(args="[FIELD...]", help="List the fields that list knows", options=FIELD_LIST,
                   run="lists:run_fields", data=what)


def run(ctx: Context) -> int:
    """List what the arguments select."""
    return show(ctx, ctx.command.data, selection(ctx, ctx.command.data, ctx.args))


def selection(ctx: Context, listing: Listing, args: Sequence[str]) -> Any:
    """The filter that names, patterns or a filter expression make; None: everything."""
    forced = bool(ctx.option("filter"))
    if not args and not forced:
        return None
    if listing.what == "job" and not forced and all(arg.isdecimal() for arg in args):
        return by_names("job", args)
    from gantry.query import text_filter

    return text_filter.from_arguments(args, force=forced, key=listing.key)


def columns(wanted: str | None, usual: str) -> list[str]:
    """Field names: the usual ones, others, or (`+a,b`) more."""
    if wanted is None:
        return usual.split(",")
    if wanted.startswith("+"):
        return [*usual.split(","), *filter(None, wanted[1:].split(","))]
    return [name for name in wanted.split(",") if name]


def style(ctx: Context) -> output.Style:
    return output.Style(headers=not ctx.option("no_headers"), separator=ctx.option("separator"),
                        units=ctx.option("units"), verbose=bool(ctx.option("verbose")))


def show(ctx: Context, listing: Listing, qfilter: Any, also: str = "") -> int:
    """Query and print the table (with the column `also`); the exit status tells of unknown fields."""
    names = columns(ctx.option("output"), listing.fields)
    if also and also not in names:
        names.append(also)
    answer = ctx.call("Query", listing.what, names, qfilter)
    rows = [_formatted(row, names, listing.formats) for row in answer["data"]]
    fields = answer["fields"]
    unknown = [field["name"] for field in fields if field["kind"] == "unknown"]
    if unknown:
        output.error(f"Warning: Queried for unknown fields {', '.join(unknown)}")
    for text in output.table([field["title"] for field in fields], [field["kind"] for field in fields], rows,
                             style(ctx)):
        output.line(text)
    return failures.UNKNOWN_FIELD if unknown else 0


def _formatted(row: Sequence[Sequence[Any]], names: Sequence[str],
               formats: dict[str, Callable[[Any], str]]) -> list[Any]:
    if not formats:
        return list(row)
    return [[cell[0], formats[name](cell[1])] if name in formats and cell[0] == output.NORMAL else cell
            for cell, name in zip(row, names, strict=True)]


def run_fields(ctx: Context) -> int:
    """The fields of a resource, or of those named."""
    fields = ctx.call("QueryFields", ctx.command.data, ctx.args or None)["fields"]
    unknown = [field["name"] for field in fields if field["kind"] == "unknown"]
    if unknown:
        output.error(f"Warning: Queried for unknown fields {', '.join(unknown)}")
    rows = [[[output.NORMAL, text] for text in (field["name"], _TYPES.get(field["kind"], field["kind"]),
                                                field["title"], field["doc"])] for field in fields]
    for text in output.table(("Name", "Type", "Title", "Description"), ("text",) * 4, rows, style(ctx)):
        output.line(text)
    return failures.UNKNOWN_FIELD if unknown else 0
