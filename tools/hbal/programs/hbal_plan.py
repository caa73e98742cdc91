# SPDX-License-Identifier: BSD-2-Clause
"""hbal --method=plan: the steps of a plan, and what it costs beside the greedy way."""

from collections.abc import Callable

from hbal import output
from hbal.core.arrays import State
from hbal.core.greedy import Stop
from hbal.core.moves import Restrictions, Step
from hbal.core.plan import Outcome, Plans, plan


def search(state: State, rules: Restrictions, stop: Stop, show: Callable[[int, Step], None]) -> Outcome:
    """Find a plan, show its steps and the comparison; returns what to follow."""
    plans = plan(state, rules, stop)
    for number, step in enumerate(plans.best.steps, 1):
        show(number, step)
    print(comparison(plans))
    return plans.best


def comparison(plans: Plans) -> str:
    """A line for each method; the plan may be the greedy one, when nothing better was found."""
    lines = [_line("plan", plans.best)]
    lines.append("Method greedy: not tried on a cluster of this size" if plans.greedy is None
                 else _line("greedy", plans.greedy))
    return "\n".join(lines)


def _line(name: str, outcome: Outcome) -> str:
    steps = output.counted(len(outcome.steps), "step")
    return (f"Method {name + ':':<7} score {output.fixed(outcome.score, 8)}, {steps}, "
            f"{output.counted(outcome.migrations, 'migration')}, {outcome.copied} MiB to copy")
