# SPDX-License-Identifier: BSD-2-Clause
"""What balancing costs: CPU seconds of whole programs, from start to end, and without the start (the interpreter and
its libraries, which is most of a short run); and what they reach.

Clusters of four sizes (DRBD, two thirds of the nodes full).  Both methods of hbal; Debian's hbal 3.0.2 beside them
where it is installed, on the smallest cluster (half a minute), with `--original` also on the second (a quarter of an
hour).  The greedy search is left out at the largest size unless `--all` is given: it takes about 11 700 steps and
more than twenty CPU minutes to end at a score of 19.23, where a plan reaches 11.4 in some two minutes.
"""

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer_clusters import cluster

SIZES = ((26, 139), (40, 400), (100, 2000), (1000, 20000))
ORIGINAL = Path("/usr/bin/hbal")
OURS = (sys.executable, "-c", "import sys, time, hbal.core.plan; from hbal.programs.hbal import main;"
        "start = time.process_time(); code = main(); print('started', time.process_time() - start, file=sys.stderr);"
        "sys.exit(code)")
LIMIT = 3600.0
STEP = re.compile(r" a=(.*)$")


@dataclass(frozen=True)
class Run:
    seconds: float
    started: float
    """Seconds without the start, where the program tells."""
    score: float
    steps: int
    copied: int
    """MiB."""


def run(command: Sequence[str], data: Path, disks: dict[str, int]) -> Run:
    """One run of a program; user and system time of the process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, "-t", str(data)], capture_output=True, text=True, check=True, timeout=LIMIT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = re.search(r"^Cluster score improved from \S+ to (\S+)$", done.stdout, re.MULTILINE)
    steps = [line for line in done.stdout.splitlines() if STEP.search(line) and " => " in line]
    copied = sum(disks[line.split()[1]] * STEP.search(line)[1].count("r:") for line in steps)  # type: ignore[index]
    told = re.search(r"^started (\S+)$", done.stderr, re.MULTILINE)
    return Run(seconds, float(told[1]) if told else seconds, float(found[1]) if found else float("nan"),
               len(steps), copied)


def disk_sizes(text: str) -> dict[str, int]:
    rows = (line.split("|") for line in text.splitlines() if line.startswith("inst"))
    return {row[0]: int(row[2]) for row in rows}


def commands(options: argparse.Namespace, place: int) -> Iterator[tuple[str, Sequence[str]]]:
    """What is run at a size, the one to compare with first."""
    original = shutil.which(str(ORIGINAL))
    if original and (place == 0 or (place == 1 and options.original)):
        yield "Debian's hbal", (original,)
    if place < 3 or options.all:
        yield "greedy", OURS
    yield "plan", (*OURS, "--method=plan")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--original", action="store_true", help="run the original on 40/400, too")
    parser.add_argument("--all", action="store_true", help="run the greedy search on 1000/20000, too")
    parser.add_argument("--sizes", type=int, default=len(SIZES), help="only the first so many sizes")
    options = parser.parse_args(argv)
    print(f"{'nodes/inst':>12}  {'program':<14} {'CPU s':>9} {'no start':>9} {'score':>12} {'steps':>6} "
          f"{'TiB copied':>10}  faster, without the start")
    with tempfile.TemporaryDirectory() as folder:
        for place, (nodes, instances) in enumerate(SIZES[:options.sizes]):
            data = Path(folder) / f"{nodes}.data"
            text = cluster(nodes, instances)
            data.write_text(text)
            first: Run | None = None
            for name, command in commands(options, place):
                one = run(command, data, disk_sizes(text))
                first = first or one
                print(f"{f'{nodes}/{instances}':>12}  {name:<14} {one.seconds:9.2f} {one.started:9.2f} "
                      f"{one.score:12.8f} {one.steps:6d} {one.copied / 1024**2:10.2f}  "
                      f"{first.seconds / one.seconds:.0f}x, {first.started / one.started:.0f}x", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
