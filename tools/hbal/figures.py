# SPDX-License-Identifier: BSD-2-Clause
"""What a cluster's nodes come to, and its score, in plain Python: for the programs that only look.

One pass over nodes and instances; the numpy core does the same for programs that search.
"""

import math
from collections.abc import Iterable, Sequence

from hbal.model import NO_NODE, ClusterData, Instance, Node

METRICS: tuple[tuple[str, float], ...] = (
    ("free_mem_cv", 0.5), ("free_disk_cv", 0.5), ("n1_cnt", 1.0), ("reserved_mem_cv", 1.0),
    ("offline_all_cnt", 4.0), ("offline_pri_cnt", 16.0), ("vcpu_ratio_cv", 0.5), ("cpu_load_cv", 1.0),
    ("mem_load_cv", 1.0), ("disk_load_cv", 1.0), ("net_load_cv", 1.0), ("pri_tags_score", 2.0),
    ("spindles_cv", 0.5), ("free_mem_cv_forth", 0.5), ("free_disk_cv_forth", 0.5), ("vcpu_ratio_cv_forth", 0.5),
    ("spindles_cv_forth", 0.5), ("location_score", 1.0), ("location_exclusion_score", 1.0),
    ("reserved_mem_rtotal", 0.25))
"""Names and weights, in the order of printing and adding."""


class NodeFigures:
    """One node's quantities; the fields that end in `forth` count forthcoming instances too.  Made without
    instances, which are added then.
    """

    __slots__ = ("cpus", "cpus_forth", "exclusion", "free_disk", "free_disk_forth", "free_memory_forth",
                 "free_spindles", "free_spindles_forth", "high_spindles", "index", "instance_memory", "loads",
                 "location_score", "missing", "node", "peers", "primaries", "secondaries", "spindles",
                 "spindles_forth")

    def __init__(self, node: Node, index: int, high_spindles: float) -> None:
        self.node, self.index, self.high_spindles = node, index, high_spindles
        self.missing = node.missing_memory or 0
        self.cpus = self.cpus_forth = node.node_cpus
        self.free_disk = self.free_disk_forth = node.free_disk
        self.free_memory_forth = node.free_memory
        self.free_spindles = self.free_spindles_forth = node.free_spindles
        self.primaries: list[int] = []
        self.secondaries: list[int] = []
        self.instance_memory = self.spindles = self.spindles_forth = self.location_score = 0
        self.peers: dict[int, int] = {}
        self.loads = [0.0] * 4
        """cpu, memory, disk, network."""
        self.exclusion: dict[str, int] = {}

    @property
    def unallocated(self) -> int:
        recorded = int(self.node.total_memory) - self.node.node_memory - self.instance_memory
        return recorded - max(0, self.missing)

    @property
    def reserved(self) -> int:
        return max(self.peers.values(), default=0)

    @property
    def available_memory(self) -> int:
        return max(0, self.unallocated - self.reserved)

    @property
    def free_memory_part(self) -> float:
        return divided(self.unallocated, self.node.total_memory)

    @property
    def free_disk_part(self) -> float:
        return self._disk_part(self.free_spindles, self.free_disk)

    @property
    def free_disk_part_forth(self) -> float:
        return self._disk_part(self.free_spindles_forth, self.free_disk_forth)

    def _disk_part(self, spindles: int, disk: int) -> float:
        free, total = (spindles, float(self.node.spindles)) if self.node.exclusive_storage else (
            disk, self.node.total_disk)
        return free / total if total else 1.0

    @property
    def reserved_part(self) -> float:
        return divided(self.reserved, self.node.total_memory)

    @property
    def cpu_ratio(self) -> float:
        return divided(self.cpus, self.node.total_cpus)

    @property
    def fails_n1(self) -> bool:
        return self.unallocated <= self.reserved

    @property
    def instance_count(self) -> int:
        return len(self.primaries) + len(self.secondaries)


def divided(numerator: float, denominator: float) -> float:
    """The quotient as IEEE has it."""
    if denominator:
        return numerator / denominator
    return math.nan if not numerator or math.isnan(numerator) else math.copysign(math.inf, numerator)


def figures(data: ClusterData) -> list[NodeFigures]:
    """The figures of every node of a prepared cluster."""
    found = [NodeFigures(node, index, data.groups[node.group].policy.spindle_ratio * node.spindles)
             for index, node in enumerate(data.nodes)]
    for index, instance in enumerate(data.instances):
        _add_primary(found[instance.primary], instance, index)
        if instance.secondary != NO_NODE:
            _add_secondary(found[instance.secondary], instance, index)
        if not instance.forthcoming:
            found[instance.primary].location_score += _location_score(data, instance)
    for one in found:
        if one.node.cpu_load is not None:
            one.loads[0] = one.node.cpu_load
        if one.node.exclusive_storage:
            one.spindles = one.spindles_forth = 0
    return found


def _add_primary(node: NodeFigures, instance: Instance, index: int) -> None:
    if not instance.uses_memory:
        node.free_memory_forth -= instance.memory
    if instance.online:
        node.cpus_forth += instance.vcpus
    _add_either(node, instance)
    for tag in instance.exclusion_tags:
        node.exclusion[tag] = node.exclusion.get(tag, 0) + 1
    if instance.forthcoming:
        return
    node.primaries.append(index)
    if instance.uses_memory:
        node.instance_memory += instance.memory
    if instance.online:
        node.cpus += instance.vcpus
    load = instance.load
    for place, value in enumerate((load.cpu, load.memory, load.disk, load.network)):
        node.loads[place] += value


def _add_secondary(node: NodeFigures, instance: Instance, index: int) -> None:
    _add_either(node, instance)
    if instance.forthcoming:
        return
    node.secondaries.append(index)
    memory = instance.memory if instance.reserves_memory else 0
    node.peers[instance.primary] = node.peers.get(instance.primary, 0) + memory
    node.loads[2] += instance.load.disk


def _add_either(node: NodeFigures, instance: Instance) -> None:
    """Disk and spindles, the same for both nodes.  What is reported free counts the real instances already; an
    instance without data about its spindles makes those of the node unknown.
    """
    if instance.forthcoming:
        spindles = instance.spindles
        node.free_spindles_forth = -1 if spindles is None else node.free_spindles_forth - spindles
    if not instance.template.local:
        return
    node.spindles_forth += instance.spindle_use
    if not instance.forthcoming:
        node.spindles += instance.spindle_use
        return
    node.free_disk_forth -= instance.disk


def _location_score(data: ClusterData, instance: Instance) -> int:
    here = data.nodes[instance.primary].location_tags
    there = data.nodes[instance.secondary].location_tags if instance.secondary != NO_NODE else frozenset()
    return len(here & there) + len(instance.desired_locations - here)


def metrics(data: ClusterData, nodes: Sequence[NodeFigures]) -> tuple[float, ...]:
    """The values of METRICS over these nodes; none where no node is online."""
    on = [one for one in nodes if not one.node.offline]
    off = [one for one in nodes if one.node.offline]
    if not on:
        return ()
    tagged = [one for one in on if one.exclusion]
    return (
        deviation(one.free_memory_part for one in on),
        deviation(one.free_disk_part for one in on),
        sum(one.instance_count for one in on if one.fails_n1),
        deviation(one.reserved_part for one in on),
        sum(one.instance_count for one in off),
        sum(len(one.primaries) for one in off),
        deviation(divided(one.cpu_ratio, one.node.cpu_speed) for one in on),
        *(deviation(one.loads[place] for one in on) for place in range(4)),
        sum(sum(one.exclusion.values()) - len(one.exclusion) for one in tagged),
        deviation(divided(one.spindles, one.high_spindles) for one in on),
        deviation(divided(one.free_memory_forth, one.node.total_memory) for one in on),
        deviation(one.free_disk_part_forth for one in on),
        deviation(divided(divided(one.cpus_forth, one.node.total_cpus), one.node.cpu_speed) for one in on),
        deviation(divided(one.spindles_forth, one.high_spindles) for one in on),
        sum(one.location_score for one in on),
        _location_exclusion(data, on),
        sum(one.reserved_part for one in on))


def _location_exclusion(data: ClusterData, nodes: Iterable[NodeFigures]) -> int:
    """How often a pair of a node's location tag and a primary's exclusion tag comes again."""
    total = 0
    pairs: set[tuple[str, str]] = set()
    for one in nodes:
        if not one.node.location_tags:
            continue
        for instance in one.primaries:
            for tag in data.instances[instance].exclusion_tags:
                total += len(one.node.location_tags)
                pairs.update((location, tag) for location in one.node.location_tags)
    return total - len(pairs)


def deviation(values: Iterable[float]) -> float:
    """The population standard deviation; of nothing, 0."""
    numbers = list(values)
    if not numbers:
        return 0.0
    if not all(map(math.isfinite, numbers)):
        return math.nan
    mean = math.fsum(numbers) / len(numbers)
    return math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / len(numbers))


def score(values: Sequence[float]) -> float:
    """What the metrics come to; 0 without any."""
    return sum((weight * value for (_, weight), value in zip(METRICS, values, strict=bool(values))), 0.0)


def n1_optimum(nodes: Sequence[NodeFigures]) -> float:
    """The part of the score that no placement avoids, for the memory that is reserved."""
    total = sum(one.node.total_memory for one in nodes)
    largest = max((one.node.total_memory for one in nodes), default=0.0)
    reserved = sum(sum(one.peers.values()) for one in nodes)
    if len(nodes) < 2 or total <= largest:
        return 0.0
    return 0.25 * (reserved / (total - largest) - reserved / total)


def failing(nodes: Iterable[NodeFigures]) -> tuple[list[NodeFigures], set[int]]:
    """Online nodes that fail N+1, and the instances on them."""
    bad = [one for one in nodes if not one.node.offline and one.fails_n1]
    return bad, {index for one in bad for index in (*one.primaries, *one.secondaries)}
