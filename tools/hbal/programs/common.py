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
    """A program: its name, its options (`names` as in the option table), and whether it takes arguments."""

    name: str
    names: tuple[str, ...]
    arguments: bool = False

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
    code = _code(program, body, sys.argv[1:])
    gc.freeze()  # nobody needs to look for garbage among what is left
    return code


def _code(program: Program, body: Callable[[Options, list[str]], int], argv: Sequence[str]) -> int:
    try:
        return _run(program, body, argv)
    except BadOption as err:
        print(f"Command line error: {err}\n\n{usage(program.name, RELEASE, program.options)}", file=sys.stderr)
        return err.exit_code
    except BadValue as err:
        print(f"Error while parsing command line arguments:\n{err}", file=sys.stderr)
        return err.exit_code
    except Error as err:
        print(f"Error: {err}", file=sys.stderr)
        return err.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def _run(program: Program, body: Callable[[Options, list[str]], int], argv: Sequence[str]) -> int:
    options, arguments, asked = parse(program.options, argv)
    if asked:
        print(_answer(program, asked))
        return 0
    if arguments and not program.arguments:
        raise Error("This program doesn't take any arguments.")
    code = body(options, arguments)
    sys.stdout.flush()
    return code


def _answer(program: Program, asked: Sequence[str]) -> str:
    if "help" in asked:
        return usage(program.name, RELEASE, program.options)
    if "version" in asked:
        import platform

        return (f"{program.name} (ganeti) version {RELEASE}\n"
                f"compiled with {platform.python_implementation().lower()} {platform.python_version()}\n"
                f"running on {sys.platform} {platform.machine()}")
    return completion(program.options)
