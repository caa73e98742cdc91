# SPDX-License-Identifier: BSD-2-Clause
"""Where every program begins."""

import os
import sys
from pathlib import Path

from . import drbd, lvm
from .state import Refused, World, node


def main(program: str, folder: str) -> None:
    root, argv, world = os.environ.get("GANTRY_ROOT", ""), sys.argv[1:], World(Path(folder))
    if not root:
        sys.exit("fakedisks: GANTRY_ROOT is not set")
    if program == "drbdsetup" and argv[:1] == ["events2"] and "--now" not in argv:
        drbd.tell(world, root)
        return
    try:
        text = execute(world, root, program, argv)
    except Refused as err:
        print(err, file=sys.stderr)
        sys.exit(err.status)
    print(text, end="" if text.endswith("\n") or not text else "\n")


def execute(world: World, root: str, program: str, argv: list[str]) -> str:
    """What the program prints; raises Refused."""
    with world.changing() as state:
        one = node(state, root)
        if program in lvm.PROGRAMS:
            return lvm.PROGRAMS[program](one, root, argv)
        return drbd.PROGRAMS[program](state, root, argv)


def options(argv: list[str], known: set[str]) -> tuple[dict[str, str], list[str]]:
    """`--name value` or `--name=value` of those in `known` (flags end in !), and the rest; others are refused."""
    found, rest, words = {}, [], list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            rest.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if name + "!" in known:
            found[name] = "yes"
        elif name in known:
            found[name] = value if equals else words.pop(0)
        else:
            raise Refused(3, f"unrecognised option '{word}'")
    return found, rest
