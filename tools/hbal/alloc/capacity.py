# SPDX-License-Identifier: BSD-2-Clause
"""How many more instances fit: all of one size (standard), or as large as still fits (tiered)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hbal.alloc import allocate, places, redundancy
from hbal.alloc.allocate import Conditions, Solution
from hbal.alloc.checks import Fail
from hbal.core.arrays import State
from hbal.core.instances import Amounts, Ints
from hbal.errors import Error
from hbal.model import NO_NODE, AllocPolicy, ClusterData, Disk, Instance, Policy, Spec, Status, Template

MEMORY_STEP, DISK_STEP = 64, 256
"""MiB by which sizes shrink."""
BLOCK, SMALLEST_FIRST_BLOCK = 10, 20

UNCHECKED = Conditions(capacity_checks=False)


class Rules(NamedTuple):
    """How to go about it; `limit` negative: no limit."""

    template: Template
    conditions: Conditions
    spindle_use: int = 1
    limit: int = -1
    accept_errors: bool = False
    independent_groups: bool = False


@dataclass
class Filled:
    """A cluster with new instances: the state, the specs in order of allocation, and why it ended."""

    state: State
    specs: list[Spec] = field(default_factory=list)
    failures: Counter[Fail] = field(default_factory=Counter)

    def listed(self) -> list[tuple[Fail, int]]:
        """All failures, the most frequent first; equal ones in their usual order."""
        return sorted(((fail, self.failures[fail]) for fail in Fail), key=lambda item: (-item[1], item[0]))

    def reasons(self) -> list[Fail]:
        """Those that there were, the most frequent first; of equal ones the last."""
        return sorted((fail for fail in Fail if self.failures[fail]), key=lambda fail: (-self.failures[fail], -fail))

    def groups(self) -> list[tuple[Spec, int]]:
        """Runs of equal specs."""
        found: list[tuple[Spec, int]] = []
        for spec in self.specs:
            if found and found[-1][0] == spec:
                found[-1] = spec, found[-1][1] + 1
            else:
                found.append((spec, 1))
        return found


class Space:
    """A cluster to fill; each way to fill starts anew from it."""

    def __init__(self, data: ClusterData, rules: Rules) -> None:
        self.data, self.rules = data, rules
        self.start = places.whole(data)
        self.exclusive = bool(self.start.limits.exclusive.any())
        self.bad_nodes = [node for node in places.online(self.start) if self.start.failing[node]]
        self.bad_groups = self._bad_groups()
        tolerance = redundancy.Tolerance(
            rules.accept_errors, frozenset(self.bad_groups) if rules.independent_groups else frozenset())
        self.conditions = rules.conditions._replace(tolerance=tolerance)
        self.pool = self._pool()

    def _bad_groups(self) -> set[int]:
        state = self.start
        bad = {state.nodes[node].group for node in self.bad_nodes}
        if self.rules.independent_groups:
            tolerance = redundancy.Tolerance(self.rules.accept_errors)
            bad |= {state.nodes[node].group for node in redundancy.stuck(state, tolerance)}
        return bad

    def _pool(self) -> list[Ints]:
        """The nodes to allocate on, by group."""
        rules, state = self.rules, self.start
        barred = self.bad_groups if rules.independent_groups or not rules.accept_errors else set()
        groups = [index for index, group in enumerate(self.data.groups)
                  if index not in barred and group.alloc_policy is not AllocPolicy.UNALLOCABLE]
        found = [np.array([node for node in places.online(state) if state.nodes[node].group == group], dtype=np.int64)
                 for group in groups]
        return [nodes for nodes in found if len(nodes)]

    @property
    def closed(self) -> bool:
        """Whether errors of the cluster forbid to allocate at all."""
        return bool(self.bad_nodes) and not (
            self.rules.accept_errors or (self.rules.independent_groups and self.pool))

    def instance(self, spec: Spec, number: int) -> Instance:
        disks = (Disk(spec.disk, spec.spindle_use),)
        return Instance(f"new-{number}", spec.memory, spec.disk, disks, spec.cpus, Status.RUNNING,
                        auto_balance=True, primary=NO_NODE, secondary=NO_NODE, template=self.rules.template,
                        spindle_use=self.rules.spindle_use, alias=f"new-{number}")

    # --- one instance, a block, all ----------------------------------------------------------------------------

    def _one(self, filled: Filled, spec: Spec, conditions: Conditions) -> bool:
        """Add one instance in place; False, with the failures set, where none fits."""
        index, best = self._best(filled, spec, conditions)
        if best is None:
            _forget(filled.state)
            return False
        allocate.place(filled.state, index, best.nodes)
        filled.specs.append(spec)
        return True

    def _best(self, filled: Filled, spec: Spec, conditions: Conditions) -> tuple[int, Solution | None]:
        """The index of another instance that is nowhere, and where to put it; the failures are set where none fits."""
        index = places.append(filled.state, self.instance(spec, len(filled.specs)))
        best: Solution | None = None
        failures: Counter[Fail] = Counter()
        for nodes in self.pool:
            solution = allocate.best(filled.state, index, nodes, conditions)
            failures += solution.failures
            if solution.nodes and (best is None or solution.score <= best.score):
                best = solution
        filled.failures = failures
        return index, best

    def _fits(self, filled: Filled, spec: Spec) -> bool:
        """Whether one more would fit, capacity apart."""
        _, best = self._best(filled, spec, UNCHECKED)
        _forget(filled.state)
        return best is not None

    def _block(self, filled: Filled, spec: Spec, count: int, conditions: Conditions) -> tuple[Filled, bool]:
        """Up to `count` more instances on a copy; whether more may fit."""
        trial = Filled(filled.state.copy(), [*filled.specs])
        for _ in range(count):
            if not self._one(trial, spec, conditions):
                return trial, False
        return trial, True

    def standard(self, spec: Spec) -> Filled:
        """As many instances of the size as fit."""
        return self.fill(Filled(self.start.copy()), spec)

    def fill(self, filled: Filled, spec: Spec) -> Filled:
        """Add instances in place; raises Error where there are no nodes for even one."""
        if self.closed:
            filled.failures = Counter({Fail.FailN1: 1})
            return filled
        if max(map(len, self.pool), default=0) < (2 if self.rules.template.has_secondary else 1):
            lack = "Not enough" if self.rules.template.has_secondary else "No"
            raise Error(f"failure during allocation: {lack} online nodes")
        if not self._fits(filled, spec):
            return filled
        sizes = [max(SMALLEST_FIRST_BLOCK, int(filled.state.unallocated[:-1].sum()) // max(1, spec.memory)
                     - filled.state.count), BLOCK] if self.conditions.capacity_checks else []
        for size in sizes:
            while True:
                count = self._allowed(filled, size)
                if count <= 0:
                    return filled
                trial, more = self._block(filled, spec, count, UNCHECKED)
                if not redundancy.redundant(trial.state, self.conditions.tolerance):
                    break
                filled = trial
                if not more:
                    return filled
        last = UNCHECKED if self.rules.template.has_secondary else self.conditions
        while self._allowed(filled, 1) > 0 and self._one(filled, spec, last):
            pass
        return filled

    def _allowed(self, filled: Filled, count: int) -> int:
        return count if self.rules.limit < 0 else min(count, self.rules.limit - len(filled.specs))

    # --- tiers -------------------------------------------------------------------------------------------------

    def tiered(self, specs: Sequence[Spec]) -> Filled:
        """As many as fit of each starting size, and of smaller ones once these do not fit any more."""
        filled = Filled(self.start.copy())
        for spec in specs:
            filled = self._tier(filled, spec)
        return filled

    def _tier(self, filled: Filled, spec: Spec) -> Filled:
        """From one starting size down.

        Sizes shrink along the most frequent failure.  Where that path ends without another instance, each size on it
        is tried again, the last first: along one other failure, as far as that failure is in the way.
        """
        path: list[tuple[Spec, list[Fail]]] = []
        size: Spec | None = spec
        why: Counter[Fail] | None = None
        while size is not None:
            before = len(filled.specs)
            filled = self.fill(filled, size)
            if self._allowed(filled, 1) <= 0 or self.closed:
                return filled
            if len(filled.specs) > before or why is None:
                path, why = [], filled.failures
            reasons = filled.reasons()
            path.append((size, reasons[1:]))
            size = shrunk(size, reasons[0]) if reasons else None
            if size is None:
                size = self._aside(filled, path)
        filled.failures = why or Counter()
        return filled

    def _aside(self, filled: Filled, path: list[tuple[Spec, list[Fail]]]) -> Spec | None:
        """A size that fits, from those of the path with less of one other thing.

        Where no larger size can fit once a smaller one does not (policies with one range), the smallest one that a
        policy allows decides for the whole path.
        """
        if all(len(policy.minmax) == 1 for policy in self._policies()):
            path = [one for one in path if self._large_enough(one[0])][-1:]
        tried: set[Spec] = set()
        while path:
            spec, reasons = path.pop()
            for reason in reasons:
                size = shrunk(spec, reason)
                while size is not None and size not in tried:
                    tried.add(size)
                    trial = Filled(filled.state.copy(), [*filled.specs])
                    if self._one(trial, size, self.conditions):
                        return size
                    size = shrunk(size, reason) if trial.failures[reason] else None
        return None

    def _large_enough(self, spec: Spec) -> bool:
        """Whether the policy of some group to allocate on allows as little."""
        return any(low.min.memory <= spec.memory and low.min.disk <= spec.disk and low.min.cpus <= spec.cpus
                   for policy in self._policies() for low in policy.minmax)

    def _policies(self) -> list[Policy]:
        return [self.data.groups[self.start.nodes[nodes[0]].group].policy for nodes in self.pool]


def _forget(state: State) -> None:
    """Take the last instance, which is nowhere, out again."""
    shorter = {name: getattr(state.amounts, name)[..., :-1] for name in Amounts._fields}
    state.amounts = state.amounts._replace(**shorter)
    state.primary, state.secondary = state.primary[:-1], state.secondary[:-1]
    state.instances, state.instance_ids = state.instances[:-1], state.instance_ids[:-1]
    tags = state.tags
    state.tags = tags._replace(exclusion=None if tags.exclusion is None else tags.exclusion[:-1],
                               lacking=None if tags.lacking is None else tags.lacking[:-1])


def shrunk(spec: Spec, reason: Fail) -> Spec | None:
    """The size with less of what the failure is about; None where it cannot be less."""
    match reason:
        case Fail.FailMem if spec.memory > MEMORY_STEP:
            return spec._replace(memory=spec.memory - MEMORY_STEP)
        case Fail.FailDisk if spec.disk > DISK_STEP:
            return spec._replace(disk=spec.disk - DISK_STEP)
        case Fail.FailCPU if spec.cpus > 1:
            return spec._replace(cpus=spec.cpus - 1)
        case Fail.FailSpindles if spec.spindle_use > 1:
            return spec._replace(spindle_use=spec.spindle_use - 1)
    return None


def saved(filled: Filled) -> ClusterData:
    """The cluster with the new instances."""
    state = filled.state
    new = [state.instances[index]._replace(
               primary=int(state.primary[index]),
               secondary=int(state.secondary[index]) if state.secondary[index] < state.count else NO_NODE)
           for index in range(len(state.data.instances), len(state.instances))]
    nodes = tuple(node._replace(free_disk=int(state.free_disk[at]), free_spindles=int(state.free_spindles[at]))
                  for at, node in enumerate(state.nodes))
    return state.data._replace(nodes=nodes, instances=(*state.data.instances, *new))
