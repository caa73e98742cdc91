# SPDX-License-Identifier: BSD-2-Clause
"""What every program does alike: options, help, errors and exit codes."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hbal import RELEASE
from hbal.errors import BadOption, BadValue, Error
from hbal.load.options import Options, completion, parse, usage

ENDING = ("version", "help", "help-completion")


@dataclass(frozen=True, slots=True)
class Program:
    """A program: its name, its options (`names` as in the option table), and whether it takes arguments."""

    name: str
    names: tuple[str, ...]
    arguments: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        return (*self.names, *ENDING)


def run(program: Program, body: Callable[[Options, list[str]], int], argv: Sequence[str] | None) -> int:
    """Parse the command line, run `body(options, arguments)`, and return the exit code; errors go to stderr."""
    try:
        return _run(program, body, sys.argv[1:] if argv is None else argv)
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
