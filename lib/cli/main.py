# SPDX-License-Identifier: BSD-2-Clause
"""Entry point of every gnt-* program: finds the subcommand, runs it, turns errors into texts and exit statuses."""

import os
import sys
from collections.abc import Sequence

from gantry.cli import build, failures, output, programs
from gantry.cli.commands_log import CommandsLog
from gantry.cli.context import Context
from gantry.cli.declare import Command
from gantry.errors import Error, WrongInput

_LIST_VARIABLES = {"gnt-node": "GNT_NODE_LIST", "gnt-group": "GNT_GROUP_LIST", "gnt-instance": "GNT_INSTANCE_LIST"}
_ABORTED = ("Aborted. Note that if the operation created any jobs, they might have been submitted and will continue "
            "to run in the background.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (program name first); the result is the exit status."""
    program, *args = sys.argv if argv is None else argv
    output.begin()
    try:
        status = _dispatch(os.path.basename(program), args)
        output.flush()
    except output.Lost as err:
        if str(err):  # else the reader of our output has seen enough
            output.error(f"{err}; a job that was submitted goes on")
        return failures.FAILED
    return status


def _dispatch(program: str, args: list[str]) -> int:
    name = args[0] if args else ""
    if name == "--version":
        from gantry import __version__
        from gantry.constants import RELEASE_VERSION

        output.line(f"{program} (ganeti gantry-{__version__}) {RELEASE_VERSION}")
        return 0
    if program not in programs.PROGRAMS:
        output.error(f"{program}: no such program; there are {', '.join(programs.PROGRAMS)}")
        return failures.FAILED
    commands = programs.commands(program)
    name = programs.ALIASES.get(program, {}).get(name, name)
    command = commands.get(name)
    if command is None:
        _overview(program, commands)
        return 0 if name in ("-h", "--help") else failures.FAILED
    return _run(program, name, command, _extra(program, name) + args[1:])


def _extra(program: str, name: str) -> list[str]:
    """Words of the operator's environment that come before the arguments of `list`."""
    variable = _LIST_VARIABLES.get(program) if name == "list" else None
    if variable is None or not os.environ.get(variable):
        return []
    import shlex

    return shlex.split(os.environ[variable])


def _overview(program: str, commands: dict[str, Command]) -> None:
    output.line(f"Usage: {program} COMMAND [OPTIONS] [ARGUMENTS]")
    output.line(f"Each command has a --help of its own; see also man {program}.")
    output.line()
    output.line("Commands:")
    width = max(map(len, commands))
    for name in sorted(commands):
        output.line(f" {name:<{width}} - {build.summary(commands[name])}")


def _require_text(arg: str) -> None:
    try:
        arg.encode()
    except UnicodeEncodeError as err:
        shown = arg.encode(errors="replace").decode()
        raise WrongInput(detail=f"The argument '{shown}' is not text in UTF-8") from err


def _run(program: str, name: str, command: Command, args: list[str]) -> int:
    log = CommandsLog(program, name)
    try:
        for arg in args:
            _require_text(arg)
        options, rest = build.parser(program, name, command).parse_args(args)
        problem = build.arity_problem(name, command, len(rest))
        if problem:
            output.error(problem)
            return failures.FAILED
        log.started(args)
        return programs.runner(command)(Context(program, name, command, options, rest))
    except Error as err:
        log.failed(err)
        status, text = failures.describe(err)
        output.error(text)
        return status
    except KeyboardInterrupt:
        output.error(_ABORTED)
        return failures.FAILED
    except SystemExit as err:  # --help, and wrong options
        return err.code if isinstance(err.code, int) else failures.FAILED
    except output.Lost:
        raise
    except Exception as err:  # noqa: BLE001  # an operator never sees a traceback: it is in commands.log
        import traceback

        log.crashed(traceback.format_exc())
        output.error(f"Unhandled exception: {err or type(err).__name__}")
        return failures.FAILED
