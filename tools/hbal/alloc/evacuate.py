# SPDX-License-Identifier: BSD-2-Clause
"""New nodes for an instance that must leave: failovers and new secondaries, checked step by step as they would run."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hbal.alloc import checks, values
from hbal.alloc.checks import FITS, Fail
from hbal.alloc.places import as_primary, as_secondary, scored
from hbal.alloc.redundancy import last_best
from hbal.core.arrays import State
from hbal.core.instances import Ints
from hbal.load.iallocator import EvacMode
from hbal.model import Instance, Mirror

OpCode = dict[str, Any]


class Stuck(Exception):
    """Why an instance cannot be moved: a sentence."""


class Evacuation(NamedTuple):
    """A state in which instances move; `move` changes it."""

    state: State
    ignore_soft_errors: bool = False

    def move(self, index: int, mode: EvacMode, available: Ints, group: int) -> list[OpCode]:
        """Move an instance to the best of the available nodes of the group; the opcodes that do it.  Raises Stuck."""
        instance = self.state.instances[index]
        match instance.template.mirror:
            case Mirror.NONE:
                raise Stuck(f"Instances of type {instance.template} cannot be relocated")
            case Mirror.EXTERNAL:
                if mode is EvacMode.SECONDARY:
                    raise Stuck(f"Instances with disk template '{instance.template}' can't execute change secondary")
                return self._anywhere(index, available, group)
        match mode:
            case EvacMode.PRIMARY:
                failure = self._failover(self.state, index)
                if failure is not None:
                    raise Stuck(failure.name)
                return [migration(instance)]
            case EvacMode.SECONDARY:
                return self._new_secondary(index, available, group)
            case EvacMode.ALL:
                return self._both(index, available, group)

    def _offline(self, node: int) -> bool:
        return not bool(self.state.limits.online[node])

    # --- single steps ------------------------------------------------------------------------------------------

    def _failover(self, state: State, index: int) -> Fail | None:
        """Let primary and secondary change places, unless that breaks a rule."""
        primary, secondary = int(state.primary[index]), int(state.secondary[index])
        if not _may_migrate(state, primary, secondary):
            return Fail.FailMig
        left = self._offline(primary)
        forced = left or self.ignore_soft_errors
        state.move(index, state.count, state.count)
        mode = int(checks.primary_modes(state, index, as_primary(state, index), forced=forced)[secondary])
        if mode == FITS:
            heads = np.array([secondary])
            mode = int(checks.secondary_modes(state, index, as_secondary(state, index), heads, forced=forced,
                                              ignore_disk=left)[0, primary])
        if mode != FITS:
            state.move(index, primary, secondary)
            return Fail(mode)
        state.move(index, secondary, primary)
        return None

    def _secondaries(self, state: State, index: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        """By node, why it cannot be the new secondary; leaves the instance nowhere."""
        primary, secondary = int(state.primary[index]), int(state.secondary[index])
        forced = self.ignore_soft_errors or (secondary < state.count and self._offline(secondary))
        state.move(index, state.count, state.count)
        heads = np.array([primary])
        modes = checks.secondary_modes(state, index, as_secondary(state, index), heads, forced=forced)[0]
        back = int(checks.primary_modes(state, index, as_primary(state, index), forced=True)[primary])
        return modes if back == FITS else np.where(modes == FITS, back, modes)

    # --- whole moves -------------------------------------------------------------------------------------------

    def _anywhere(self, index: int, available: Ints, group: int) -> list[OpCode]:
        state, primary = self.state, int(self.state.primary[index])
        forced = self.ignore_soft_errors or self._offline(primary)
        state.move(index, state.count, state.count)
        grown = as_primary(state, index)
        modes = checks.primary_modes(state, index, grown, forced=forced)
        barred = [node for node in available if not _may_migrate(state, primary, int(node))]
        modes[np.array(barred, dtype=np.int64)] = Fail.FailMig
        fits = available[modes[available] == FITS]
        if not len(fits):
            state.move(index, primary, state.count)
            raise Stuck(self._no_node(modes, available))
        target = int(fits[last_best(values.singles(state, index, fits, grown, scored(state, group)))])
        state.move(index, target, state.count)
        return [migration(state.instances[index], state.nodes[target].name)]

    def _no_node(self, modes: Ints, available: Ints) -> str:
        failures = "".join(f" Node {self.state.nodes[node].name} failed: {Fail(int(modes[node])).name};"
                           for node in available)
        return f"Can't find any good node: {failures}"

    def _new_secondary(self, index: int, available: Ints, group: int) -> list[OpCode]:
        state, old = self.state, (int(self.state.primary[index]), int(self.state.secondary[index]))
        modes = self._secondaries(state, index)
        fits = available[modes[available] == FITS]
        if not len(fits):
            state.move(index, *old)
            raise Stuck(self._no_node(modes, available))
        target = int(fits[last_best(self._scores(state, index, old[0], fits, group))])
        state.move(index, old[0], target)
        return [replacement(state.instances[index], state.nodes[target].name)]

    def _scores(self, state: State, index: int, primary: int, targets: Ints,
                group: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        grown = as_primary(state, index), as_secondary(state, index)
        table = values.pairs(state, index, np.array([primary]), targets, grown, scored(state, group))
        return table.reshape(-1)

    def _both(self, index: int, available: Ints, group: int) -> list[OpCode]:
        if len(available) < 2:
            raise Stuck("Can't find any good nodes for relocation: no nodes available")
        start = self.state.copy()
        first = self._offline(int(start.primary[index]))
        failure = self._failover(start, index) if first else None
        failed = "Failing over to the secondary"
        best: tuple[float, int, int] | None = None
        for head in available if failure is None else ():
            state = start.copy()
            modes = self._secondaries(state, index)
            state.move(index, int(start.primary[index]), int(start.secondary[index]))
            if modes[head] != FITS:
                failure, failed = Fail(int(modes[head])), "Changing secondary to new primary"
                continue
            state.move(index, int(start.primary[index]), int(head))
            failure = self._failover(state, index)
            if failure is not None:
                failed = "Failing over to new primary"
                continue
            tails = available[available != head]
            modes = self._secondaries(state, index)
            fits = tails[modes[tails] == FITS]
            if modes[tails[-1]] != FITS:
                failure, failed = Fail(int(modes[tails[-1]])), "Changing secondary to final secondary"
            if len(fits):
                scores = self._scores(state, index, int(head), fits, group)
                place = last_best(scores)
                if best is None or scores[place] <= best[0]:
                    best = (float(scores[place]), int(head), int(fits[place]))
        if best is None:
            reason = failure.name if failure is not None else ""
            raise Stuck(f"Can't find any good nodes for relocation: Allocation failed: {failed}: {reason}")
        self.state.move(index, best[1], best[2])
        instance, names = self.state.instances[index], [self.state.nodes[node].name for node in best[1:]]
        steps = [replacement(instance, names[0]), migration(instance), replacement(instance, names[1])]
        return [migration(instance), *steps] if first else steps


def _may_migrate(state: State, source: int, target: int) -> bool:
    return state.tags.migration is None or bool(state.tags.migration[source, target])


def migration(instance: Instance, target: str | None = None) -> OpCode:
    """The opcode that moves an instance to its secondary, or to a node that is named."""
    where = {} if target is None else {"target_node": target}
    if instance.forthcoming:
        return {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": instance.name, "ignore_consistency": False, **where,
                "ignore_ipolicy": False, "cleanup": False}
    return {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": instance.name, **where, "allow_runtime_changes": False,
            "ignore_ipolicy": False, "cleanup": False, "allow_failover": True, "ignore_hvversions": True}


def replacement(instance: Instance, target: str) -> OpCode:
    """The opcode that gives an instance a new secondary."""
    return {"OP_ID": "OP_INSTANCE_REPLACE_DISKS", "instance_name": instance.name, "early_release": False,
            "ignore_ipolicy": False, "mode": "replace_new_secondary", "disks": [], "remote_node": target}


def excluded(state: State, instances: Sequence[int], mode: EvacMode) -> set[int]:
    """Nodes that instances which evacuate must not come to: those they leave."""
    nodes: set[int] = set()
    for index in instances:
        if mode is not EvacMode.SECONDARY:
            nodes.add(int(state.primary[index]))
        if mode is not EvacMode.PRIMARY and state.secondary[index] < state.count:
            nodes.add(int(state.secondary[index]))
    return nodes
