# SPDX-License-Identifier: BSD-2-Clause
"""What balancing costs: CPU seconds of whole programs, from start to end, and without the start (loading the
interpreter and its libraries, which is most of a short run, taken by itself); and what they reach.  Of short runs
the median of several.

Clusters of four sizes (DRBD, two thirds of the nodes full).  Both methods of hbal; Debian's hbal 3.0.2 beside them
where it is installed, on the smallest cluster (half a minute), with `--original` also on the second (a quarter of an
hour).  The greedy search is left out at the largest size unless `--all` is given: it takes about 11 700 steps and
more than twenty CPU minutes to end at a score of 19.23, where a plan reaches 11.4 in some two minutes.
"""

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer_clusters import cluster

SIZES = ((26, 139), (40, 400), (100, 2000), (1000, 20000))
ORIGINAL = Path("/usr/bin/hbal")
OURS = (sys.executable, "-c", "import sys; from hbal.programs.hbal import main; sys.exit(main())")
START = (sys.executable, "-c", "import gc, os; gc.set_threshold(100_000);"
         "import hbal.programs.hbal, hbal.core.greedy; os._exit(0)")
PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
"""As operators have it: developers' settings cost a write for each line."""
LIMIT = 3600.0
SHORT, REPEATS = 2.0, 7
"""Runs of fewer seconds are repeated so often."""
STEP = re.compile(r" a=(.*)$")


@dataclass(frozen=True)
class Run:
    seconds: float
    started: float
    """Seconds without the start."""
    score: float
    steps: int
    copied: int
    """MiB."""


def timed(command: Sequence[str]) -> tuple[float, str]:
    """User and system time of a program, and what it prints."""
    seconds: list[float] = []
    while not seconds or (seconds[0] < SHORT and len(seconds) < REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT, env=PLAIN)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(seconds), done.stdout


def run(command: Sequence[str], data: Path, disks: dict[str, int]) -> Run:
    """A program on a cluster."""
    seconds, out = timed([*command, "-t", str(data)])
    start = timed(START)[0] if tuple(command[:len(OURS)]) == OURS else 0.0
    found = re.search(r"^Cluster score improved from \S+ to (\S+)$", out, re.MULTILINE)
    steps = [line for line in out.splitlines() if STEP.search(line) and " => " in line]
    copied = sum(disks[line.split()[1]] * STEP.search(line)[1].count("r:") for line in steps)  # type: ignore[index]
    return Run(seconds, max(0.001, seconds - start), float(found[1]) if found else float("nan"), len(steps), copied)


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
