# SPDX-License-Identifier: BSD-2-Clause
"""iallocator requests, one function a kind: from the parsed request to the reply."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hbal.alloc import allocate, dedicated, reasons
from hbal.alloc import places as at
from hbal.alloc.evacuate import Evacuation, Stuck, excluded
from hbal.alloc.memory import Memory
from hbal.core.arrays import State
from hbal.core.instances import Ints
from hbal.load import iallocator, names
from hbal.load.iallocator import (
    Allocate,
    AllocateSecondary,
    ChangeGroup,
    EvacMode,
    MultiAllocate,
    NodeEvacuate,
    Relocate,
    Request,
)
from hbal.load.options import KVM_NODE_MEMORY, Options, parse
from hbal.load.prepare import Wishes, prepare
from hbal.model import NO_NODE, AllocPolicy, ClusterData, Instance, Mirror, Node, Template


class Conditions(NamedTuple):
    """How to answer; the defaults are those of a request without options."""

    capacity_checks: bool = True
    ignore_soft_errors: bool = False
    ignore_loads: bool = False
    restrict_to: tuple[str, ...] | None = None
    kvm_memory: int = KVM_NODE_MEMORY

    @property
    def of_allocation(self) -> allocate.Conditions:
        return allocate.Conditions(self.capacity_checks, self.ignore_soft_errors)


OPTIONS = ("ignore-soft-errors", "no-capacity-checks", "restrict-allocation-to", "ignore-dynu",
           "static-kvm-node-memory", "verbose")
"""The options of hail that are about how to answer."""


def conditions(words: Sequence[str]) -> Conditions:
    """The conditions that command-line options ask for; raises Error."""
    return of_options(parse(OPTIONS, words)[0]) if words else Conditions()


def of_options(options: Options) -> Conditions:
    return Conditions(
        capacity_checks=not options.no_capacity_checks, ignore_soft_errors=options.ignore_soft_errors,
        ignore_loads=options.ignore_dynu, restrict_to=options.restrict_allocation_to,
        kvm_memory=options.static_kvm_node_memory)


class Refused(Exception):
    """Why a request cannot be granted: a sentence, and the table of reasons when it was wanted."""

    def __init__(self, sentence: str, table: str = "") -> None:
        super().__init__(sentence)
        self.table = table


class Granted(NamedTuple):
    """What a request gave: the log, the result, and the state of the cluster after it."""

    info: str
    result: Any
    after: State


class Task(NamedTuple):
    """A request on a cluster."""

    data: ClusterData
    request: Request
    conditions: Conditions
    verbose: bool = False
    base: State | None = None
    """The state of all nodes, where it is there already."""

    def state(self, new: Sequence[Instance] = (), group: int | None = None) -> State:
        """A state to work on: of all nodes or of a group, with new instances that are nowhere yet."""
        tagged = _tagged(self, new)
        if self.base is None or group is not None or any(one.exclusion_tags or one.desired_locations
                                                         for one in tagged):
            return at.whole(self.data, tagged, group)
        state = self.base.copy()
        for one in tagged:
            at.append(state, one)
        return state


def reply(message: dict[str, Any], conditions: Conditions, *, verbose: bool = False,
          memory: Memory | None = None) -> dict[str, Any]:
    """The reply to a message; raises LoadError when it cannot be understood.

    `memory` keeps what was made of the cluster, so that the next message need not be read all over again.
    """
    fields = iallocator.parse(message)
    wishes = Wishes(ignore_loads=conditions.ignore_loads, kvm_memory=conditions.kvm_memory)
    data, base = (memory or Memory()).cluster(fields, wishes)
    request = iallocator.request(fields, data)
    return written(Task(data, request, conditions, verbose, base))[0]


def written(task: Task) -> tuple[dict[str, Any], State | None]:
    """The reply as it is written, and the state after (None where the request was refused)."""
    try:
        granted = _HANDLERS[type(task.request)](task, task.request)
    except Refused as err:
        table = f"\n{err.table}" if task.verbose and err.table else ""
        return {"success": False, "info": f"Request failed: {err}{table}", "result": []}, None
    return ({"success": True, "info": f"Request successful: {granted.info}", "result": granted.result}, granted.after)


# --- allocation ------------------------------------------------------------------------------------------------


def _tagged(task: Task, instances: Sequence[Instance]) -> list[Instance]:
    """New instances with the fields that follow from the cluster's tags."""
    alone = ClusterData((), (Node("", 0),), tuple(one._replace(primary=0) for one in instances), task.data.tags)
    return [*prepare(alone, Wishes(ignore_loads=task.conditions.ignore_loads)).instances]


def _allocate(task: Task, request: Any) -> Granted:
    group = _named_group(task, request.group_name)
    state = task.state([request.instance], group)
    index = len(state.instances) - 1
    try:
        nodes, info = _find(task, state, index, request, group)
    except Refused as err:
        if task.verbose:
            err.table = reasons.table(state, index, request.required_nodes, task.conditions.of_allocation)
        raise
    allocate.place(state, index, nodes)
    return Granted(info, [state.nodes[node].name for node in nodes], state)


def _multi_allocate(task: Task, request: MultiAllocate) -> Granted:
    group = _named_group(task, request.requests[0].group_name if request.requests else None)
    state = task.state([one.instance for one in request.requests], group)
    first = len(state.instances) - len(request.requests)
    known = "" if group is None else _head(task, group)
    placed: list[list[Any]] = []
    failed: list[list[str]] = []
    for index, one in enumerate(request.requests, start=first):
        try:
            nodes, _ = _find(task, state, index, one, group)
        except Refused as err:
            failed.append([one.instance.name, str(err).removeprefix(known)])
            continue
        allocate.place(state, index, nodes)
        placed.append([one.instance.name, [state.nodes[node].name for node in nodes]])
    info = f"{len(failed)} instances failed to allocate and {len(placed)} were allocated successfully"
    return Granted(info, [placed, failed], state)


def _named_group(task: Task, name: str | None) -> int | None:
    if name is None:
        return None
    for index, group in enumerate(task.data.groups):
        if name in (group.uuid, group.name):
            return index
    raise Refused(f"Couldn't find group {name}")


def _find(task: Task, state: State, index: int, request: Allocate, group: int | None) -> tuple[tuple[int, ...], str]:
    """The nodes for an instance and the log that tells of the choice."""
    groups = [group] if group is not None else sorted({node.group for node in state.nodes})
    connected, dropped = _connected(task, groups, request)
    if group is not None and dropped:
        raise Refused(f"The {dropped[0]}")
    lonely = _lonely(task, state, group)
    solutions: list[tuple[int, allocate.Solution]] = []
    lines = list(dropped)
    for one in connected:
        data = task.data.groups[one]
        candidates = _candidates(task, state, one, request)
        why = _unable(candidates, request.required_nodes)
        if why:
            lines.append(why if group is not None else f"Group {data.name}: error {why}")
            continue
        solution = _solve(task, state, index, candidates, request.required_nodes, lonely)
        lines.append(_head(task, one) + solution.log([state.nodes[node].name for node in solution.nodes]))
        if solution.nodes and (group is not None or data.alloc_policy is not AllocPolicy.UNALLOCABLE):
            solutions.append((one, solution))
    if not solutions:
        raise Refused(", ".join(lines))
    chosen, solution = _preferred(task, solutions)
    if group is None:
        lines.insert(0, f"Selected group: {task.data.groups[chosen].name}")
    return solution.nodes, ", ".join(lines)


def _unable(candidates: Ints, required: int) -> str:
    """Why there is nothing to choose from; empty when there is."""
    if required not in (1, 2):
        return "Unsupported number of nodes, only one or two  supported"
    if len(candidates) < required:
        return "No online nodes" if required == 1 else "Not enough online nodes"
    return ""


def _head(task: Task, group: int) -> str:
    """How what is said of a group begins."""
    data = task.data.groups[group]
    return f"Group {data.name} ({data.alloc_policy}): "


def _connected(task: Task, groups: Sequence[int], request: Allocate) -> tuple[list[int], list[str]]:
    """The groups that have the instance's networks, and a sentence for each that has not."""
    networks = {nic.network for nic in request.instance.nics if nic.network is not None}
    connected, dropped = [], []
    for one in groups:
        data = task.data.groups[one]
        if networks <= set(data.networks):
            connected.append(one)
        else:
            dropped.append(f"group {data.name} is not connected to a network required by instance "
                           f"{request.instance.name}")
    return connected, dropped


def _lonely(task: Task, state: State, group: int | None) -> bool:
    """Whether allocation counts lost instances instead of the score."""
    if group is not None:
        return dedicated.applies(state, {group})
    return dedicated.applies(state, {index for index, one in enumerate(task.data.groups)
                                     if one.alloc_policy is not AllocPolicy.UNALLOCABLE})


def _candidates(task: Task, state: State, group: int, request: Allocate) -> Ints:
    restrict = task.conditions.restrict_to if task.conditions.restrict_to is not None else request.restrict_to
    nodes = [place for place in range(state.count)
             if state.nodes[place].group == group and state.limits.online[place]]
    if restrict is not None:
        allowed = {name for name in (_resolved(one, state) for one in restrict) if name is not None}
        nodes = [place for place in nodes if state.nodes[place].name in allowed]
    return np.array(nodes, dtype=np.int64)


def _resolved(name: str, state: State) -> str | None:
    known = [node.name for node in state.nodes]
    found = names.lookup(name, known)
    return None if found is None else known[found]


def _solve(task: Task, state: State, index: int, candidates: Ints, required: int,
           lonely: bool) -> allocate.Solution:  # noqa: FBT001  # one of two ways
    conditions = task.conditions.of_allocation
    if lonely:
        return dedicated.best(state, index, candidates, required, conditions)
    if required == 2:
        return allocate.pair(state, index, candidates, candidates, conditions)
    return allocate.single(state, index, candidates, conditions)


def _preferred(task: Task, solutions: Sequence[tuple[int, allocate.Solution]]) -> tuple[int, allocate.Solution]:
    """The solution of the preferred groups with the best score; of equal ones the last."""
    def rank(item: tuple[int, allocate.Solution]) -> tuple[object, ...]:
        return task.data.groups[item[0]].alloc_policy is not AllocPolicy.PREFERRED, *item[1].order

    return min(reversed(solutions), key=rank)


def _allocate_secondary(task: Task, request: AllocateSecondary) -> Granted:
    old = task.data.instances[request.instance]
    if old.secondary != NO_NODE:
        raise Refused(f"Instance {old.name} already has a secondary node")
    state, index = task.state(), request.instance
    state.move(index, state.count, state.count)
    at.retype(state, index, old._replace(template=Template.DRBD))
    group = task.data.nodes[old.primary].group
    others = np.array([node for node in task.data.nodes_of(group) if node != old.primary], dtype=np.int64)
    solution = allocate.pair(state, index, np.array([old.primary]), others, task.conditions.of_allocation)
    chosen = [state.nodes[node].name for node in solution.nodes]
    if not solution.nodes:
        raise Refused(solution.log(chosen))
    allocate.place(state, index, solution.nodes)
    return Granted(solution.log(chosen), chosen[1], state)


# --- relocation ------------------------------------------------------------------------------------------------


def _relocate(task: Task, request: Relocate) -> Granted:
    instance = task.data.instances[request.instance]
    if request.required_nodes != 1:
        raise Refused(f"Exchange {request.required_nodes} nodes mode is not implemented")
    mirror = instance.template.mirror
    if mirror is Mirror.NONE:
        raise Refused("Can't relocate non-mirrored instances")
    inside = mirror is Mirror.INTERNAL
    leaves = instance.secondary if inside else instance.primary
    if request.relocate_from != (leaves,):
        given = f"[{','.join(map(str, request.relocate_from))}]"
        word = "secondary" if inside else "primary"
        raise Refused(f"Unsupported request: excluded nodes not equal to instance's {word}({leaves} versus {given})")
    state = task.state()
    mode = EvacMode.SECONDARY if inside else EvacMode.PRIMARY
    _, failed, _ = _evacuate(task, state, [request.instance], mode)
    if failed:
        raise Refused(failed[0][1])
    place = state.secondary[request.instance] if inside else state.primary[request.instance]
    return Granted("success", [state.nodes[int(place)].name], state)


def _node_evacuate(task: Task, request: NodeEvacuate) -> Granted:
    state = task.state()
    return _moved(state, _evacuate(task, state, request.instances, request.mode))


Moves = tuple[list[list[Any]], list[list[str]], list[list[dict[str, Any]]]]


def _evacuate(task: Task, state: State, instances: Sequence[int], mode: EvacMode) -> Moves:
    avoid = excluded(state, instances, mode)
    evacuation = Evacuation(state, task.conditions.ignore_soft_errors)

    def move(index: int) -> tuple[int, list[dict[str, Any]]]:
        group = state.nodes[int(state.primary[index])].group
        barred = avoid | {int(state.primary[index])}
        available = [node for node in range(state.count) if state.nodes[node].group == group
                     and node not in barred and state.limits.online[node]]
        return group, evacuation.move(index, mode, np.array(available, dtype=np.int64), group)

    return _each(task, state, instances, move)


def _each(task: Task, state: State, instances: Sequence[int],
          move: Callable[[int], tuple[int, list[dict[str, Any]]]]) -> Moves:
    moved: list[list[Any]] = []
    failed: list[list[str]] = []
    jobs = []
    for index in instances:
        instance = state.instances[index]
        try:
            group, opcodes = move(index)
        except (Stuck, Refused) as err:
            failed.append([instance.name, str(err)])
            continue
        places = [int(state.primary[index]), int(state.secondary[index])]
        moved.append([instance.name, task.data.groups[group].name,
                      [state.nodes[node].name for node in places if node < state.count]])
        jobs.append(opcodes)
    return moved, failed, jobs


def _moved(state: State, moves: Moves) -> Granted:
    moved, failed, _ = moves
    info = f"{len(failed)} instances failed to move and {len(moved)} were moved successfully"
    return Granted(info, [*moves], state)


def _change_group(task: Task, request: ChangeGroup) -> Granted:
    state = task.state()
    left = {state.nodes[int(state.primary[index])].group for index in request.instances}
    wanted = [group for group in (request.groups or range(len(task.data.groups))) if group not in left]
    populated = sorted({node.group for node in task.data.nodes})
    targets = [group for group in wanted if group in populated]
    evacuation = Evacuation(state, task.conditions.ignore_soft_errors)

    def move(index: int) -> tuple[int, list[dict[str, Any]]]:
        if not targets:
            known = ",".join(task.data.groups[group].name for group in populated)
            raise Stuck(f"no groups for evacuation: allowed groups was Just [{','.join(map(str, wanted))}], "
                        f"all groups: [{known}]")
        group = _best_group(task, state, index, targets)
        available = [node for node in range(state.count)
                     if state.nodes[node].group == group and state.limits.online[node]]
        return group, evacuation.move(index, EvacMode.ALL, np.array(available, dtype=np.int64), group)

    return _moved(state, _each(task, state, request.instances, move))


def _best_group(task: Task, state: State, index: int, targets: Sequence[int]) -> int:
    """The group that a copy of the instance would be allocated in, the instance still being where it is."""
    instance = state.instances[index]
    trial = state.copy()
    copy = at.append(trial, instance, like=index)
    request = Allocate(instance, allocate.needed(instance))
    connected, dropped = _connected(task, targets, request)
    solutions: list[tuple[int, allocate.Solution]] = []
    lines = list(dropped)
    for group in connected:
        data = task.data.groups[group]
        candidates = _candidates(task, trial, group, request)
        why = _unable(candidates, request.required_nodes)
        if why:
            lines.append(f"Group {data.name}: error {why}")
            continue
        solution = _solve(task, trial, copy, candidates, request.required_nodes, lonely=False)
        lines.append(f"Group {data.name} ({data.alloc_policy}): "
                     + solution.log([state.nodes[node].name for node in solution.nodes]))
        if solution.nodes and data.alloc_policy is not AllocPolicy.UNALLOCABLE:
            solutions.append((group, solution))
    if not solutions:
        raise Refused(", ".join(lines))
    return _preferred(task, solutions)[0]


_HANDLERS: dict[type, Callable[[Task, Any], Granted]] = {
    Allocate: _allocate, MultiAllocate: _multi_allocate, AllocateSecondary: _allocate_secondary, Relocate: _relocate,
    NodeEvacuate: _node_evacuate, ChangeGroup: _change_group}
