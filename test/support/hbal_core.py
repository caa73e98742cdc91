# SPDX-License-Identifier: BSD-2-Clause
"""States to search, from random cases, as the program would make them."""

from pathlib import Path

from hbal.core.arrays import State, build
from hbal.core.greedy import Stop
from hbal.core.moves import Restrictions
from hbal.load import options as command_line
from hbal.load import source
from hbal.load.options import Options
from hbal.programs.hbal import PROGRAM, choose, restrictions
from support import hbal_unbalanced
from support.hbal_unbalanced import Case


def write(case: Case, folder: Path) -> tuple[str, ...]:
    """The case as files; returns the arguments for hbal."""
    data = folder / "case.data"
    data.write_text(case.text)
    loads: tuple[str, ...] = ()
    if case.loads is not None:
        (folder / "case.loads").write_text(case.loads)
        loads = ("-U", str(folder / "case.loads"))
    return ("-t", str(data), *loads, *case.options)


def parsed(arguments: tuple[str, ...]) -> Options:
    options, _, _ = command_line.parse(PROGRAM.options, arguments)
    options.verbosity = 0
    return options


def state(options: Options, *, old_rule: bool = False) -> State:
    data = source.load(options)
    return build(data, choose(data, options.group), old_rule=old_rule)


def stop(options: Options) -> Stop:
    return Stop(options.min_score, options.min_gain, options.min_gain_limit, options.max_length)


def drawn(seed: int, folder: Path, *, on: str = "", off: str = "") -> tuple[State, Restrictions]:
    """The state of a seed and the restrictions of its options; features by name, separated by blanks."""
    case = hbal_unbalanced.case(seed, on=frozenset(on.split()), off=frozenset(off.split()))
    options = parsed(write(case, folder))
    return state(options), restrictions(options)
