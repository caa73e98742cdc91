# SPDX-License-Identifier: BSD-2-Clause
"""gnt-rapi-token: bearer tokens of the remote API, and hashes for its users file.  For the master."""

import argparse
import datetime
import getpass
import sys
from collections.abc import Sequence

from gantry import paths
from gantry.errors import Error, WrongInput
from gantry.rapi import passwords
from gantry.rapi.tokens import ROLES, TokenFile
from gantry.utils import clock


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="gnt-rapi-token", description="Bearer tokens of the remote API.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = commands.add_parser("add", help="make a token and print it; it is shown this once")
    add.add_argument("name", help="whose it is, for logs")
    add.add_argument("--role", choices=ROLES, default="read", help="what it may (default: %(default)s)")
    add.add_argument("--days", type=float, metavar="N", help="how long it is good for (default: for ever)")
    commands.add_parser("list", help="show all tokens, but for their secrets")
    revoke = commands.add_parser("revoke", help="make a token worthless, at once")
    revoke.add_argument("id", help="as `list` shows it")
    commands.add_parser("hash", help="ask for a password (or read it from standard input) and print the form "
                        "of it that should stand in the users file")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        lines = COMMANDS[options.command](options)
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    except (Error, OSError) as err:
        sys.stderr.write(f"gnt-rapi-token: {err}\n")
        return err.exit_status if isinstance(err, Error) else 1
    return 0


def _file() -> TokenFile:
    return TokenFile(paths.here().rapi_tokens)


def _add(options: argparse.Namespace) -> list[str]:
    return [_file().add(options.name, options.role, options.days)]


def _list(options: argparse.Namespace) -> list[str]:
    rows = [("ID", "Name", "Role", "Created", "Expires")]
    now = clock.epoch()
    for token in sorted(_file().read().values(), key=lambda token: token.created):
        expires = "never" if token.expires is None else _date(token.expires)
        rows.append((token.id, token.name, token.role, _date(token.created),
                     expires if token.valid(now) else f"{expires} (expired)"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def _revoke(options: argparse.Namespace) -> list[str]:
    _file().revoke(options.id)
    return []


def _hash(options: argparse.Namespace) -> list[str]:
    """A password is never an argument: everybody on this machine can read those."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Again: ") != password:
            raise WrongInput(detail="the two are not the same")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise WrongInput(detail="the password is empty")
    return [passwords.make(password)]


COMMANDS = {"add": _add, "list": _list, "revoke": _revoke, "hash": _hash}

if __name__ == "__main__":
    sys.exit(main())
