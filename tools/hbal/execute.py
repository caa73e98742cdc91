# SPDX-License-Identifier: BSD-2-Clause
"""hbal -X: carry the steps out through the job queue, one set of jobs after the other.

Before each set the cluster is looked at again.  When an instance is no longer where its step starts, a node went
offline, or the set would make a node fail N+1 that does not now, execution stops before it.
"""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from hbal import figures, jobs
from hbal.core.arrays import State
from hbal.core.jobsets import job_sets
from hbal.core.moves import Kind, Step
from hbal.errors import Error
from hbal.jobs import Caller, JobsFailed, Label, Opcode
from hbal.load.options import Options
from hbal.model import NO_NODE, ClusterData

Connect = Callable[[], AbstractContextManager[Caller]]
Look = Callable[[Caller], ClusterData]


def run(steps: Sequence[Step], state: State, options: Options) -> int:
    """Execute over the socket that the options name; the exit code."""
    from gantry.errors import Error as ClusterError
    from gantry.luxi.client import Client
    from hbal.load import luxi, source

    quiet = replace_options(options)

    def connect() -> AbstractContextManager[Caller]:
        return Client(options.luxi or None)

    execution = Execution(state, Label("hbal", "rebalancing via hbal", options.priority, options.reason), connect,
                          lambda client: source.finish(luxi.read(client), quiet))
    try:
        return execution.run(job_sets(steps)[:1] if options.first_job_group else job_sets(steps))
    except (ClusterError, OSError) as err:
        why = str(err).partition("\n")[0].rstrip(".")
        raise Error(f"hbal: {why}. {execution.left}") from err


def replace_options(options: Options) -> Options:
    """The same options for looking again, without warnings."""
    quiet = copy(options)
    quiet.verbosity = 0
    return quiet


@dataclass
class Execution:
    """Runs sets of jobs; `connect` and `look` reach the cluster, `pause` waits."""

    state: State
    label: Label
    connect: Connect
    look: Look
    pause: Callable[[float], object] = threading.Event().wait
    stopping: bool = False
    waiting_for: list[int] = field(default_factory=list)
    """Jobs that were submitted and have not been seen to end."""

    @property
    def left(self) -> str:
        """What becomes of the cluster when execution ends here: a sentence."""
        if not self.waiting_for:
            return "No job is left behind."
        ids = ", ".join(map(str, self.waiting_for))
        return f"Nothing more is submitted; what was goes on without hbal: job {ids}. See gnt-job list."

    def run(self, sets: Sequence[Sequence[Step]]) -> int:
        """0 when all jobs succeeded or the operator stopped it; raises JobsFailed otherwise."""
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGTERM, self._terminated)
        try:
            for number, steps in enumerate(sets):
                if self.stopping:
                    print(f"Execution was stopped: {number} job sets were submitted, {len(sets) - number} remain.",
                          file=sys.stderr)
                    return 0
                self._run_set(steps, f"Job set {number + 1} of {len(sets)}")
            return 0
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])

    def _run_set(self, steps: Sequence[Step], title: str) -> None:
        with self.connect() as client:
            objection = unfit(steps, self.state, self.look(client))
            if objection:
                raise JobsFailed(f"hbal: The cluster has changed: {objection}\nAborting.")
            ids = jobs.submit(client, [[self.label.on(opcode) for opcode in opcodes(step, self.state)]
                                       for step in steps])
            self.waiting_for = ids
            print(f"Got job IDs {', '.join(map(str, ids))}", flush=True)
            states = jobs.wait(client, ids, self.pause,
                               lambda done, total: print(f"{title}: {done} of {total} jobs ended", flush=True))
            self.waiting_for = []
        failed = [f"job {job} {state}" for job, state in states.items() if state != "success"]
        if failed:
            raise JobsFailed(f"hbal: Not all jobs completed successfully: [{', '.join(failed)}]\nAborting.")

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
        print("Cancel request registered, will exit at the end of the current job set...", file=sys.stderr, flush=True)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        print("Terminated; the jobs submitted so far go on.", file=sys.stderr, flush=True)
        raise SystemExit(2)


def opcodes(step: Step, state: State) -> list[Opcode]:
    """The opcodes of one step, in order."""
    instance = state.instances[step.move.instance]
    target = state.nodes[step.move.target].name if step.move.target >= 0 else ""
    swap = jobs.failover if instance.forthcoming else jobs.migrate
    replaced = jobs.replace_secondary(instance.name, target)
    return {
        Kind.FAILOVER: [swap(instance.name)],
        Kind.REPLACE: [replaced],
        Kind.REPLACE_FAILOVER: [replaced, swap(instance.name)],
        Kind.FAILOVER_REPLACE_FAILOVER: [swap(instance.name), replaced, swap(instance.name)],
        Kind.FAILOVER_REPLACE: [swap(instance.name), replaced],
        Kind.FAILOVER_ANY: [swap(instance.name, target)],
    }[step.move.kind]


def unfit(steps: Sequence[Step], state: State, data: ClusterData) -> str:
    """Why the steps no longer fit the cluster; empty when they do."""
    places = data.instance_index
    nodes = data.node_index
    instances: list[Any] = list(data.instances)
    for step in steps:
        name = state.instances[step.move.instance].name
        if name not in places:
            return f"instance {name} is gone"
        now = instances[places[name]]
        old, new = (_names(pair, state) for pair in (step.old, step.new))
        if _places(now.primary, now.secondary, data) != old:
            return f"instance {name} is on {':'.join(_places(now.primary, now.secondary, data))}, not {':'.join(old)}"
        lost = [node for node in new if node not in nodes or (data.nodes[nodes[node]].offline and node not in old)]
        if lost:
            return f"node {lost[0]} is gone or offline"
        moved = [nodes[node] for node in new]
        instances[places[name]] = now._replace(primary=moved[0], secondary=moved[1] if len(moved) > 1 else NO_NODE)
    failing = _failing(data)
    worse = _failing(data._replace(instances=tuple(instances))) - failing
    if worse:
        return f"node {sorted(worse)[0]} would no longer be N+1 safe"
    return ""


def _names(pair: tuple[int, int], state: State) -> list[str]:
    return [state.nodes[node].name for node in pair if node < state.count]


def _places(primary: int, secondary: int, data: ClusterData) -> list[str]:
    return [data.nodes[node].name for node in (primary, secondary) if node != NO_NODE]


def _failing(data: ClusterData) -> set[str]:
    return {one.node.name for one in figures.failing(figures.figures(data))[0]}
