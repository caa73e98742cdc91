# SPDX-License-Identifier: BSD-2-Clause
"""Allocation where every node has exclusive storage: instances go where the fewest other instances are lost for it.

For each smallest size that the policy knows, largest disk first: how many plain instances of it fit on the node before
and after.  The differences, then the free disk after, are compared one after the other; the least wins.
"""

import math
from collections import Counter

from hbal.alloc import checks
from hbal.alloc.allocate import Conditions, Solution
from hbal.alloc.checks import FITS, Fail
from hbal.alloc.places import Grown, as_primary, as_secondary
from hbal.core.arrays import State
from hbal.core.instances import Ints
from hbal.model import Policy, Spec

Lost = tuple[tuple[int, ...], int]


def applies(state: State, groups: "set[int]") -> bool:
    """Whether all nodes of the groups (none of them, too) have exclusive storage."""
    return all(state.limits.exclusive[place] for place in range(state.count) if state.nodes[place].group in groups)


def sizes(policy: Policy) -> list[Spec]:
    return sorted((pair.min for pair in policy.minmax), key=lambda spec: -spec.disk)


def room(state: State, node: int, spec: Spec, reserved: float) -> int:
    """How many plain instances of the size fit on the node, which keeps `reserved` MiB free for others as long as it
    has as much.  Physical spindles are not counted, as the original does not.
    """
    limits, memory = state.limits, float(state.unallocated[node])
    disk = float(min(state.free_disk[node], state.free_disk_forth[node]))
    cpus = max(state.used_cpus[node], state.used_cpus_forth[node])
    bounds = [_times(memory - reserved if memory > reserved else memory, spec.memory),
              _times(float(state.free_memory_forth[node]), spec.memory), _times(disk, spec.disk),
              (limits.most_cpus[node] - cpus) // max(1, spec.cpus)]
    if not limits.exclusive[node]:
        spindles = max(state.used_spindles[node], state.used_spindles_forth[node])
        bounds.append((limits.high_spindles[node] - spindles) // max(1, spec.spindle_use))
    return max(0, int(min(bounds)))


def _times(has: float, takes: int) -> float:
    """How often it can be taken with something left."""
    return math.ceil(has / max(1, takes)) - 1


def lost(state: State, node: int, grown: Grown, reserved: float | None = None) -> Lost:
    """What the node can hold less once it has the instance, and its free disk then; `reserved`: the memory it keeps
    free for others then, where that changes.
    """
    specs = sizes(state.data.groups[state.nodes[node].group].policy)
    before = float(state.largest[0, node])
    after = before if reserved is None else reserved
    return (tuple(room(state, node, spec, before) - room(grown.state, node, spec, after) for spec in specs),
            int(grown.state.free_disk[node]))


def best(state: State, index: int, nodes: Ints, required: int, conditions: Conditions) -> Solution:
    """The nodes for an instance, one or two."""
    failures: Counter[Fail] = Counter()
    instance = state.instances[index]
    allowed = []
    for node in nodes:
        policy = state.data.groups[state.nodes[node].group].policy
        failure = checks.policy_failure(instance, policy, exclusive=bool(state.limits.exclusive[node]))
        if failure is None:
            allowed.append(int(node))
        else:
            failures[failure] += 1 if required == 1 else len(nodes) - 1
    first = as_primary(state, index)
    modes = checks.primary_modes(state, index, first, forced=conditions.ignore_soft_errors)
    found: list[tuple[Lost, tuple[int, ...]]] = []
    second = as_secondary(state, index)
    tails = checks.secondary_modes(state, index, second, slice(None), forced=False)
    for node in allowed:
        mode = int(modes[node])
        if required == 1:
            if mode == FITS:
                found.append((lost(state, node, first), (node,)))
            else:
                failures[Fail(mode)] += 1
            continue
        for other in (int(one) for one in nodes if one != node):
            why = mode if mode != FITS else int(tails[node, other])
            if why == FITS:
                kept = float(max(state.largest[0, other], state.peers[other, node] + state.amounts.reserved[index]))
                found.append((_sum(lost(state, node, first), lost(state, other, second, kept)), (node, other)))
            else:
                failures[Fail(why)] += 1
    solution = Solution(failures=failures, successes=len(found))
    if found:
        metric, solution.nodes = min(reversed(found), key=lambda item: item[0])
        solution.order, solution.score = metric, 0.0
        solution.shown = f"([{','.join(map(str, metric[0]))}],{metric[1]})"
    return solution


def _sum(one: Lost, other: Lost) -> Lost:
    return tuple(a + b for a, b in zip(one[0], other[0], strict=True)), one[1] + other[1]


