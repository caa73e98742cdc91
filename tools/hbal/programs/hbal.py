# SPDX-License-Identifier: BSD-2-Clause
"""hbal: balance a group of nodes.  Prints the steps as they are found; numpy is loaded when there is to search."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hbal import figures, output
from hbal.errors import Error
from hbal.load import source, text
from hbal.load.options import Options
from hbal.model import ClusterData
from hbal.programs.common import Program, run

if TYPE_CHECKING:
    from hbal.core.arrays import State
    from hbal.core.moves import Restrictions, Step

PROGRAM = Program("hbal", (
    "print-nodes", "print-instances", "print-commands", "text-data", "evac-mode", "restricted-migration", "master",
    "luxi", "ialloc-src", "exec", "first-job-group", "reason", "group", "max-length", "verbose", "quiet", "offline",
    "static-kvm-node-memory", "min-score", "max-cpu", "min-disk", "min-gain", "min-gain-limit", "no-disk-moves",
    "select-instances", "no-instance-moves", "ignore-soft-errors", "dynu-file", "ignore-dynu", "mond", "mond-data",
    "exit-on-missing-mond-data", "mond-xen", "exclusion-tags", "exclude-instances", "save", "priority", "method",
    "explain"))


def main(argv: Sequence[str] | None = None) -> int:
    return run(PROGRAM, balance, argv)


class Before(NamedTuple):
    """The chosen group as it was found."""

    data: ClusterData
    group: int
    nodes: list[figures.NodeFigures]
    score: float
    optimum: float


class Result(NamedTuple):
    """What the search came to."""

    steps: "list[Step]"
    state: "State"
    score: float

    @property
    def values(self) -> list[float]:
        """The metrics of the final state."""
        from hbal.core.score import components

        return components(self.state)


def balance(options: Options, arguments: Sequence[str]) -> int:
    """The program; returns the exit code."""
    del arguments
    data = source.load(options)
    before = look(data, options)
    if before is None:
        return 0
    if options.explain is not None:
        from hbal.programs import hbal_explain
        return hbal_explain.show(before.data, before.group, options.explain, restrictions(options))
    if before.score - before.optimum < options.min_score:
        print(f"Cluster is already well balanced (initial score {output.general(before.score)},\n"
              f"optimum score due to N+1 reservations {output.general(before.optimum)},\n"
              f"minimum score {output.general(options.min_score)}).\nNothing to do, exiting")
        return 0
    print("Trying to minimize the CV...", flush=True)
    if options.max_length == 0 and options.method == "greedy":
        found, after = None, before
    else:
        found = search(before, options)
        after = finished(before, found)
    summary(before, after, found, options)
    commands(found, options)
    last(before, after, options)
    if not options.execute:
        return 0
    if options.luxi is None:
        raise Error("hbal: Execution of commands possible only on LUXI")
    if found is None or not found.steps:
        return 0
    from hbal import execute
    return execute.run(found.steps, found.state, options)


def look(data: ClusterData, options: Options) -> Before | None:
    """Everything up to the initial score; None when there is nothing to balance."""
    loud = options.verbosity > 1
    if loud:
        print(f"Loaded cluster tags: {','.join(data.tags)}")
        print(f"Loaded cluster ipolicy: {output.policy_text(data.policy)}")
    if not data.instances:
        print("Cluster is empty, exiting.")
        return None
    if loud:
        _split(data)
    print(f"Loaded {len(data.nodes)} nodes, {len(data.instances)} instances")
    if loud and data.common_suffix:
        print(f"Note: Stripping common suffix of '{data.common_suffix}' from names")
    if options.save is not None:
        _save(data, f"{options.save}.original", "before")
    group = choose(data, options.group)
    members = [one for one in figures.figures(data) if one.node.group == group]
    print(f"Group size {len(members)} nodes, {len(data.instances_of(group))} instances")
    print(f"Selected node group: {data.groups[group].name}")
    _health(data, members, options)
    sys.stdout.flush()
    _lists("Initial", data, group, members, options)
    values = figures.metrics(data, members)
    score = figures.score(values)
    if options.verbosity > 2:
        print(f"Initial coefficients: overall {output.fixed(score, 8)}\n{output.coefficients(values)}")
    else:
        print(f"Initial score: {output.fixed(score, 8)}")
    return Before(data, group, members, score, figures.n1_optimum(members))


def choose(data: ClusterData, wanted: str | None) -> int:
    """The index of the group to balance; raises Error, having listed the groups, when that is not clear."""
    if wanted is None:
        populated = sorted({node.group for node in data.nodes})
        if len(populated) == 1:
            return populated[0]
        head, listed = "Found multiple node groups:", [data.groups[index].name for index in populated]
        if not populated:
            head = "The cluster has no nodes."
    else:
        for index, group in enumerate(data.groups):
            if wanted in (group.name, group.uuid):
                return index
        head = f"Node group {wanted} not found. Node group list is:"
        listed = [group.name for group in data.groups]
    sys.stdout.flush()
    print("\n".join([head, *(f"  {name}" for name in listed)]), file=sys.stderr)
    raise Error("Aborting.")


def _split(data: ClusterData) -> None:
    names = [one.name for one in data.instances if data.is_split(one)]
    if names:
        sys.stdout.flush()
        print("\n".join(["Found instances belonging to multiple node groups:", *(f"  {name}" for name in names),
                         "These instances will not be moved."]), file=sys.stderr)


def _health(data: ClusterData, members: list[figures.NodeFigures], options: Options) -> None:
    bad, unsafe = figures.failing(members)
    if options.verbosity >= 1:
        print(f"Initial check done: {len(bad)} bad nodes, {len(unsafe)} bad instances.")
    if bad:
        print("Cluster is not N+1 happy, continuing but no guarantee that the cluster will end N+1 happy.")
    failing = {one.index for one in bad}
    violating = [one for one in members
                 if one.index not in failing and _violates(one, data.vcpu_ratio(one.node))]
    if violating:
        print(f"The cluster contains {len(violating)} policy-violating nodes.")
        print("Continuing, ignoring soft errors." if options.ignore_soft_errors else
              "Continuing, but the set of moves might be too restricted; consider using the --ignore-soft-errors"
              " option.")


def _violates(one: figures.NodeFigures, ratio: float) -> bool:
    return one.spindles > one.high_spindles or (ratio >= 0 and one.cpu_ratio > ratio)


def _lists(when: str, data: ClusterData, group: int, members: Sequence[figures.NodeFigures],
           options: Options) -> None:
    if options.print_instances:
        print(output.instance_list(when, data, data.instances_of(group)), file=sys.stderr, end="")
    if options.print_nodes is not None:
        print(output.node_list(f"{when} cluster", members, options.print_nodes), file=sys.stderr)


def _save(data: ClusterData, path: str, when: str) -> None:
    text.save(data, path)
    sys.stdout.flush()
    print(f"The cluster state {when} balancing has been written to file '{path}'", file=sys.stderr)


def restrictions(options: Options) -> "Restrictions":
    from hbal.core.moves import Restrictions

    return Restrictions(
        disk_moves=not options.no_disk_moves, instance_moves=not options.no_instance_moves,
        restricted_migration=options.restricted_migration, evacuate=options.evac_mode,
        ignore_soft_errors=options.ignore_soft_errors)


def search(before: Before, options: Options) -> Result:
    """Look for steps and print each as soon as it is found."""
    from hbal.core.arrays import build
    from hbal.core.greedy import Greedy, Stop

    state = build(before.data, before.group)
    rules = restrictions(options)
    stop = Stop(options.min_score, options.min_gain, options.min_gain_limit, options.max_length)
    line = StepLine(state)
    steps: list[Step] = []
    if options.method == "plan":
        from hbal.programs import hbal_plan
        outcome = hbal_plan.search(state, rules, stop, line.show)
        return Result(list(outcome.steps), outcome.state, outcome.score)
    greedy = Greedy(state, rules, stop)
    for step in greedy.steps():
        steps.append(step)
        line.show(len(steps), step)
    return Result(steps, greedy.state, greedy.score)


class StepLine:
    """Prints steps in columns, as soon as they are found; a reader is woken ten times a second at most."""

    PAUSE_SECONDS = 0.1

    def __init__(self, state: "State") -> None:
        self.state = state
        self.due = 0.0
        """When a reader is to see what was printed."""
        self.name = max((len(one.alias) for one in state.instances), default=0)
        self.place = 2 * max((len(node.alias) for node in state.nodes), default=0) + 1

    def show(self, number: int, step: "Step") -> None:
        from hbal.core.moves import written

        state, target = self.state, step.move.target
        moves, now = written(step.move, state.nodes[target].alias if target >= 0 else ""), time.monotonic()
        print(f"  {number:3d}. {state.instances[step.move.instance].alias:<{self.name}} "
              f"{self._at(step.old):<{self.place}} => {self._at(step.new):<{self.place}} "
              f"{output.fixed(step.score, 8):>12} a={moves}", flush=now >= self.due)
        if now >= self.due:
            self.due = now + self.PAUSE_SECONDS

    def _at(self, nodes: tuple[int, int]) -> str:
        return ":".join(self.state.nodes[node].alias for node in nodes if node < self.state.count)


def finished(before: Before, found: Result) -> Before:
    """The group after all steps."""
    from hbal.core.after import applied

    data = applied(found.state)
    members = [one for one in figures.figures(data) if one.node.group == before.group]
    return before._replace(data=data, nodes=members, score=found.score)


def summary(before: Before, after: Before, found: Result | None, options: Options) -> None:
    if found is None or not found.steps:
        print("No solution found")
    elif options.verbosity > 2:
        print(f"Final coefficients:   overall {output.fixed(after.score, 8)}\n"
              f"{output.coefficients(found.values)}")
    else:
        print(f"Cluster score improved from {output.fixed(before.score, 8)} to {output.fixed(after.score, 8)}")
    if options.verbosity >= 1:
        print(f"Solution length={len(found.steps) if found is not None else 0}")


def commands(found: Result | None, options: Options) -> None:
    """The command list (`-C`), on the screen or in a file; an empty one where nothing was searched."""
    if options.print_commands is None:
        return
    from hbal import commands as writer
    from hbal.core.jobsets import job_sets

    lines: list[str] = []
    if found is not None:
        sets = job_sets(found.steps)
        lines = [*writer.lines(sets[:1] if options.first_job_group else sets, found.state)]
    if not options.print_commands:
        title = "First set of jobs:" if options.first_job_group else "Commands to run to reach the above solution:"
        print(f"\n{title}")
        if lines:
            print(writer.listing(lines))
        return
    try:
        with open(options.print_commands, "w", encoding="utf-8") as file:
            file.write(writer.script(lines))
    except OSError as err:
        raise Error(f"Cannot write the commands to '{options.print_commands}': {err.strerror}") from err
    print(f"The commands have been written to file '{options.print_commands}'")


def last(before: Before, after: Before, options: Options) -> None:
    """What is printed and saved once the search is over."""
    if options.save is not None:
        _save(after.data.part(after.group), f"{options.save}.balanced", "after")
    sys.stdout.flush()
    _lists("Final", after.data, after.group, after.nodes, options)
    if options.verbosity > 3:
        for title, group in (("Original:", before), ("Final:   ", after)):
            print(f"{title} mem={sum(one.unallocated for one in group.nodes)} "
                  f"disk={sum(one.free_disk for one in group.nodes)}")
