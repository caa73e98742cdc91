# SPDX-License-Identifier: BSD-2-Clause
"""How a command is declared: its arguments, its options, the opcode it submits.

An option that sets a parameter of the opcode only names it (`param`): its type, help and default are taken
from there.  A command without `run` is derived altogether: it submits its opcode and waits.
"""

from typing import Any, NamedTuple


class Option(NamedTuple):
    """`kind`: flag, str, int, float, size, span, yesno, list, keyval, idents, ident, device, append, choice:A|B;
    empty: as the opcode's parameter says.  `value` is what a flag sets.
    """

    flags: tuple[str, ...]
    kind: str = ""
    help: str = ""
    param: str = ""
    metavar: str = ""
    value: Any = None

    @property
    def dest(self) -> str:
        return next((flag for flag in self.flags if flag.startswith("--")), self.flags[0]).lstrip("-").replace("-", "_")


def opt(*flags: str, param: str = "", kind: str = "", help: str = "", metavar: str = "", value: Any = None) -> Option:
    """An option; see `Option`."""
    return Option(flags, kind, help, param, metavar, value)


def flag(*flags: str, help: str = "", param: str = "") -> Option:
    """A switch without an argument that no parameter describes."""
    return Option(flags, "flag", help, param, "", value=True)


class Command(NamedTuple):
    """A subcommand.

    `args` names the positional arguments as shown in the usage; it also says how many there may be.
    `positional` are the opcode parameters they fill; one that takes a list gets all that are left.
    `sets`: S (--submit, --print-jobid), P (--priority), N (--dry-run), L (the options of lists).
    `run` is `module:function`; the function takes the Context and returns the exit status.
    """

    args: str = ""
    help: str = ""
    options: tuple[Option, ...] = ()
    sets: str = ""
    opcode: str = ""
    positional: tuple[str, ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()
    run: str = "submit:run"
    data: Any = None
    """What `run` needs to know to serve several commands."""

    def arity(self) -> tuple[int, int | None]:
        """Fewest and most positional arguments; None: no limit."""
        low, high = 0, 0
        for word in self.args.split():
            optional = word.startswith("[")
            low += not optional
            if word.rstrip("]").endswith("..."):
                return low, None
            high += 1
        return low, high
