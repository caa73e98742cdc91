# SPDX-License-Identifier: BSD-2-Clause
"""hcheck: how healthy a cluster is, and whether balancing it would help.

numpy is loaded only where there is something to evacuate or to balance.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hbal import figures, output
from hbal.load import source
from hbal.load.options import Options
from hbal.model import ClusterData
from hbal.programs.common import Program, run

PROGRAM = Program("hcheck", (
    "text-data", "no-disk-moves", "dynu-file", "ignore-dynu", "evac-mode", "exclude-instances", "exclusion-tags",
    "ialloc-src", "no-instance-moves", "luxi", "machine-readable", "max-cpu", "max-length", "min-disk", "min-gain",
    "min-gain-limit", "min-score", "ignore-soft-errors", "no-simulation", "offline", "quiet", "master",
    "select-instances", "no-capacity-checks", "verbose"))
PREFIX = "HCHECK"
NEEDS_REBALANCING = 1

COUNTS = (
    ("N1_FAIL", "Nodes not N+1 happy"),
    ("CONFLICT_TAGS", "Nodes with conflicting instances"),
    ("OFFLINE_PRI", "Instances having the primary node offline"),
    ("OFFLINE_SEC", "Instances having a secondary node offline"),
    ("GN1_FAIL", "Nodes not directly evacuateable"),
)
"""Keys and descriptions.  The fourth counts offline nodes, whatever it says."""


def main(argv: Sequence[str] | None = None) -> int:
    return run(PROGRAM, check, argv)


class Health(NamedTuple):
    """How a group (by index) is; the counts are those of COUNTS, without the last when it was not asked for."""

    group: int
    counts: tuple[int, ...]
    score: float


def check(options: Options, arguments: Sequence[str]) -> int:
    """Print the state before and, if there is reason, after balancing; 1 when there is reason."""
    del arguments
    data = source.load(options)
    nodes = members(data)
    groups = [group_health(data, index, own, capacity=not options.no_capacity_checks)
              for index, own in enumerate(nodes) if own]
    needed = any(total(groups, options))
    simulate = needed and not options.no_simulation
    if options.machine_readable:
        for index, group in enumerate(data.groups):
            print(output.assignment(PREFIX, f"GROUP_UUID_{index}", group.uuid))
        _assignments("INIT", groups, options, needed=needed)
    elif options.verbosity >= 1:
        print(_verdict(options, needed=needed))
        _blocks(data, groups, options, "initially", needed=needed)
    after = groups
    if simulate:
        after = [balanced(data, one.group, nodes[one.group], options) or one for one in groups]
    if options.machine_readable:
        _assignments("FINAL", after, options, needed=needed)
        print(output.assignment(PREFIX, "OK", "1"))
    elif options.verbosity >= 1 and simulate:
        _blocks(data, after, options, "after rebalancing", needed=needed)
    return NEEDS_REBALANCING if simulate else 0


def total(groups: Sequence[Health], options: Options) -> tuple[int, ...]:
    """The counts of the cluster."""
    wanted = len(COUNTS) - options.no_capacity_checks
    return tuple(sum(group.counts[place] for group in groups) for place in range(wanted))


def members(data: ClusterData) -> list[list[figures.NodeFigures]]:
    """The figures of the nodes of each group."""
    found: list[list[figures.NodeFigures]] = [[] for _ in data.groups]
    for one in figures.figures(data):
        found[one.node.group].append(one)
    return found


def group_health(data: ClusterData, group: int, nodes: Sequence[figures.NodeFigures], *, capacity: bool) -> Health:
    score = figures.score(figures.metrics(data, nodes))
    return Health(group, (*_counts(nodes), *([_stuck(data, group, nodes)] if capacity else [])), score)


def _counts(nodes: Sequence[figures.NodeFigures]) -> tuple[int, int, int, int]:
    offline = [one for one in nodes if one.node.offline]
    conflicting = [one for one in nodes if any(count > 1 for count in one.exclusion.values())]
    return (len(figures.failing(nodes)[0]), len(conflicting), sum(len(one.primaries) for one in offline),
            len(offline))


def _stuck(data: ClusterData, group: int, nodes: Sequence[figures.NodeFigures]) -> int:
    """How many nodes of the group cannot be evacuated."""
    if not any(one.primaries for one in nodes):
        return 0
    from hbal.alloc.redundancy import stuck
    from hbal.core.arrays import build

    if not any(data.is_split(data.instances[index]) for one in nodes for index in one.primaries):
        return sum(1 for _ in stuck(build(data, group)))
    return sum(data.nodes[node].group == group for node in stuck(build(data)))  # fails over to another group


def balanced(data: ClusterData, group: int, nodes: Sequence[figures.NodeFigures],
             options: Options) -> Health | None:
    """The group after hbal's search; None when there is nothing to search for."""
    score = figures.score(figures.metrics(data, nodes))
    if score - figures.n1_optimum(nodes) < options.min_score:
        return None
    from hbal.core.after import applied
    from hbal.core.arrays import build
    from hbal.core.greedy import Greedy, Stop
    from hbal.core.moves import Restrictions

    rules = Restrictions(
        disk_moves=not options.no_disk_moves, instance_moves=not options.no_instance_moves,
        restricted_migration=options.restricted_migration, evacuate=options.evac_mode,
        ignore_soft_errors=options.ignore_soft_errors)
    search = Greedy(build(data, group), rules,
                    Stop(options.min_score, options.min_gain, options.min_gain_limit, options.max_length))
    steps = sum(1 for _ in search.steps())
    if not steps:
        return None
    moved = applied(search.state)
    after = group_health(moved, group, members(moved)[group], capacity=not options.no_capacity_checks)
    return Health(group, after.counts, search.score)


def _verdict(options: Options, *, needed: bool) -> str:
    if options.no_simulation:
        return "Running in no-simulation mode."
    if needed:
        return "Cluster needs rebalancing."
    return "No need to rebalance cluster, no problems found."


def _assignments(phase: str, groups: Sequence[Health], options: Options, *, needed: bool) -> None:
    keys = [key for key, _ in COUNTS]
    for one in groups:
        for key, count in zip(keys, one.counts, strict=False):
            print(output.assignment(PREFIX, f"{phase}_GROUP_{one.group}_{key}", str(count)))
        print(output.assignment(PREFIX, f"{phase}_GROUP_{one.group}_SCORE", output.fixed(one.score, 8)))
    for key, count in zip(keys, total(groups, options), strict=False):
        print(output.assignment(PREFIX, f"{phase}_CLUSTER_{key}", str(count)))
    print(output.assignment(PREFIX, f"{phase}_CLUSTER_NEED_REBALANCE", str(int(needed))))


def _blocks(data: ClusterData, groups: Sequence[Health], options: Options, when: str, *, needed: bool) -> None:
    for health in groups:
        print(f"\nStatistics for group {data.groups[health.group].name} {when}")
        print("\n".join((*_lines(health.counts), f"    Group score: {output.fixed(health.score, 8)}")))
    print(f"\nCluster statistics {when}")
    print("\n".join((*_lines(total(groups, options)), f"    Cluster is not healthy: {needed}")), flush=True)


def _lines(counts: Sequence[int]) -> Iterator[str]:
    return (f"    {description}: {count}" for (_, description), count in zip(COUNTS, counts, strict=False))
