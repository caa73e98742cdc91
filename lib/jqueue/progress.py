# SPDX-License-Identifier: BSD-2-Clause
"""What a job's log says while a long step runs, and what a dry run shows of a plan."""

from collections.abc import Callable, Iterator
from typing import Any

from gantry.config.config import Config
from gantry.objects.plan import Action, Call, Delete, Master, Plan, Put, Say, Several, Sleep, Submit, Task, Update
from gantry.utils.clock import SYSTEM, Clock

FIRST, EVERY = 3.0, 5.0
"""Seconds before the first line of a step, and between two."""


class Progress:
    """Lines such as ` - INFO: step 3/7 creating disk 0: 45 %, about 12 s left`, for long steps only."""

    def __init__(self, plan: Plan, say: Callable[[str], None], clock: Clock = SYSTEM) -> None:
        self._plan, self._say, self._clock = plan, say, clock
        self._index = 0
        self._began = self._last = 0.0

    def begin(self, index: int) -> None:
        self._index = index
        self._began = self._clock.now()
        self._last = self._began + FIRST - EVERY

    def seen(self, fraction: float, message: str) -> None:
        """The step has come to `fraction` (0 to 1); `message` is the node's word on it."""
        now = self._clock.now()
        if now - self._last < EVERY:
            return
        self._last = now
        steps = self._plan.steps
        left = _step_left(steps[self._index].weight, now - self._began, fraction)
        left += sum(step.weight for step in steps[self._index + 1:])
        what = plain_title(steps[self._index].title) or message or "working"
        self._say(f" - INFO: step {self._index + 1}/{len(steps)} {what}: {fraction * 100:.0f} %, "
                  f"about {duration(left)} left")


def _step_left(weight: float, elapsed: float, fraction: float) -> float:
    if fraction > 0.02:
        return elapsed * (1 - fraction) / fraction
    return max(weight - elapsed, 1.0)


def plain_title(title: str) -> str:
    return title.removeprefix("* ").removeprefix(" - INFO: ").rstrip(".").strip()


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 5 min."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def describe(plan: Plan, config: Config) -> Iterator[str]:
    """The plan as numbered lines for people."""
    if not plan.steps:
        yield "the plan has no steps, nothing would be done"
        return
    for number, step in enumerate(plan.steps, 1):
        title = plain_title(step.title)
        what = _action(step.action, config)
        yield f"{number}. {title + ': ' if title else ''}{what} (about {step.weight:.1f} s)"
    yield f"expected time: {duration(sum(step.weight for step in plan.steps))}"


def _action(action: Action, config: Config) -> str:  # noqa: PLR0911 - a table: one line for each kind
    match action:
        case Call() | Task():
            node = config.nodes.get(action.node)
            return f"{action.call} on {node.name if node else action.node}{_size(action.args)}"
        case Put():
            return f"record {action.value.get('name') or action.value.get('uuid')} in {action.table}"
        case Update() | Delete():
            found = config.tables.get(action.table, {}).get(action.uuid)
            name = (found.name if found else "") or action.uuid
            if isinstance(action, Delete):
                return f"remove {name} from {action.table}"
            return f"set {', '.join(sorted(action.fields))} of {name} in {action.table}"
        case Several():
            return "; ".join(_action(item, config) for item in action.actions)
        case Sleep():
            return f"wait {action.seconds:g} s"
        case Submit():
            return f"submit {len(action.jobs)} job(s)"
        case Say():
            lines = [line for line in action.lines if isinstance(line, str)]  # others are known only by then
            return f"say {' / '.join(lines)}" if lines else "say how it went" if action.lines else "only said"
        case Master():
            return f"{action.call} on the master"


def _size(args: dict[str, Any]) -> str:
    disk = args.get("disk")
    size = disk.get("size") if isinstance(disk, dict) else None
    return f", {size} MiB" if isinstance(size, int) else ""
