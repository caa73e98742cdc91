# SPDX-License-Identifier: BSD-2-Clause
"""hail: answers an iallocator request in a file, on one line of JSON.

numpy is loaded when there is something to find.
"""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hbal import output
from hbal.errors import Error, LoadError
from hbal.load import iallocator, source, text
from hbal.load.options import Options
from hbal.model import ClusterData
from hbal.programs.common import Program, run

if TYPE_CHECKING:
    from hbal.alloc.requests import Task

PROGRAM = Program("hail", (
    "print-nodes", "save", "text-data", "simulate", "verbose", "ignore-dynu", "ignore-soft-errors",
    "no-capacity-checks", "restrict-allocation-to", "mond", "mond-xen", "static-kvm-node-memory"), arguments=True,
    complete="file 1 1")


def main(argv: Sequence[str] | None = None) -> int:
    return run(PROGRAM, reply, argv)


def reply(options: Options, arguments: Sequence[str]) -> int:
    """Print the reply; 0 whenever there is one, be it a refusal."""
    if not arguments:
        raise Error("This program needs an input file.")
    if len(arguments) > 1:
        raise Error("Only one argument is accepted (the input file)")
    try:
        task = understood(arguments[0], options)
    except LoadError as err:
        raise Error(err.detail) from err
    _say_request(task, options)
    _show("Initial", task.data, options)
    _save(task.data, "pre", "before", options)

    from hbal.alloc.requests import written
    from hbal.core.after import applied

    answer, after = written(task)
    final = task.data if after is None else applied(after)
    _show("Final", final, options)
    _save(final, "post", "after", options)
    sentence, _, reasons = answer["info"].partition("\n")
    if reasons:
        print(reasons, file=sys.stderr)
    print(json.dumps({**answer, "info": sentence}, separators=(",", ":"), ensure_ascii=False))
    return 0


def understood(path: str, options: Options) -> "Task":
    """The request in the file, on the cluster that comes with it or on the one that the options name."""
    message = iallocator.read(path)
    message.object("request")
    elsewhere = options.text_data is not None or options.simulate
    data = source.read(options) if elsewhere else iallocator.cluster(message)

    from hbal.alloc import requests

    request = iallocator.request(message, data)
    return requests.Task(source.finish(data, options), request, requests.of_options(options),
                         verbose=options.verbosity > 1)


def _say_request(task: "Task", options: Options) -> None:
    if options.verbosity > 1:
        print(f"Received request: {task.request}", file=sys.stderr)
    if options.verbosity > 2:
        print(f"Received cluster data: {task.data}", file=sys.stderr)


def _show(when: str, data: ClusterData, options: Options) -> None:
    if options.print_nodes is not None:
        from hbal import figures

        print(output.node_list(f"{when} cluster", figures.figures(data), options.print_nodes), file=sys.stderr)


def _save(data: ClusterData, suffix: str, when: str, options: Options) -> None:
    if options.save is None:
        return
    path = f"{options.save}.{suffix}-ialloc"
    try:
        text.save(data, path)
    except OSError as err:
        raise Error(f"Cannot write the state of the cluster to '{path}': {err.strerror}") from err
    print(f"The cluster state {when} iallocator run has been written to file '{path}'", file=sys.stderr)
