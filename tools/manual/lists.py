# SPDX-License-Identifier: BSD-2-Clause
"""Lists of other things that are declared: options of daemons and tools, parameters, query fields, errors."""

import argparse
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from gantry import constants, errors
from gantry.errors import Error
from gantry.objects.paramtype import Kind, ParamType
from gantry.paths import Paths
from gantry.query.query import RESOURCES
from gantry.server import daemon
from manual.blocks import Block, Blocks, Directive, Heading, Item, Paragraph, bold, italic, plain
from manual.commands import commands, common_options, sentence
from manual.rst import BadSource

_NUMBERED = re.compile(r"/\d+$")


def named(path: str) -> Any:
    """The object `module:name`."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as err:
        raise BadSource(f"there is no {path}: {err}") from err


# --- options ----------------------------------------------------------------------------------------------

def options(directive: Directive) -> Blocks:
    """`.. options:: module:name`: a daemon, an argparse parser (or what makes one), a program of the balancer."""
    found = named(directive.argument)
    if isinstance(found, daemon.Program):
        return tuple(_arguments(daemon.parser(found)))
    if hasattr(found, "names"):
        return tuple(_balancer(found.names))
    return tuple(_arguments(found if isinstance(found, argparse.ArgumentParser) else found()))


def _arguments(parser: argparse.ArgumentParser) -> Iterator[Block]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield Heading(2, plain(name))
                yield Paragraph(_usage(sub))
                yield Paragraph(sentence(plain(sub.description or "")))
                yield from _arguments(sub)
        elif action.option_strings and action.help != argparse.SUPPRESS and action.dest != "help":
            yield Item(_term(action), (Paragraph(sentence(plain(_help(action)))),))


def _usage(parser: argparse.ArgumentParser) -> str:
    positional = [italic(str(action.metavar or action.dest.upper())) for action in parser._actions
                  if not action.option_strings]
    return " ".join([bold(parser.prog), "[*OPTIONS*]", *positional])


def _term(action: argparse.Action) -> str:
    names = ", ".join(map(bold, action.option_strings))
    if action.nargs == 0:
        return names
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    return f"{names} {italic(str(value))}"


def _help(action: argparse.Action) -> str:
    text = (action.help or "") % (vars(action) | {"prog": ""})
    return text[:1].upper() + text[1:]


def _balancer(names: tuple[str, ...]) -> Iterator[Block]:
    table = named("hbal.load.options:OPTIONS")
    for option in (table[name] for name in names):
        flags = [*([f"-{option.short}"] if option.short else []), f"--{option.name}"]
        value = f"={italic(option.metavar)}" if option.metavar else ""
        term = ", ".join(map(bold, flags)) + (f"[{value}]" if value and option.optional else value)
        yield Item(term, (Paragraph(sentence(plain(option.help[:1].upper() + option.help[1:]))),))


# --- parameters -------------------------------------------------------------------------------------------

def parameters(directive: Directive) -> Blocks:
    """`.. parameters:: module:name [key]`: a schema, or one of a dictionary of schemas."""
    path, _, key = directive.argument.partition(" ")
    found = named(path)
    schema: Mapping[str, ParamType] = found[key] if key else found
    return tuple(Item(_parameter(item), (Paragraph(_meaning(item)),)) for _, item in sorted(schema.items()))


def parameters_by_name(directive: Directive) -> Blocks:
    """`.. parameters-by-name:: module:name`: the same for all of a dictionary of schemas, a part of the page each."""
    found = {name: schema for name, schema in named(directive.argument).items() if schema}
    return tuple(block for name in found for block in (
        Heading(2, plain(name)), *parameters(Directive("", f"{directive.argument} {name}", ()))))


def _parameter(item: ParamType) -> str:
    return f"{bold(item.name)} ({item.kind.value.removeprefix('maybe-')}, default {plain(_default(item))})"


def _default(item: ParamType) -> str:
    return f"{item.default} MiB" if item.kind is Kind.SIZE else _value(item.default)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else "empty" if value == "" else str(value)


def _meaning(item: ParamType) -> str:
    starts_with_value = item.help.partition(" ")[0] in item.choices
    text = sentence(plain(item.help if starts_with_value else item.help[:1].upper() + item.help[1:]))
    return f"{text} One of {plain(', '.join(map(_value, item.choices)))}." if item.choices else text


# --- query fields -----------------------------------------------------------------------------------------

def fields(directive: Directive) -> Blocks:
    """`.. fields:: RESOURCE`; of numbered fields, and of those that only pass a parameter on, the form is shown."""
    shown: dict[str, str] = {}
    for name, field in RESOURCES[directive.argument].fields.items():
        kind, _, rest = name.partition("/")
        if _NUMBERED.search(name):
            shown.setdefault(_NUMBERED.sub("/N", name), re.sub(r"\b0\b", "N", field.doc))
        elif rest and field.doc.endswith(f" {rest}"):
            shown.setdefault(f"{kind}/NAME", field.doc.removesuffix(rest) + "NAME")
        else:
            shown[name] = field.doc
    return tuple(Item(bold(name), (Paragraph(sentence(plain(doc))),)) for name, doc in sorted(shown.items()))


# --- files ------------------------------------------------------------------------------------------------

def files(directive: Directive) -> Blocks:
    """`.. files::`: all of lib/paths.py by path, with its docstrings, or the notes under the same names."""
    notes, here = directive.notes(), Paths(Path("/"))
    found = {name: value for name, value in vars(Paths).items() if isinstance(value, cached_property)}
    if notes.keys() - found.keys():
        raise BadSource(f"lib/paths.py has no {', '.join(sorted(notes.keys() - found.keys()))}")
    items = {}
    for name, value in found.items():
        place = getattr(here, name)
        shown = ", ".join(map(str, place if isinstance(place, tuple) else (place,)))
        text = sentence(plain(" ".join((value.__doc__ or "").split())))
        items[shown] = Item(bold(shown), notes.get(name) or ((Paragraph(text),) if text else ()))
    return tuple(items[shown] for shown in sorted(items))


# --- ports ------------------------------------------------------------------------------------------------

def ports(_directive: Directive) -> Blocks:
    """`.. ports::`: TCP ports of lib/constants.py."""
    return (Item(bold(str(constants.NODED_PORT)), (Paragraph("**gnt-noded**, on every node."),)),
            Item(bold(str(constants.RAPI_PORT)), (Paragraph("The REST interface, on the master."),)),
            Item(bold(f"{constants.FIRST_PORT}-{constants.LAST_PORT}"),
                 (Paragraph("VNC and SPICE screens, and DRBD."),)))


# --- errors -----------------------------------------------------------------------------------------------

def own_errors() -> list[type[Error]]:
    """All classes of lib/errors.py, the tree's root first."""
    return [Error, *(cls for cls in errors.BY_NAME.values() if cls.__module__ == errors.__name__)]


def error_list(directive: Directive) -> Blocks:
    """`.. errors::`, with notes on what the classes mean and what to do."""
    notes, known = directive.notes(), own_errors()
    strangers = notes.keys() - {cls.__name__ for cls in known}
    if strangers:
        raise BadSource(f"there are no errors {', '.join(sorted(strangers))}")
    return tuple(Item(_error(cls), notes.get(cls.__name__) or (Paragraph(plain(cls.text)),)) for cls in known)


def _error(cls: type[Error]) -> str:
    code = getattr(cls, "code", "")
    wire = f"{cls.wire_name} {code}".strip()
    again = ", may pass by itself" if cls.may_pass else ""
    return f"{bold(cls.__name__)} (exit {cls.exit_status}, HTTP {cls.http_status}, {plain(wire)}{again})"


DIRECTIVES: dict[str, Callable[[Directive], Blocks]] = {
    "commands": commands, "common-options": common_options, "options": options, "parameters": parameters,
    "parameters-by-name": parameters_by_name, "fields": fields, "files": files, "ports": ports, "errors": error_list,
}
