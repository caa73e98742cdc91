# SPDX-License-Identifier: BSD-2-Clause
"""Why a node cannot hold an instance: the rules of placement in their order, the first one broken names the failure.

The same limits as `core.feasible`, which asks only whether all of them hold; here the question is which does not, and
by how much.  Soft rules are skipped when `forced`.
"""

import operator
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hbal.alloc.places import Grown
from hbal.core.arrays import State
from hbal.core.instances import Bools, Floats
from hbal.model import Instance, Policy, Spec, Template


class Fail(IntEnum):
    """Failures in the order in which they are listed."""

    FailMem = 0
    FailDisk = 1
    FailCPU = 2
    FailN1 = 3
    FailTags = 4
    FailMig = 5
    FailDiskCount = 6
    FailSpindles = 7
    FailInternal = 8


FITS = -1
Modes = NDArray[np.int64]


class Rule(NamedTuple):
    """One rule on every node: where it is broken, and of what the node has how much against what is needed."""

    fail: Fail
    hard: bool
    broken: Bools
    what: str
    has: Floats
    needs: Floats


def _hard(fail: Fail, broken: Bools, what: str, has: Floats, needs: Floats) -> Rule:
    return Rule(fail, True, broken, what, has, needs)  # noqa: FBT003  # what the function is for


def _soft(fail: Fail, broken: Bools, what: str, has: Floats, needs: Floats) -> Rule:
    return Rule(fail, False, broken, what, has, needs)  # noqa: FBT003  # what the function is for


def primary_rules(state: State, index: int, grown: Grown) -> Iterator[Rule]:
    """The rules for a primary, in order; `grown` is what `places.as_primary` made of the state."""
    amounts, limits, after = state.amounts, state.limits, grown.state
    real, local = bool(amounts.real[index]), bool(amounts.local[index])
    memory, disk = _full(state, amounts.memory[index]), _full(state, amounts.disk_forth[index])
    if real:
        yield _hard(Fail.FailMem, after.unallocated <= 0, "unallocated memory", state.unallocated, memory)
    if real and local:
        yield from _local(state, index, grown)
    if real:
        yield _soft(Fail.FailMem, (after.unallocated <= state.largest[0]) & ~state.failing,
                   "unallocated memory less what is reserved", state.unallocated - state.largest[0], memory)
        yield _soft(Fail.FailCPU, after.used_cpus > limits.most_cpus, "virtual CPUs",
                   limits.most_cpus - state.used_cpus, _full(state, amounts.cpus[index]))
    if real and state.tag_counts is not None and state.tags.exclusion is not None:
        taken = (state.tags.exclusion[index] * (state.tag_counts > 0)).sum(axis=1)
        yield _soft(Fail.FailTags, taken > 0, "exclusion tags of others", -taken, _full(state, 0.0))
    yield _soft(Fail.FailMem, after.free_memory_forth <= 0, "memory, forthcoming instances counted",
               state.free_memory_forth, _full(state, amounts.memory_forth[index]))
    if local:
        yield _soft(Fail.FailDisk, (after.free_disk_forth <= 0) | (after.free_disk_forth < limits.low_disk),
                   "disk, forthcoming instances counted", state.free_disk_forth - limits.low_disk, disk)
        yield from _local_forth(state, index, grown)
    yield _soft(Fail.FailCPU, after.used_cpus_forth > limits.most_cpus, "virtual CPUs, forthcoming ones counted",
               limits.most_cpus - state.used_cpus_forth, _full(state, amounts.cpus_forth[index]))


def secondary_rules(state: State, index: int, grown: Grown, *, ignore_disk: bool = False) -> Iterator[Rule]:
    """The rules for a secondary that do not depend on the primary; N+1 is judged by `secondary_modes`."""
    amounts = state.amounts
    real, reserved = bool(amounts.real[index]), _full(state, amounts.reserved[index])
    nothing = _full(state, 0.0)
    if not state.instances[index].template.has_secondary:
        yield _hard(Fail.FailDisk, np.ones(state.count + 1, dtype=np.bool_), "second copy of the disks", nothing,
                   nothing)
    if real:
        yield from _local(state, index, grown, ignore_disk=ignore_disk)
        yield _soft(Fail.FailMem, reserved >= state.unallocated, "unallocated memory", state.unallocated,
                   reserved)


def secondary_rules_forth(state: State, index: int, grown: Grown) -> Iterator[Rule]:
    """The last rules for a secondary."""
    after, limits = grown.state, state.limits
    yield _soft(Fail.FailDisk, (after.free_disk_forth <= 0) | (after.free_disk_forth < limits.low_disk),
               "disk, forthcoming instances counted", state.free_disk_forth - limits.low_disk,
               _full(state, state.amounts.disk_forth[index]))
    yield from _local_forth(state, index, grown)
    reserved = _full(state, state.amounts.reserved[index])
    yield _soft(Fail.FailMem, reserved >= state.free_memory_forth, "memory, forthcoming instances counted",
               state.free_memory_forth, reserved)


def _local(state: State, index: int, grown: Grown, *, ignore_disk: bool = False) -> Iterator[Rule]:
    """Disk and spindles of the node itself."""
    amounts, limits, after = state.amounts, state.limits, grown.state
    disk = _full(state, amounts.disk[index])
    if not ignore_disk:
        yield _hard(Fail.FailDisk, after.free_disk <= 0, "free disk", state.free_disk, disk)
    yield _soft(Fail.FailDisk, after.free_disk < limits.low_disk, "free disk less what is to stay free",
               state.free_disk - limits.low_disk, disk)
    if limits.exclusive.any():
        yield _hard(Fail.FailSpindles, limits.exclusive & (grown.spindles < 0), "free spindles",
                   state.free_spindles, _full(state, amounts.spindles[index]))
    yield _soft(Fail.FailDisk, ~limits.exclusive & (after.used_spindles > limits.high_spindles), "spindle use",
               limits.high_spindles - state.used_spindles, _full(state, amounts.spindle_use[index]))


def _local_forth(state: State, index: int, grown: Grown) -> Iterator[Rule]:
    amounts, limits, after = state.amounts, state.limits, grown.state
    if limits.exclusive.any():
        yield _soft(Fail.FailSpindles, limits.exclusive & (grown.spindles_forth < 0),
                   "free spindles, forthcoming instances counted", state.free_spindles_forth,
                   _full(state, amounts.spindles[index]))
    yield _soft(Fail.FailDisk, ~limits.exclusive & (after.used_spindles_forth > limits.high_spindles),
               "spindle use, forthcoming instances counted", limits.high_spindles - state.used_spindles_forth,
               _full(state, amounts.spindle_use_forth[index]))


def _full(state: State, value: float) -> Floats:
    return np.full(state.count + 1, value)


def first_broken(rules: Iterator[Rule], size: int, *, forced: bool) -> Modes:
    """By node, the failure of the first rule broken, or FITS."""
    modes = np.full(size, FITS, dtype=np.int64)
    for rule in rules:
        if (rule.hard or not forced) and rule.broken.any():
            modes[(modes == FITS) & rule.broken] = rule.fail
    return modes


def primary_modes(state: State, index: int, grown: Grown, *, forced: bool) -> Modes:
    """By node (and one entry for no node): why the instance cannot be primary there."""
    return first_broken(primary_rules(state, index, grown), state.count + 1, forced=forced)


def secondary_modes(state: State, index: int, grown: Grown, primaries: "slice | NDArray[np.int64]", *, forced: bool,
                    ignore_disk: bool = False) -> Modes:
    """Primaries x nodes: why the instance cannot be secondary there, its primary being the one of the row."""
    size = state.count + 1
    alone = first_broken(secondary_rules(state, index, grown, ignore_disk=ignore_disk), size, forced=forced)
    last = FITS * np.ones(size, dtype=np.int64)
    breaks: Bools | None = None
    if not forced:
        last = first_broken(secondary_rules_forth(state, index, grown), size, forced=False)
        if state.amounts.real[index]:
            kept = state.peers_by_primary[primaries] + state.amounts.reserved[index]
            breaks = (state.unallocated <= np.maximum(state.largest[0], kept)) & ~state.failing
    rows = len(np.arange(size)[primaries])
    modes = np.broadcast_to(alone, (rows, size)).copy()
    if breaks is not None:
        modes[(modes == FITS) & breaks] = Fail.FailMem
    late = np.broadcast_to(last, (rows, size))
    return np.where(modes == FITS, late, modes)


def policy_failure(instance: Instance, policy: Policy, *, exclusive: bool) -> Fail | None:
    """Why the policy forbids the instance: its size, with several ranges as the first has it, or its template."""
    first: Fail | None = None
    for pair in policy.minmax:
        failure = _beyond(instance, pair.min, operator.lt, exclusive=exclusive)
        if failure is None:
            failure = _beyond(instance, pair.max, operator.gt, exclusive=exclusive)
        if failure is None:
            return None if instance.template in policy.templates else Fail.FailDisk
        first = failure if first is None else first
    return first


def _beyond(instance: Instance, bound: Spec, out: Callable[[int, int], bool], *, exclusive: bool) -> Fail | None:
    """What is out of bounds, the smaller or the larger ones; with exclusive storage missing spindles are, too."""
    if out(instance.memory, bound.memory):
        return Fail.FailMem
    if any(out(disk.size, bound.disk) for disk in instance.disks):
        return Fail.FailDisk
    if out(instance.vcpus, bound.cpus):
        return Fail.FailCPU
    spindles = instance.spindles if exclusive else instance.spindle_use
    if spindles is None or out(spindles, bound.spindle_use):
        return Fail.FailSpindles
    if instance.template is not Template.DISKLESS and out(len(instance.disks), bound.disk_count):
        return Fail.FailDiskCount
    return None
