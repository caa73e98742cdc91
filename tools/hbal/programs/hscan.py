# SPDX-License-Identifier: BSD-2-Clause
"""hscan: save the data of clusters to text files, and say in a line each how they are."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hbal import figures, output
from hbal.errors import LoadError
from hbal.load import luxi, rapi, text
from hbal.load.options import QUERY_SOCKET, Options
from hbal.load.prepare import Wishes, prepare
from hbal.model import ClusterData
from hbal.programs.common import Program, run

PROGRAM = Program("hscan", (
    "print-nodes", "output-dir", "luxi", "verbose", "no-headers", "static-kvm-node-memory"), arguments=True,
    complete="host 0 none")
LOCAL = "LOCAL"
FAILED = 2
HEADERS = ("Nodes", "Inst", "BNode", "BInst", "t_mem", "f_mem", "t_disk", "f_disk", "Score")
WIDTHS = (5, 5, 5, 5, 6, 6, 6, 6, 10)


def main(argv: Sequence[str] | None = None) -> int:
    return run(PROGRAM, scan, argv)


def scan(options: Options, addresses: Sequence[str]) -> int:
    """Scan each address, or the cluster of this machine where none is given; 2 when one of them failed."""
    names = [rapi.visible(address) for address in addresses] or [LOCAL]
    width = max(map(len, names))
    if not options.no_headers:
        print(" ".join((f"{'Name':<{width}}", *map(str.rjust, HEADERS, WIDTHS))))
    failed = False
    for index, name in enumerate(names):
        sys.stdout.flush()
        try:
            data = rapi.load(addresses[index]) if addresses else luxi.load(options.luxi or QUERY_SOCKET)
            _show(prepare(data, Wishes(kvm_memory=options.static_kvm_node_memory)), name, width, options)
        except LoadError as err:
            failed = True
            print(f"\nError for {name}: failed to load data. Details:\n{err.detail}", file=sys.stderr)
    return FAILED if failed else 0


def _show(data: ClusterData, name: str, width: int, options: Options) -> None:
    nodes = figures.figures(data)
    print(f"{name:<{width}} {summary(data, nodes)}")
    if options.print_nodes is not None:
        print(output.node_table(nodes, options.print_nodes), end="")
    text.save(data, str(Path(options.output_dir) / f"{name.replace('/', '_')}.data"))


def summary(data: ClusterData, nodes: Sequence[figures.NodeFigures]) -> str:
    """Counts, memory (MiB), disk (GiB) and score; nodes and instances that fail N+1 count as bad."""
    bad, unsafe = figures.failing(nodes)
    cells = (
        str(len(data.nodes)), str(len(data.instances)), str(len(bad)), str(len(unsafe)),
        output.fixed(sum(node.total_memory for node in data.nodes), 0),
        str(sum(node.free_memory for node in data.nodes)),
        output.fixed(sum(node.total_disk for node in data.nodes) / 1024, 0),
        str(sum(node.free_disk for node in data.nodes) // 1024),
        output.fixed(figures.score(figures.metrics(data, nodes)), 8))
    return " ".join(map(str.rjust, cells, (*WIDTHS[:-1], 0)))
