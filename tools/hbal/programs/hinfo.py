# SPDX-License-Identifier: BSD-2-Clause
"""hinfo: what a cluster is, how far it is from N+1, and its score.  It only looks and does without numpy."""

import sys
from collections.abc import Sequence

from hbal import figures, output
from hbal.load import source
from hbal.load.options import Options
from hbal.model import ClusterData
from hbal.programs.common import Program, run

PROGRAM = Program("hinfo", (
    "print-nodes", "print-instances", "text-data", "master", "luxi", "ialloc-src", "verbose", "quiet", "offline",
    "ignore-dynu", "mond", "mond-data", "static-kvm-node-memory"))


def main(argv: Sequence[str] | None = None) -> int:
    return run(PROGRAM, show, argv)


def show(options: Options, arguments: Sequence[str]) -> int:
    """Print what the options ask for; the exit code."""
    del arguments
    data = source.load(options)
    nodes = figures.figures(data)
    verbosity = options.verbosity
    print(f"Loaded cluster tags: {','.join(data.tags)}")
    if verbosity > 2:
        print(f"Loaded cluster ipolicy: {output.policy_text(data.policy)}")
    if not data.instances and verbosity > 1:
        print("Cluster is empty.")
    print(", ".join(("Loaded " + output.counted(len(data.nodes), "node"),
                     output.counted(len(data.instances), "instance"),
                     output.counted(len(data.groups), "node group"))))
    if verbosity > 2 and data.common_suffix:
        print(f"Note: Stripping common suffix of '{data.common_suffix}' from names")
    _split(data, verbosity)
    if verbosity > 1:
        print(f"Node group information:\n{_groups(data, nodes)}")
    bad, _ = figures.failing(nodes)
    print(f"Cluster is N+1 {'unhappy' if bad else 'happy'}")
    _lists(data, nodes, options)
    values = figures.metrics(data, nodes)
    print(f"Cluster coefficients:\n{output.coefficients(values)}")
    print(f"Cluster score: {output.fixed(figures.score(values), 8)}")
    return 0


def _split(data: ClusterData, verbosity: int) -> None:
    split = [instance.name for instance in data.instances if data.is_split(instance)]
    if split:
        print("Found instances belonging to multiple node groups:")
        sys.stdout.flush()
        print("\n".join(f"  {name}" for name in split), file=sys.stderr)
    elif verbosity > 1:
        print("No split instances found")


def _groups(data: ClusterData, nodes: Sequence[figures.NodeFigures]) -> str:
    rows = [("Group", "Nodes", "Instances", "Bad_Nodes", "Bad_Instances", "N+1", "Score")]
    counts = [0] * len(data.groups)
    for instance in data.instances:
        counts[data.nodes[instance.primary].group] += 1
    for index, group in enumerate(data.groups):
        own = [one for one in nodes if one.node.group == index]
        if not own:
            continue
        bad, unsafe = figures.failing(own)
        rows.append((group.name, str(len(own)), str(counts[index]), str(len(bad)), str(len(unsafe)),
                     str(not bad), output.fixed(figures.score(figures.metrics(data, own)), 8)))
    return output.table("  ", rows, (False, True, True, True, True, False, True)).removesuffix("\n")


def _lists(data: ClusterData, nodes: Sequence[figures.NodeFigures], options: Options) -> None:
    sys.stdout.flush()
    if options.print_instances:
        print(output.instance_list("Instances", data, range(len(data.instances))), file=sys.stderr, end="")
    if options.print_nodes is not None:
        print(output.node_list("Cluster", nodes, options.print_nodes), file=sys.stderr)
