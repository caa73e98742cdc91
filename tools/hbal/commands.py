# SPDX-License-Identifier: BSD-2-Clause
"""Steps as commands for an operator to run: a list, or a shell script that can be stopped."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hbal.core.arrays import State
from hbal.core.moves import Kind, Step

HEAD = """\
#!/bin/sh

# Auto-generated script for executing cluster rebalancing

# To stop, touch the file {stop}

set -e

check() {{
  if [ -f {stop} ]; then
    echo 'Stop requested, exiting'
    exit 0
  fi
}}

"""


def job_commands(step: Step, state: State, *, whole_names: bool = False) -> list[str]:
    """The commands of one step, in order."""
    instance = state.instances[step.move.instance]
    name = instance.name if whole_names else instance.alias
    verb = "migrate" if instance.running else "failover"
    target = state.nodes[step.move.target].alias if step.move.target >= 0 else ""
    swap, replace = f"{verb} -f {name}", f"replace-disks -n {target} {name}"
    parts = {
        Kind.FAILOVER: [swap],
        Kind.REPLACE: [replace],
        Kind.REPLACE_FAILOVER: [replace, swap],
        Kind.FAILOVER_REPLACE_FAILOVER: [swap, replace, swap],
        Kind.FAILOVER_REPLACE: [swap, replace],
        Kind.FAILOVER_ANY: [f"{verb} -f -n {target} {name}"],
    }[step.move.kind]
    return [f"gnt-instance {part}" for part in parts]


def lines(sets: Sequence[Sequence[Step]], state: State, *, whole_names: bool = False) -> Iterator[str]:
    """All sets with their jobs, each job with a line `check` in front; instances by alias or by their whole names."""
    for number, jobs in enumerate(sets, 1):
        yield ""
        yield f"echo jobset {number}, {len(jobs)} jobs"
        for place, step in enumerate(jobs, 1):
            yield f"  echo job {number}/{place}"
            yield "  check"
            yield from (f"  {command}" for command in job_commands(step, state, whole_names=whole_names))


def listing(lines: Iterable[str]) -> str:
    """For the screen: indented, without the checks."""
    return "\n".join(f"  {line}" for line in lines if line != "  check")


STOP = Path(tempfile.gettempdir()) / "stop-htools"
"""The file that makes a script stop."""


def script(lines: Iterable[str]) -> str:
    """A file that a shell runs."""
    return HEAD.format(stop=STOP) + "".join(f"{line}\n" for line in lines)
