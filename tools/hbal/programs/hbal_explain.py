# SPDX-License-Identifier: BSD-2-Clause
"""hbal --explain INSTANCE: for each node, why it may or may not hold the instance, and what moving it there does."""

from collections.abc import Iterator, Sequence

import numpy as np

from hbal import output
from hbal.alloc.checks import Rule, primary_rules, secondary_rules
from hbal.alloc.places import as_primary, as_secondary
from hbal.core.arrays import State, build
from hbal.core.delta import Block, Candidates
from hbal.core.moves import PER_TARGET, Kind, Move, Restrictions, written
from hbal.core.score import score
from hbal.errors import Error
from hbal.load.names import lookup
from hbal.model import ClusterData

HEADER = ("Node", "Now", "As primary", "As secondary", "Best move", "Score", "Change")


def show(data: ClusterData, group: int, name: str, rules: Restrictions) -> int:
    """Print the table; the exit code.  Raises Error for an instance that is not in the group."""
    state = build(data, group)
    index = lookup(name, [one.name for one in state.instances])
    if index is None:
        raise Error(f"Unknown instance(s): [\"{name}\"]: no instance of group {data.groups[group].name} has this name")
    print("\n".join(report(state, index, rules)))
    return 0


def report(state: State, index: int, rules: Restrictions) -> list[str]:
    """A sentence on the instance, then a line for each node."""
    instance = state.instances[index]
    nodes = [state.nodes[node].alias for node in (int(state.primary[index]), int(state.secondary[index]))
             if node < state.count]
    lines = [f"Instance {instance.alias} ({instance.template}, {instance.memory} MiB memory, {instance.disk} MiB disk, "
             f"{instance.vcpus} vcpus) is on {':'.join(nodes)}."]
    candidates = Candidates(state, rules)
    objection = immovable(state, index, candidates)
    if objection:
        lines.append(objection)
    rows = [HEADER, *verdicts(state, index, candidates, rules)]
    return [*lines, output.table("", rows, (False,) * 5 + (True, True)).rstrip("\n")]


def immovable(state: State, index: int, candidates: Candidates) -> str:
    """Why it is never moved; empty when it may be."""
    instance = state.instances[index]
    if index in candidates.rows:
        return ""
    if not instance.template.movable:
        return f"Instances with disk template {instance.template} are never moved."
    if not instance.auto_balance:
        return "It is not moved: auto_balance is off."
    if state.data.is_split(instance):
        return "It is not moved: its nodes are in different groups."
    return "It is not moved: the options exclude it."


def verdicts(state: State, index: int, candidates: Candidates, rules: Restrictions) -> Iterator[tuple[str, ...]]:
    relieved = state.copy()
    relieved.move(index, state.count, state.count)
    primary = [*primary_rules(relieved, index, as_primary(relieved, index))]
    second = [*secondary_rules(relieved, index, as_secondary(relieved, index))]
    candidates.refresh()
    block = candidates.block(np.array([index]))
    before = score(state)
    for node in range(state.count):
        now = "primary" if node == state.primary[index] else "secondary" if node == state.secondary[index] else ""
        move, change = best(block, state, index, node)
        cells = ("", "", "") if move is None else (
            written(move, state.nodes[node].alias), output.fixed(before + change, 8), output.fixed(change, 8))
        if not state.limits.online[node]:
            yield (state.nodes[node].alias, now, "offline", "offline", *cells)
            continue
        as_second = verdict(second, node, rules)
        if as_second == "yes" and not rules.ignore_soft_errors:
            as_second = _reserve(relieved, index, int(state.primary[index]), node) or as_second
        as_first = verdict(primary, node, rules)
        migration, home = state.tags.migration, int(state.primary[index])
        if as_first == "yes" and migration is not None and not migration[home, node]:
            as_first = "FailMig: it may not migrate there from its primary"
        yield (state.nodes[node].alias, now, as_first, as_second, *cells)


def best(block: Block, state: State, index: int, node: int) -> tuple[Move | None, float]:
    """The best move that brings the instance (or its primary) to the node, and what it changes."""
    if node == state.secondary[index] and np.isfinite(block.failover[0]):
        return Move(index, Kind.FAILOVER, -1), float(block.failover[0])
    values = block.per_target[:, 0, node]
    plane = int(values.argmin())
    if not np.isfinite(values[plane]):
        return None, 0.0
    kind = PER_TARGET[plane] if state.amounts.drbd[index] else Kind.FAILOVER_ANY
    return Move(index, kind, node), float(values[plane])


def verdict(rules: Sequence[Rule], node: int, restrictions: Restrictions) -> str:
    """The first rule broken, with what the node has and what is needed; yes when there is none."""
    for rule in rules:
        if rule.broken[node] and (rule.hard or not restrictions.ignore_soft_errors):
            return f"{rule.fail.name}: {rule.what}: has {_number(rule.has[node])}, needs {_number(rule.needs[node])}"
    return "yes"


def _reserve(state: State, index: int, primary: int, node: int) -> str:
    """N+1 for a secondary: what it would keep free for the primary's node; empty when that fits."""
    kept = float(state.peers[node, primary] + state.amounts.reserved[index]) if node != primary else 0.0
    if kept < state.unallocated[node] or state.failing[node]:
        return ""
    return f"FailMem: unallocated memory for N+1: has {_number(state.unallocated[node])}, needs {_number(kept)}"


def _number(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "no limit"
