# SPDX-License-Identifier: BSD-2-Clause
"""States of the core with instances that are nowhere yet, and what every node would be like with one of them.

An instance is nowhere while both its nodes are `state.count`, the entry of the arrays that means no node.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from hbal.core.arrays import OF_INSTANCES, State
from hbal.core.instances import Amounts, Bools, Floats, Ints
from hbal.core.tags import Tags
from hbal.model import NO_NODE, ClusterData, Instance


def open_state(data: ClusterData, nodes: Sequence[int], instances: Sequence[int],
               new: Iterable[Instance] = ()) -> State:
    """The state of the nodes (indices of `data`) and instances, and after these the new ones, nowhere yet."""
    coming = [one._replace(primary=NO_NODE, secondary=NO_NODE) for one in new]
    if not coming:
        return State(data, nodes, instances, old_rule=False)
    first = len(data.instances)
    grown = data._replace(instances=(*data.instances, *coming))
    state = State(grown, nodes, [*instances, *range(first, first + len(coming))], old_rule=False)
    at = len(instances)
    parts = amounts_of(coming)
    state.amounts = state.amounts._replace(**{
        name: np.concatenate([getattr(state.amounts, name)[..., :at], getattr(parts, name)], axis=-1)
        for name in ("drbd", "reserved")})
    return state


def whole(data: ClusterData, new: Iterable[Instance] = (), group: int | None = None) -> State:
    """The state of all nodes, or of those of a group with their instances."""
    if group is None:
        return open_state(data, range(len(data.nodes)), range(len(data.instances)), new)
    return open_state(data, data.nodes_of(group), data.instances_of(group), new)


def amounts_of(instances: Sequence[Instance]) -> Amounts:
    """What they weigh once they have the nodes that their templates need."""
    return Amounts.of([one._replace(primary=0, secondary=1 if one.template.has_secondary else NO_NODE)
                       for one in instances])


def append(state: State, instance: Instance, *, like: int | None = None) -> int:
    """Add an instance that is nowhere, in place; its index.  It has no tags, or those of the instance `like`."""
    index = len(state.instances)
    more = amounts_of([instance])
    state.amounts = Amounts(**{
        name: np.concatenate([getattr(state.amounts, name), getattr(more, name)], axis=-1)
        for name in Amounts._fields})
    nowhere = np.array([state.count])
    state.primary = np.concatenate([state.primary, nowhere])
    state.secondary = np.concatenate([state.secondary, nowhere])
    state.instances = [*state.instances, instance._replace(primary=NO_NODE, secondary=NO_NODE)]
    state.instance_ids = [*state.instance_ids, index]
    state.tags = _longer(state.tags, like)
    return index


def _longer(tags: Tags, like: int | None) -> Tags:
    def longer(table: Floats | None) -> Floats | None:
        if table is None:
            return None
        return np.concatenate([table, np.zeros((1, table.shape[1])) if like is None else table[like:like + 1]])

    if tags.exclusion is None and tags.lacking is None:
        return tags
    return tags._replace(exclusion=longer(tags.exclusion), lacking=longer(tags.lacking))


def retype(state: State, index: int, instance: Instance) -> None:
    """Let an instance that is nowhere be another one (its template or size changes)."""
    one = amounts_of([instance])
    changed = {}
    for name in Amounts._fields:
        values = getattr(state.amounts, name).copy()
        values[..., index] = getattr(one, name)[..., 0]
        changed[name] = values
    state.amounts = Amounts(**changed)
    state.instances = [*state.instances[:index], instance, *state.instances[index + 1:]]


class Grown(NamedTuple):
    """A state in which every node has the instance, as its primary or as its secondary: for looking, node by node."""

    state: State
    spindles: Floats
    """Free physical spindles after it, where they count."""
    spindles_forth: Floats


def as_primary(state: State, index: int) -> Grown:
    """Every node as if the instance, which is nowhere, had come to it as primary."""
    amounts, tags = state.amounts, state.tags
    grown = _with(state, index, amounts.on_primary)
    if state.tag_counts is not None and tags.exclusion is not None:
        grown.state.tag_counts = state.tag_counts + tags.exclusion[index]
    if tags.lacking is not None and amounts.real[index]:
        grown.state.location_score += tags.lacking[index, :state.count + 1]
    grown.state.failing = grown.state.unallocated <= state.largest[0]
    return grown


def as_secondary(state: State, index: int) -> Grown:
    """Every node as if the instance had come to it as secondary, but for the memory it would reserve."""
    return _with(state, index, state.amounts.on_secondary)


def _with(state: State, index: int, weights: Floats) -> Grown:
    """A view of the state with what the instance weighs on every node; and the free spindles then."""
    amounts, exclusive = state.amounts, state.limits.exclusive
    grown = state.seen_as(state.tally.copy())
    grown.tally[:OF_INSTANCES] += weights[:, index][:, None]
    if exclusive.any():
        grown.used_spindles[exclusive] = grown.used_spindles_forth[exclusive] = 0.0
        known, taken = bool(amounts.spindles_known[index]), amounts.spindles[index]
        grown.free_spindles_forth[exclusive] = (state.free_spindles_forth - taken)[exclusive] if known else -1.0
        if amounts.real[index]:
            grown.free_spindles[exclusive] = (state.free_spindles - taken)[exclusive] if known else -1.0
    return Grown(grown, grown.free_spindles, grown.free_spindles_forth)


def online(state: State) -> Ints:
    return np.flatnonzero(state.limits.online[:-1])


def scored(state: State, group: int | None = None) -> Bools:
    """Which nodes count for a score: those of a group (index of the data), or all."""
    if group is None:
        return np.ones(state.count, dtype=np.bool_)
    return np.array([node.group == group for node in state.nodes], dtype=np.bool_)
