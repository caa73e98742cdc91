# SPDX-License-Identifier: BSD-2-Clause
"""Which nodes could be switched off, or must be switched on, for the load there is."""

from collections.abc import Sequence
from typing import NamedTuple

from hbal.alloc import checks, places
from hbal.alloc.checks import FITS
from hbal.core.arrays import State, build
from hbal.core.greedy import Greedy, Stop
from hbal.core.moves import Restrictions, Step
from hbal.model import NO_NODE, ClusterData, Disk, Instance, Status, Template

STANDBY = "htools:standby:"
"""Node tags that begin so mark nodes which may be switched on."""
AUTO = f"{STANDBY}auto"
WITHOUT_END = Stop(min_gain=0.0, min_gain_limit=0.0)


class Outcome(NamedTuple):
    """Nodes in their order, the steps that go with them, and the state after."""

    nodes: list[int]
    steps: list[Step]
    state: State


def offline_candidates(data: ClusterData) -> list[int]:
    """Nodes that could go: no master, no secondaries, no primaries on local disks.  The fullest first."""
    counts = dict.fromkeys(range(len(data.nodes)), 0)
    barred = {index for index, node in enumerate(data.nodes) if node.offline or node.master}
    for instance in data.instances:
        if instance.forthcoming:
            continue
        counts[instance.primary] += 1
        if instance.template.local:
            barred |= {instance.primary, instance.secondary}
        elif instance.secondary != NO_NODE:
            barred.add(instance.secondary)
    return sorted((node for node in counts if node not in barred), key=lambda node: -counts[node])


def online_candidates(data: ClusterData) -> list[int]:
    return [index for index, node in enumerate(data.nodes)
            if node.offline and any(tag.startswith(STANDBY) for tag in node.tags)]


def roomy(state: State, factor: float) -> bool:
    """Whether every online node can take an instance of `factor` times the standard size, on external storage."""
    standard = state.data.policy.standard
    extra = Instance("extra", int(factor * standard.memory), 0, (Disk(0),), int(factor * standard.cpus),
                     Status.RUNNING, auto_balance=True, primary=NO_NODE, secondary=NO_NODE, template=Template.EXT)
    trial = state.copy()
    index = places.append(trial, extra)
    modes = checks.primary_modes(trial, index, places.as_primary(trial, index), forced=False)
    return all(modes[node] == FITS for node in places.online(trial))


def balanced(data: ClusterData, nodes: Sequence[int], *, offline: bool) -> Outcome:
    """The cluster balanced with these nodes offline, or online."""
    chosen = set(nodes)
    changed = data._replace(nodes=tuple(node._replace(offline=offline) if index in chosen else node
                                        for index, node in enumerate(data.nodes)))
    search = Greedy(build(changed), Restrictions(), WITHOUT_END)
    steps = [*search.steps()]
    return Outcome([*nodes], steps, search.state)


def _all_online(state: State) -> bool:
    online = state.limits.online
    return all(online[pri] and (sec >= state.count or online[sec])
               for pri, sec in zip(state.primary, state.secondary, strict=True))


def to_offline(data: ClusterData, candidates: Sequence[int], factor: float) -> Outcome:
    """The nodes that can go, taken one after the other, the emptiest first."""
    best = Outcome([], [], build(data))
    for node in reversed(candidates):
        found = balanced(data, [node, *best.nodes], offline=True)
        if _all_online(found.state) and roomy(found.state, factor):
            best = found
    return best


def to_online(data: ClusterData, candidates: Sequence[int], factor: float) -> tuple[Outcome, bool]:
    """The first of the candidates that together make enough room; whether they do.

    None of them where balancing is enough, all of them where even they are not.
    """
    found = balanced(data, [], offline=False)
    for count in range(1, len(candidates) + 1):
        if roomy(found.state, factor):
            break
        found = balanced(data, candidates[:count], offline=False)
    return found, roomy(found.state, factor)
