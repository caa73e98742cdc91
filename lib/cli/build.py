# SPDX-License-Identifier: BSD-2-Clause
"""Option parsers out of declarations.

Options end at the first positional argument; long options may be shortened as long as they stay unambiguous.
"""

import optparse
from typing import Any

from gantry.cli import output
from gantry.cli.declare import Command, Option
from gantry.cli.options import EVERYWHERE, SETS
from gantry.errors import WrongInput
from gantry.utils.units import parse_size, parse_span

_FLAGS = ("flag", "count")
_SEVERAL = ("append", "device", "idents")


def _values() -> Any:
    """Imported when the first such value is read: most commands have none."""
    from gantry.cli import values

    return values


def _size(option: optparse.Option, name: str, text: str) -> int:
    try:
        return parse_size(text)
    except WrongInput as err:
        raise optparse.OptionValueError(f"option {name}: {err}") from err


def _span(option: optparse.Option, name: str, text: str) -> int:
    try:
        return parse_span(text)
    except WrongInput as err:
        raise optparse.OptionValueError(f"option {name}: {err}") from err


def _not_negative(option: optparse.Option, name: str, text: str) -> int:
    if not text.isdecimal():
        raise optparse.OptionValueError(f"option {name}: invalid integer value: '{text}'")
    return int(text)


class TypedOption(optparse.Option):
    """An option with our value syntax."""

    TYPES = (*optparse.Option.TYPES, "size", "span", "uint", "yesno", "list", "keyval", "ident")
    TYPE_CHECKER = optparse.Option.TYPE_CHECKER | {
        "size": _size,
        "span": _span,
        "uint": _not_negative,
        "yesno": lambda option, name, text: _values().yes_no(text),
        "list": lambda option, name, text: _values().comma_list(text),
        "keyval": lambda option, name, text: _values().key_values(text, name),
        "ident": lambda option, name, text: _values().ident_key_values(text, name),
    }


class Parser(optparse.OptionParser):
    """`error` is ours so that the usage line comes first, as a hint, and the reason last; help is printed as all
    output is.
    """

    def print_help(self, file: Any = None) -> None:
        del file
        output.line(self.format_help().removesuffix("\n"))

    def error(self, msg: str) -> Any:
        self.print_usage(optparse.sys.stderr)  # type: ignore[attr-defined]  # optparse imports it
        self.exit(2, f"{self.get_prog_name()}: error: {msg}\n")


def all_options(command: Command) -> tuple[Option, ...]:
    """The command's own options and those of its sets."""
    shared = [option for letter in command.sets for option in SETS[letter]]
    own = {name for option in command.options for name in option.flags}
    return (*command.options, *(option for option in shared if not own & set(option.flags)), *EVERYWHERE)


def parser(program: str, name: str, command: Command) -> Parser:
    """The parser of `PROGRAM NAME`."""
    found = Parser(prog=program, usage=f"%prog {name} [OPTIONS] {command.args}".rstrip(),
                   description=summary(command), option_class=TypedOption)
    found.disable_interspersed_args()
    fields = opcode_fields(command)
    for option in all_options(command):
        _add(found, completed(option, fields))
    return found


def summary(command: Command) -> str:
    """One line about the command: its own, or its opcode's."""
    if command.help or not command.opcode:
        return command.help
    return (opcode_class(command).__doc__ or "").split("\n\n")[0].replace("\n    ", " ")


def opcode_class(command: Command) -> Any:
    """The class that `family.Class` names."""
    import importlib

    family, _, name = command.opcode.partition(".")
    return getattr(importlib.import_module(f"gantry.opcodes.{family}"), name)


def opcode_fields(command: Command) -> dict[str, Any]:
    return dict(opcode_class(command).__dataclass_fields__) if command.opcode else {}


def completed(option: Option, fields: dict[str, Any]) -> Option:
    """The option with what its opcode's parameter says about type, help and default."""
    field = fields.get(option.param) if option.param else None
    if field is None:
        return option
    kind = option.kind or _kind_of(field)
    value = option.value
    if kind == "flag" and value is None:
        value = not field.default
    text = option.help or _sentence(field, kind)
    return option._replace(kind=kind, help=text, value=value)


def _kind_of(field: Any) -> str:
    name: str = field.metadata["kind"].name
    if name == "bool":
        return "yesno" if field.default is None else "flag"
    if "|" in name and not name.startswith("[") and " " not in name:  # "IPv4 address|none" is not a list of words
        return f"choice:{name}"
    exact = {"int": "int", "seconds": "float", "float": "float", "size": "size", "dict": "keyval"}
    begins = {"int ": "uint", "[": "list", "{": "idents"}
    return exact.get(name) or next((kind for start, kind in begins.items() if name.startswith(start)), "str")


def _sentence(field: Any, kind: str) -> str:
    text: str = field.metadata["help"]
    text = text[:1].upper() + text[1:]
    shown = isinstance(field.default, (int, float, str)) and not isinstance(field.default, bool)
    if kind != "flag" and shown and field.default != "":
        text += f" (default: {field.default})"
    return text


def _add(found: Parser, option: Option) -> None:
    keywords: dict[str, Any] = {"dest": option.dest, "help": option.help.replace("%", "%%")}
    if option.kind == "flag":
        keywords |= {"action": "store_const", "const": True if option.value is None else option.value}
    elif option.kind == "count":
        keywords |= {"action": "count", "default": 0}
    else:
        keywords["metavar"] = option.metavar or option.dest.upper()
        keywords["action"] = "append" if option.kind in _SEVERAL else "store"
        if option.kind.startswith("choice:"):
            keywords |= {"type": "choice", "choices": option.kind.removeprefix("choice:").split("|")}
        else:
            keywords["type"] = {"append": "string", "str": "string", "device": "ident",
                                "idents": "ident"}.get(option.kind, option.kind)
    found.add_option(*option.flags, **keywords)


def arity_problem(name: str, command: Command, count: int) -> str | None:
    """What is wrong with that number of positional arguments."""
    low, high = command.arity()
    if low <= count and (high is None or count <= high):
        return None
    if high == 0:
        return f"Error: Command {name} expects no arguments"
    if high is None:
        return f"Error: Command {name} expects at least {low} argument(s)"
    if low == high:
        return f"Error: Command {name} expects {low} argument(s)"
    if count > high:
        return f"Error: Command {name} expects only {high} argument(s)"
    return f"Error: Command {name} expects at least {low} argument(s)"
