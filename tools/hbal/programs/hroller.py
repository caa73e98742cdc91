# SPDX-License-Identifier: BSD-2-Clause
"""hroller: sets of nodes that can be rebooted together, in a good order."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hbal.errors import Error
from hbal.load import source, text
from hbal.load.options import Options
from hbal.maintenance import colouring
from hbal.model import ClusterData, Template
from hbal.programs.common import Program, run

if TYPE_CHECKING:
    from hbal.maintenance.reboots import Reboot

PROGRAM = Program("hroller", (
    "text-data", "master", "luxi", "ialloc-src", "offline", "verbose", "quiet", "save", "group", "force",
    "full-evacuation", "skip-non-redundant", "ignore-non-redundant", "offline-maintenance", "one-step-only",
    "print-moves", "no-headers", "node-tags", "static-kvm-node-memory"))


def main(argv: Sequence[str] | None = None) -> int:
    return run(PROGRAM, plan, argv)


def plan(options: Options, arguments: Sequence[str]) -> int:
    """Print the sets."""
    del arguments
    data = source.load(options)
    master = _master(data, force=options.force)
    chosen = _chosen(data, options)
    if options.save is not None:
        _save(data, options.save)
    if not chosen:
        raise Error("Cannot create node graph")
    graph = colouring.graph(data, chosen, offline_maintenance=options.offline_maintenance)
    if options.verbosity > 2:
        print(f"Node Graph: {_shown(graph)}")
    classes, tried = colouring.best(graph)
    reboots = _in_order(_sets(data, classes, options), master)
    if options.verbosity > 1:
        print(colouring.statistics(tried))
    sys.stdout.write("".join(f"{line}\n" for line in _lines(data, reboots, options)))
    return 0


def _master(data: ClusterData, *, force: bool) -> int | None:
    masters = [index for index, node in enumerate(data.nodes) if node.master]
    if len(masters) > 1:
        names = ",".join(f'"{data.nodes[index].name}"' for index in masters)
        raise Error(f"Found more than one master node: [{names}]")
    if masters:
        return masters[0]
    if not force:
        raise Error("No master node found (maybe not supported by backend).")
    print("Warning: No master node found (maybe not supported by backend).", file=sys.stderr)
    return None


def _chosen(data: ClusterData, options: Options) -> list[int]:
    """The nodes that are online and pass the filters."""
    group = None
    if options.group is not None:
        found = [index for index, one in enumerate(data.groups) if options.group in (one.name, one.uuid)]
        if not found:
            names = "\n".join(f"  {one.name}" for one in data.groups)
            print(f"Node group {options.group} not found. Node group list is:\n{names}", file=sys.stderr)
            raise Error("Aborting.")
        group = found[0]
    single = {instance.primary for instance in data.instances if instance.template is not Template.DRBD}
    wanted = None if options.node_tags is None else set(options.node_tags)
    return [index for index, node in enumerate(data.nodes)
            if not node.offline and (group is None or node.group == group)
            and not (options.skip_non_redundant and index in single)
            and (wanted is None or wanted & set(node.tags))]


def _sets(data: ClusterData, classes: list[list[int]], options: Options) -> "list[Reboot]":
    """The classes, split so that the guests that have to move find room."""
    from hbal.core.arrays import build
    from hbal.maintenance import reboots

    state = build(data)
    way = reboots.without_moves if options.ignore_non_redundant else reboots.with_primaries
    found = [one for nodes in classes for one in way(state, nodes)]
    if options.full_evacuation:
        return [part for one in [*map(reboots.migrated, found)] for part in reboots.fully(one)]
    return found


def _in_order(found: "list[Reboot]", master: int | None) -> "list[Reboot]":
    """Large sets first; the one with the master last, and the master last in it."""
    from hbal.maintenance.reboots import Reboot

    ordered = sorted(found, key=lambda one: (master in one.nodes, -len(one.nodes)))
    return [Reboot(sorted(one.nodes, key=lambda node: node == master), one.guests) for one in ordered]


def _lines(data: ClusterData, found: "list[Reboot]", options: Options) -> Iterator[str]:
    def names(nodes: Sequence[int]) -> list[str]:
        return [data.nodes[node].name for node in nodes]

    if not options.no_headers:
        yield "'First Reboot Group'" if options.one_step_only else "'Node Reboot Groups'"
    for one in found[:1] if options.one_step_only else found:
        yield from names(one.nodes) if options.one_step_only else [",".join(names(one.nodes))]
        if options.print_moves:
            yield from _moves(data, one)


def _moves(data: ClusterData, one: "Reboot") -> Iterator[str]:
    """The instances that really change nodes; two that change roles do not."""
    state = one.guests.state
    for index, instance in enumerate(data.instances):
        before = [node for node in (instance.primary, instance.secondary) if node >= 0]
        after = [int(node) for node in (state.primary[index], state.secondary[index]) if node < state.count]
        if sorted(before) != sorted(after):
            yield "  " + " ".join([instance.name, *(data.nodes[node].name for node in after)])


def _shown(graph: colouring.Graph) -> str:
    first, last = min(graph), max(graph)
    rows = ",".join(f"({node},[{','.join(map(str, reversed(graph.get(node, []))))}])"
                    for node in range(first, last + 1))
    return f"array ({first},{last}) [{rows}]"


def _save(data: ClusterData, prefix: str) -> None:
    path = f"{prefix}.original"
    try:
        text.save(data, path)
    except OSError as err:
        raise Error(f"Cannot write the state of the cluster to '{path}': {err.strerror}") from err
    print(f"The cluster state before hroller run has been written to file '{path}'", file=sys.stderr)
