# SPDX-License-Identifier: BSD-2-Clause
"""What every program does alike: options, help, errors and exit codes."""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hbal import RELEASE
from hbal.errors import BadOption, BadValue, Error
from hbal.load.options import Options, completion, parse, usage

ENDING = ("version", "help", "help-completion")


class Program(NamedTuple):
    """A program: its name, its options (`names` as in the option table), and whether it takes arguments; `complete`
    says to a shell's completion what they are, at least and at most how many.
    """

    name: str
    names: tuple[str, ...]
    arguments: bool = False
    complete: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        return (*self.names, *ENDING)


RARELY = 100_000
"""New objects between two looks for garbage: loading libraries makes many and leaves none."""


def run(program: Program, body: Callable[[Options, list[str]], int], argv: Sequence[str] | None) -> int:
    """Parse the command line, run `body(options, arguments)`, and return the exit code; errors go to stderr.

    Without `argv` the process is the program's own, and ends with it.
    """
    if argv is not None:
        return _code(program, body, argv)
    gc.set_threshold(RARELY)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: nobody wants to see it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - open until the program ends
    code = _code(program, body, sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # all is written; taking every module down again costs more than some of these programs do


def _code(program: Program, body: Callable[[Options, list[str]], int], argv: Sequence[str]) -> int:
    try:
        try:
            return _run(program, body, argv)
        finally:
            sys.stdout.flush()  # what was found before an error is worth something
    except BadOption as err:
        said, code = f"Command line error: {err}\n\n{usage(program.name, RELEASE, program.options)}", err.exit_code
    except BadValue as err:
        said, code = f"Error while parsing command line arguments:\n{err}", err.exit_code
    except Error as err:
        said, code = f"Error: {err}", err.exit_code
    except OSError as err:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of the output goes nowhere
        said, code = f"Error: the output cannot be written: {err.strerror}", 1
        if isinstance(err, BrokenPipeError):  # the reader has seen enough
            return code
    except KeyboardInterrupt:
        said, code = "Interrupted.", 130
    print(said, file=sys.stderr)
    return code


def _run(program: Program, body: Callable[[Options, list[str]], int], argv: Sequence[str]) -> int:
    options, arguments, asked = parse(program.options, argv)
    if asked:
        print(_answer(program, asked))
        return 0
    if arguments and not program.arguments:
        raise Error("This program doesn't take any arguments.")
    return body(options, arguments)


def _answer(program: Program, asked: Sequence[str]) -> str:
    if "help" in asked:
        return usage(program.name, RELEASE, program.options)
    if "version" in asked:
        import platform

        return (f"{program.name} (ganeti) version {RELEASE}\n"
                f"compiled with {platform.python_implementation().lower()} {platform.python_version()}\n"
                f"running on {sys.platform} {platform.machine()}")
    return "\n".join(filter(None, (completion(program.options), program.complete)))
