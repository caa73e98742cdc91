# SPDX-License-Identifier: BSD-2-Clause
"""All `list` and `list-fields` commands: one declaration each."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gantry.cli import failures, output
from gantry.cli.context import Context, by_names
from gantry.cli.declare import Command, Option
from gantry.cli.options import FIELD_LIST, FILTER, UNITS
from gantry.errors import WrongInput

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
    """The filter that names, patterns or a filter expression make."""
    forced = bool(ctx.option("filter"))
    if forced and len(args) != 1:
        raise WrongInput(detail="Exactly one argument must be given as a filter")
    if not args:
        return None
    from gantry.cli import filters

    takes_filters = any(option is FILTER for option in ctx.command.options)
    if takes_filters and len(args) == 1 and (forced or filters.looks_like_filter(args[0])):
        return filters.parse(args[0])
    if listing.what == "job":
        return _by_ids(args)
    if not any(map(filters.is_pattern, args)):
        return by_names(listing.what, args)
    return name_filter(args, listing.key)


def name_filter(args: Sequence[str], key: str = "name") -> list[Any]:
    """Names and shell patterns as one filter."""
    from gantry.cli import filters

    found: list[Any] = [["=~", key, filters.glob_regex(arg)] if filters.is_pattern(arg) else ["==", key, arg]
                        for arg in args]
    return found[0] if len(found) == 1 else ["|", *found]


def _by_ids(args: Sequence[str]) -> Any:
    for arg in args:
        if not arg.isdigit():
            raise WrongInput(detail=f"Invalid job ID '{arg}': a number is expected")
    return by_names("job", args)


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
