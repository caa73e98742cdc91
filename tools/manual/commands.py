# SPDX-License-Identifier: BSD-2-Clause
"""The commands of a gnt-* program, from the tables that make its parsers."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

from gantry import cmdlib
from gantry.cli import build, programs
from gantry.cli.declare import Command, Option
from gantry.cmdlib.base import LogicalUnit
from manual.blocks import Block, Blocks, Directive, Heading, Item, Paragraph, bold, italic, plain
from manual.rst import BadSource

_SEVERAL = ("append", "device", "idents")
_HELP = Option(("-h", "--help"), "flag", "Show the usage and the options of the command")
_REFUSED = "The master daemon of this version refuses this command: the operation behind it is not there yet."


def commands(directive: Directive) -> Blocks:
    """`.. commands:: PROGRAM`; its notes are put after the summaries of the commands they name."""
    program, notes = directive.argument, directive.notes()
    table = programs.commands(program)
    if notes.keys() - table.keys():
        raise BadSource(f"{program} has no commands {', '.join(sorted(notes.keys() - table.keys()))}")
    return tuple(block for name in sorted(table)
                 for block in _command(program, name, table[name], notes.get(name, ())))


def _command(program: str, name: str, command: Command, notes: Blocks) -> Iterator[Block]:
    fields = build.opcode_fields(command)
    yield Heading(2, plain(name))
    yield Paragraph(usage(program, name, command))
    yield Paragraph(sentence(plain(build.summary(command))) + "".join(_aliases(program, name)) + _columns(command))
    yield from notes
    if command.opcode and not _has_unit(build.opcode_class(command).OP_ID):
        yield Paragraph(_REFUSED)
    for option in command.options:
        yield described(build.completed(option, fields))
    yield Paragraph("Common options: " + ", ".join(bold(option.flags[-1]) for option in shared(command)) + ".")


def usage(program: str, name: str, command: Command) -> str:
    """Program and command in bold, what is to be filled in in italics."""
    words = re.sub(r"[A-Z][A-Z-]*", lambda match: italic(match[0]), plain(command.args))
    return f"{bold(f'{program} {name}')} [*OPTIONS*] {words}".rstrip()


def _aliases(program: str, name: str) -> Iterator[str]:
    for alias, target in programs.ALIASES.get(program, {}).items():
        if target == name:
            yield f" {bold(alias)} is another name for it."


def _columns(command: Command) -> str:
    usual = getattr(command.data, "fields", "")
    return f" Usual columns: {plain(usual.replace(',', ', '))}." if isinstance(usual, str) and usual else ""


def _has_unit(op_id: str) -> bool:
    for module in pkgutil.iter_modules(cmdlib.__path__):
        importlib.import_module(f"{cmdlib.__name__}.{module.name}")
    return op_id in LogicalUnit.registry


def described(option: Option) -> Item:
    """An option with its argument and its meaning."""
    names = ", ".join(bold(name) for name in option.flags)
    if option.kind not in ("flag", "count"):
        glue = "=" if option.flags[-1].startswith("--") else " "
        names += glue + italic(option.metavar or option.dest.upper())
    text = sentence(plain(option.help))
    if option.kind.startswith("choice:"):
        text += f" One of {plain(', '.join(option.kind.removeprefix('choice:').split('|')))}."
    if option.kind in _SEVERAL and "repeated" not in text:
        text += " May be repeated."
    return Item(names, (Paragraph(text),))


def shared(command: Command) -> tuple[Option, ...]:
    """Options that the command has in common with others."""
    return tuple(option for option in build.all_options(command) if option not in command.options)


def common_options(directive: Directive) -> Blocks:
    """`.. common-options:: PROGRAM`: all that `shared` gives for its commands, once."""
    table = programs.commands(directive.argument)
    found = dict.fromkeys(option for name in sorted(table) for option in shared(table[name]))
    return tuple(described(option) for option in (_HELP, *sorted(found, key=lambda option: option.dest)))


def sentence(text: str) -> str:
    """With a full stop, whatever it had."""
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?", ":")) else f"{text}."
