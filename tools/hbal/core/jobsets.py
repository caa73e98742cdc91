# SPDX-License-Identifier: BSD-2-Clause
"""Which steps may run at the same time."""

from collections.abc import Sequence

from hbal.core.moves import Step


def job_sets(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps in sets that touch no node twice, in order.

    Walked from the last to the first: a step joins the set after it when it shares no node with it, else it starts
    a set in front.
    """
    sets: list[list[Step]] = []
    taken: set[int] = set()
    for step in reversed(steps):
        if sets and not taken & step.nodes:
            sets[0].insert(0, step)
            taken |= step.nodes
        else:
            sets.insert(0, [step])
            taken = set(step.nodes)
    return sets
