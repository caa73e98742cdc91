# SPDX-License-Identifier: BSD-2-Clause
"""hsqueeze: nodes to switch off while there is little to do, and on again when there is more."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hbal.errors import Error
from hbal.load import source, text
from hbal.load.options import Options
from hbal.model import ClusterData
from hbal.programs.common import Program, run

if TYPE_CHECKING:
    from hbal.jobs import Caller, Opcode
    from hbal.maintenance.squeeze import Outcome

PROGRAM = Program("hsqueeze", (
    "luxi", "text-data", "exec", "minimal-resources", "target-resources", "save", "print-commands", "verbose",
    "no-headers", "static-kvm-node-memory"))


def main(argv: Sequence[str] | None = None) -> int:
    return run(PROGRAM, squeeze, argv)


def squeeze(options: Options, arguments: Sequence[str]) -> int:
    """Print, and if asked do, what should be done to nodes."""
    del arguments
    if options.execute and options.luxi is None:
        raise Error("hsqueeze: Execution of commands possible only on LUXI")
    data = source.load(options)
    from hbal.core.arrays import build
    from hbal.maintenance import squeeze as core

    leaving, coming = core.offline_candidates(data), core.online_candidates(data)
    loud = options.verbosity > 1
    if loud:
        print(f"Offline candidates: {','.join(_names(data, leaving))}")
        print(f"Online candidates: {','.join(_names(data, coming))}")
    _save(data, "original", "before hsqueeze run", options)
    online, suffices = not core.roomy(build(data), options.minimal_resources), True
    if online:
        outcome, suffices = core.to_online(data, coming, options.minimal_resources)
        header = "Nodes to online"
    else:
        outcome = core.to_offline(data, leaving, options.target_resources)
        header = "Nodes to offline" if outcome.nodes else "No action"
    if not options.no_headers:
        print(f"'{header}'")
    for name in _names(data, outcome.nodes):
        print(name)
    if loud and not suffices:
        print("Onlining all nodes will not yield enough capacity")
    _commands(data, outcome, options, online=online)
    from hbal.core.after import applied

    done = "expansion" if online else "run" if outcome.nodes else "doing nothing"
    _save(applied(outcome.state), "squeezed", f"after hsqueeze {done}", options)
    if options.execute and (outcome.nodes or outcome.steps):
        _execute(data, outcome, options, online=online)
    return 0


def _names(data: ClusterData, nodes: Sequence[int]) -> list[str]:
    return [data.nodes[node].name for node in nodes]


def _save(data: ClusterData, suffix: str, when: str, options: Options) -> None:
    if options.save is None:
        return
    path = f"{options.save}.{suffix}"
    try:
        text.save(data, path)
    except OSError as err:
        raise Error(f"Cannot write the state of the cluster to '{path}': {err.strerror}") from err
    sys.stdout.flush()
    print(f"The cluster state {when} has been written to file '{path}'", file=sys.stderr)


def _commands(data: ClusterData, outcome: "Outcome", options: Options, *, online: bool) -> None:
    if options.print_commands is None:
        return
    from hbal.commands import listing, script

    lines = [*_lines(data, outcome, online=online)]
    if options.print_commands:
        try:
            Path(options.print_commands).write_text(script(lines))
        except OSError as err:
            raise Error(f"Cannot write the commands to '{options.print_commands}': {err.strerror}") from err
        print(f"The commands have been written to file '{options.print_commands}'")
        return
    print(f"\nCommands to run:\n{listing(lines)}")


def _lines(data: ClusterData, outcome: "Outcome", *, online: bool) -> Iterator[str]:
    from hbal.commands import lines
    from hbal.core.jobsets import job_sets
    from hbal.maintenance.squeeze import AUTO

    names = [data.nodes[node].alias for node in outcome.nodes]
    moves = [*lines(job_sets(outcome.steps), outcome.state, whole_names=True)]
    if online:
        yield "echo Power Commands"
        yield from (f"  gnt-node power -f on {name}" for name in names)
        yield from moves
    elif names:
        yield from moves
        yield ""
        yield "echo Tagging Commands"
        yield from (f"  gnt-node add-tags {name} {AUTO}" for name in names)
        yield ""
        yield "echo Power Commands"
        yield from (f"  gnt-node power -f off {name}" for name in names)
    else:
        yield "echo Nothing to do"


# --- execution ---------------------------------------------------------------------------------------------------


def _execute(data: ClusterData, outcome: "Outcome", options: Options, *, online: bool) -> None:
    from gantry.errors import Error as ClusterError
    from gantry.luxi.client import Client

    try:
        with Client(options.luxi or None) as client:
            for jobs in _job_sets(data, outcome, online=online):
                _run(client, jobs)
    except (ClusterError, OSError) as err:
        raise Error(f"hsqueeze: {err}") from err


def _job_sets(data: ClusterData, outcome: "Outcome", *, online: bool) -> "Iterator[list[list[Opcode]]]":
    """Sets of jobs, each to be run when the one before has ended."""
    from hbal.core.jobsets import job_sets
    from hbal.execute import opcodes
    from hbal.maintenance.squeeze import AUTO

    names = _names(data, outcome.nodes)
    moves = [[opcodes(step, outcome.state) for step in jobs] for jobs in job_sets(outcome.steps)]
    power = [[{"OP_ID": "OP_OOB_COMMAND", "node_names": [name], "command": f"power-{'on' if online else 'off'}",
               "ignore_status": False}] for name in names]
    offline = [[{"OP_ID": "OP_NODE_SET_PARAMS", "node_name": name, "offline": not online}] for name in names]
    tags = [[{"OP_ID": "OP_TAGS_SET", "kind": "node", "name": name, "tags": [AUTO]}] for name in names]
    for jobs in [offline, power, *moves] if online else [*moves, tags, offline, power]:
        if jobs:
            yield jobs


def _run(client: "Caller", jobs: "list[list[Opcode]]") -> None:
    """Run a set; raises Error when a job did not succeed."""
    from hbal.jobs import Label, submit, wait

    label = Label("hsqueeze", "squeezing via hsqueeze", None, None)
    ids = submit(client, [[label.on(opcode) for opcode in job] for job in jobs])
    print(f"Got job IDs {', '.join(map(str, ids))}", flush=True)
    failed = {job: status for job, status in wait(client, ids, time.sleep).items() if status != "success"}
    if failed:
        raise Error(f"hsqueeze: Not all jobs completed successfully: {failed}\nAborting.")
