# SPDX-License-Identifier: BSD-2-Clause
"""For an operator whose request was refused: node by rule, what was missing and by how much."""

from collections.abc import Iterator

import numpy as np

from hbal.alloc import checks, redundancy
from hbal.alloc.allocate import Conditions, place
from hbal.alloc.checks import FITS, Rule
from hbal.alloc.places import as_primary, as_secondary
from hbal.core.arrays import State

HEADER = ("Node", "Role", "Rule", "What", "Has", "Needs")


def table(state: State, index: int, required: int, conditions: Conditions) -> str:
    """A line for each node and role: the first rule it breaks, or that the cluster would not stay redundant."""
    rows = [HEADER, *_rows(state, index, required, conditions)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join(
        " ".join(cell.rjust(width) if column > 3 else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows)


def _rows(state: State, index: int, required: int, conditions: Conditions) -> Iterator[tuple[str, ...]]:
    grown = as_primary(state, index)
    rules = [*checks.primary_rules(state, index, grown)]
    second = [*checks.secondary_rules(state, index, as_secondary(state, index))] if required == 2 else []
    for node in range(state.count):
        name = state.nodes[node].name
        if not state.limits.online[node]:
            yield name, "any", "offline", "the node is offline or drained", "", ""
            continue
        policy = state.data.groups[state.nodes[node].group].policy
        failure = checks.policy_failure(state.instances[index], policy, exclusive=bool(state.limits.exclusive[node]))
        if failure is not None:
            yield name, "any", failure.name, "the group's instance policy forbids it", "", ""
            continue
        yield _verdict(name, "primary", rules, node, conditions)
        if required == 2:
            yield _verdict(name, "secondary", second, node, Conditions())
    if conditions.capacity_checks:
        yield from _capacity(state, index, required, conditions)


def _verdict(name: str, role: str, rules: list[Rule], node: int, conditions: Conditions) -> tuple[str, ...]:
    for rule in rules:
        if rule.broken[node] and (rule.hard or not conditions.ignore_soft_errors):
            return (name, role, rule.fail.name, rule.what, _number(rule.has[node]), _number(rule.needs[node]))
    return name, role, "-", "fits", "", ""


def _capacity(state: State, index: int, required: int, conditions: Conditions) -> Iterator[tuple[str, ...]]:
    """Nodes that could not be evacuated: as things are, else with the instance on the nodes it fits on."""
    already = [*redundancy.stuck(state)]
    for node in already:
        yield state.nodes[node].name, "N+1", "FailN1", "cannot be evacuated already", "", ""
    if already or required != 1:
        return
    modes = checks.primary_modes(state, index, as_primary(state, index), forced=conditions.ignore_soft_errors)
    for target in np.flatnonzero((modes[:-1] == FITS) & state.limits.online[:-1]):
        trial = state.copy()
        place(trial, index, (int(target),))
        for other in redundancy.stuck(trial):
            yield (state.nodes[other].name, "N+1", "FailN1",
                   f"could not be evacuated with the instance on {state.nodes[target].name}", "", "")
            break


def _number(value: float) -> str:
    return f"{value:.0f}" if np.isfinite(value) else "no limit"
