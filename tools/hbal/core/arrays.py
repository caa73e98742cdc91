# SPDX-License-Identifier: BSD-2-Clause
"""The state of a group of nodes as numpy arrays, and how taking an instance off and putting it elsewhere changes it.

Nodes and instances have local indices: positions among the nodes chosen and among the instances whose primary is one
of them.  One index past the last node stands for "no node" (the secondary of an instance without one): its entries
are harmless.  After it come nodes of other groups that share an instance with a node here; they exist only as
columns of the table of reserved memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hbal.core.instances import Amounts, Bools, Floats, Ints
from hbal.core.tags import Tags, tables
from hbal.model import NO_NODE, ClusterData, Instance, Node

TALLIES = (
    "unallocated", "free_disk", "used_cpus", "cpu_load", "memory_load", "disk_load", "network_load", "used_spindles",
    "free_memory_forth", "free_disk_forth", "used_cpus_forth", "used_spindles_forth",
    "reserved", "second", "third", "used_memory", "primaries", "secondaries",
    "free_spindles", "free_spindles_forth", "location_score")
"""What is counted of each node: first what the deviations of the score are made of, then (with those) what an
instance changes, and what needs more than adding up.
"""
OF_INSTANCES = 18
"""How many of them an instance adds to."""
MEMORY, DISK, CPUS, LOADS, SPINDLES, MEMORY_FORTH, DISK_FORTH, CPUS_FORTH, SPINDLES_FORTH, RESERVED = (
    TALLIES.index(name) for name in (
        "unallocated", "free_disk", "used_cpus", "cpu_load", "used_spindles", "free_memory_forth", "free_disk_forth",
        "used_cpus_forth", "used_spindles_forth", "reserved"))
FEW = 64
"""Entries of a row up to which sorting them all is the quickest way to find the largest."""
KEPT = ("primary", "secondary", "peers", "peers_by_primary", "largest_at", "failing", "tag_counts", "location_pairs")
"""The other arrays of a state that change."""


class Limits(NamedTuple):
    """What of a node never changes.  All have one entry more than there are nodes."""

    memory: Floats
    disk: Floats
    cpus: Floats
    speed: Floats
    spindles: Floats
    exclusive: Bools
    any_exclusive: bool
    odd_disks: bool
    """Whether a node has none, or counts spindles instead."""
    overhead: Floats
    """Memory that is never free: of the node itself and missing; negative missing memory does not count."""
    low_disk: Floats
    high_spindles: Floats
    cpu_ratio: Floats
    most_cpus: Floats
    """The largest number of virtual cpus that does not break the ratio."""
    online: Bools
    divisors: Floats
    """What makes parts of the first tallies, up to the reserved memory (a row each)."""
    speeds: Floats | None
    """By which they are divided again; None when all nodes are equally fast."""

    @classmethod
    def of(cls, nodes: Sequence[Node], ratios: Sequence[tuple[float, float]], min_disk: float) -> "Limits":
        """`ratios`: vcpu and spindle ratio of each node's group."""
        def column(values: list[float]) -> Floats:
            return np.array([*values, 0.0], dtype=np.float64)

        memory, disk = column([one.total_memory for one in nodes]), column([one.total_disk for one in nodes])
        cpus = column([one.total_cpus for one in nodes])
        ratio = column([one[0] for one in ratios])
        spindles = column([one.spindles for one in nodes])
        high_spindles = column([one[1] for one in ratios]) * spindles
        speed, ones = column([one.cpu_speed for one in nodes]), np.ones_like(memory)
        divisors = np.array([memory, disk, cpus, ones, ones, ones, ones, high_spindles, memory, disk, cpus,
                             high_spindles, memory])
        speeds = None
        if (speed[:-1] != 1.0).any():
            speeds = np.ones_like(divisors)
            speeds[CPUS] = speeds[CPUS_FORTH] = speed
        return cls(
            memory=memory, disk=disk, cpus=cpus, speed=speed, spindles=spindles,
            exclusive=np.array([*(one.exclusive_storage for one in nodes), False]),
            any_exclusive=any(one.exclusive_storage for one in nodes),
            odd_disks=any(one.exclusive_storage or one.total_disk == 0.0 for one in nodes),
            overhead=np.trunc(memory) - column([one.node_memory for one in nodes]),
            low_disk=np.floor(min_disk * disk), high_spindles=high_spindles, divisors=divisors, speeds=speeds,
            cpu_ratio=ratio, most_cpus=most_cpus(ratio, cpus),
            online=np.array([*(not one.offline for one in nodes), False]))


def most_cpus(ratio: Floats, cpus: Floats) -> Floats:
    """The largest whole numbers whose quotient by `cpus` is not above `ratio`; infinite for a negative ratio."""
    with np.errstate(divide="ignore", invalid="ignore"):
        most = np.floor(ratio * cpus) + 1.0
        for _ in range(3):
            most = np.where(most / cpus > ratio, most - 1.0, most)
    return np.where(ratio < 0, np.inf, most)


class State:
    """Where the instances are, and what that makes of the nodes.  Copy it before you try things out."""

    def __init__(self, data: ClusterData, nodes: Sequence[int], instances: Sequence[int], *,
                 old_rule: bool = False) -> None:
        self.data = data
        self.node_ids = list(nodes)
        self.instance_ids = list(instances)
        self.nodes = [data.nodes[index] for index in nodes]
        self.instances = [data.instances[index] for index in instances]
        self.count = len(self.nodes)
        ratios = [(data.vcpu_ratio(node), data.groups[node.group].policy.spindle_ratio) for node in self.nodes]
        self.limits = Limits.of(self.nodes, ratios, data.min_disk)
        self.amounts = Amounts.of(self.instances)
        local = dict(zip(self.node_ids, range(self.count), strict=True))
        guests, partners = self._guests(local)
        self.tags: Tags = tables(self.nodes, [data.nodes[index] for index in partners], self.instances)
        column = local | {index: self.count + 1 + place for place, index in enumerate(partners)}
        column[NO_NODE] = self.count
        self.primary: Ints = np.array([column[one.primary] for one in self.instances], dtype=np.int64)
        self.secondary: Ints = np.array([column[one.secondary] for one in self.instances], dtype=np.int64)
        self._empty(self.count + 1, len(partners))
        self._fill(guests, column)
        self._settle(old_rule=old_rule)

    def _guests(self, local: dict[int, int]) -> tuple[list[Instance], list[int]]:
        """Instances from elsewhere with their secondary here; and the nodes elsewhere that matter here."""
        guests = [one for one in self.data.instances if one.secondary in local and one.primary not in local]
        strangers = {one.primary for one in guests}
        strangers.update(one.secondary for one in self.instances
                         if one.secondary != NO_NODE and one.secondary not in local)
        return guests, sorted(strangers)

    def _empty(self, size: int, partners: int) -> None:
        self._see(np.zeros((len(TALLIES), size)))
        self.free_memory_forth[:-1] = [one.free_memory for one in self.nodes]
        self.free_disk[:-1] = self.free_disk_forth[:-1] = [one.free_disk for one in self.nodes]
        self.free_spindles[:-1] = self.free_spindles_forth[:-1] = [one.free_spindles for one in self.nodes]
        self.used_cpus[:-1] = self.used_cpus_forth[:-1] = [one.node_cpus for one in self.nodes]
        self.peers = np.zeros((size, size + partners))
        """Memory that a node (row) keeps for the primaries of another (column)."""
        self.peers_by_primary = np.zeros((size, size))
        """The same turned round: row primary, column secondary; only for nodes of this state."""
        self.tag_counts = None if self.tags.exclusion is None else np.zeros((size, self.tags.exclusion.shape[1]))
        self.location_pairs: Floats | None = None
        if self.tags.exclusion is not None and self.tags.location is not None:
            self.location_pairs = np.zeros((self.tags.location.shape[1], self.tags.exclusion.shape[1]))

    def _see(self, tally: Floats) -> None:
        """Name the parts of a table of TALLIES x nodes."""
        self.tally = tally
        self.unallocated, self.free_disk, self.used_cpus = tally[:3]
        self.loads = tally[3:7]
        self.used_spindles, self.free_memory_forth, self.free_disk_forth = tally[7:10]
        self.used_cpus_forth, self.used_spindles_forth = tally[10:12]
        self.largest = tally[12:15]
        """The three largest entries of each row of `peers`."""
        self.used_memory, self.primaries, self.secondaries = tally[15:18]
        self.free_spindles, self.free_spindles_forth, self.location_score = tally[18:]

    def _fill(self, guests: Sequence[Instance], column: dict[int, int]) -> None:
        amounts = self.amounts
        pri, sec, here = self.primary, self.secondary, self.count
        at_primary = np.add.at
        at_primary(self.used_memory, pri, amounts.memory)
        at_primary(self.free_memory_forth, pri, -np.where(amounts.running, 0.0, amounts.memory_forth))
        at_primary(self.used_cpus, pri, amounts.cpus)
        at_primary(self.used_cpus_forth, pri, amounts.cpus_forth)
        for row in range(4):
            at_primary(self.loads[row], pri, amounts.loads[row])
        at_primary(self.primaries, pri, amounts.real.astype(np.float64))
        coming = ~amounts.real
        near = sec < here
        for nodes, chosen in ((pri, np.ones(len(pri), dtype=np.bool_)), (sec[near], near)):
            np.add.at(self.used_spindles, nodes, amounts.spindle_use[chosen])
            np.add.at(self.used_spindles_forth, nodes, amounts.spindle_use_forth[chosen])
            np.add.at(self.free_disk_forth, nodes, -(amounts.disk_forth * coming)[chosen])
        np.add.at(self.loads[2], sec[near], amounts.loads[2][near])
        np.add.at(self.secondaries, sec[near], amounts.real[near].astype(np.float64))
        np.add.at(self.peers, (sec[near], pri[near]), amounts.reserved[near])
        if self.tag_counts is not None and self.tags.exclusion is not None:
            np.add.at(self.tag_counts, pri, self.tags.exclusion)
        for index in np.flatnonzero(amounts.real):
            self._locate(int(index), 1.0)
        if guests:
            self._fill_guests(guests, column)
        if self.limits.any_exclusive:
            self._expect_spindles(column)

    def _fill_guests(self, guests: Sequence[Instance], column: dict[int, int]) -> None:
        amounts = Amounts.of(guests)
        sec = np.array([column[one.secondary] for one in guests])
        pri = np.array([column[one.primary] for one in guests])
        np.add.at(self.used_spindles, sec, amounts.spindle_use)
        np.add.at(self.used_spindles_forth, sec, amounts.spindle_use_forth)
        np.add.at(self.free_disk_forth, sec, -(amounts.disk_forth * ~amounts.real))
        np.add.at(self.loads[2], sec, amounts.loads[2])
        np.add.at(self.secondaries, sec, amounts.real.astype(np.float64))
        np.add.at(self.peers, (sec, pri), amounts.reserved)

    def _expect_spindles(self, column: dict[int, int]) -> None:
        """What forthcoming instances will leave of free spindles, one instance after the other."""
        for instance in self.data.instances:
            if not instance.forthcoming:
                continue
            for node in (column.get(instance.primary, self.count), column.get(instance.secondary, self.count)):
                if node < self.count and self.limits.exclusive[node]:
                    known = instance.spindles
                    self.free_spindles_forth[node] = -1.0 if known is None else self.free_spindles_forth[node] - known

    def _settle(self, *, old_rule: bool) -> None:
        """What follows from the rest, once all instances are on their nodes."""
        self.used_spindles[self.limits.exclusive] = 0.0
        self.used_spindles_forth[self.limits.exclusive] = 0.0
        size = self.count + 1
        self.peers_by_primary = np.ascontiguousarray(self.peers[:, :size].T)
        recorded = self.limits.overhead - self.used_memory
        reported = np.array([*(one.free_memory for one in self.nodes), 0.0])
        missing = recorded - reported
        for index, node in enumerate(self.nodes):
            if node.missing_memory is not None:
                missing[index] = node.missing_memory
            if node.cpu_load is not None:
                self.loads[0, index] = node.cpu_load
        self.missing_memory = missing
        self.unallocated[:] = recorded - np.maximum(missing, 0.0)
        self.unallocated[self.count] = np.inf
        self.largest_at = np.zeros((3, size), dtype=np.int64)
        """Their columns."""
        self._rank(np.arange(size))
        self.failing = (reported < self.largest[0]) if old_rule else (self.unallocated <= self.largest[0])
        self.failing[self.count] = False

    # --- changes ---------------------------------------------------------------------------------------------

    def copy(self) -> "State":
        """An independent state; what never changes is shared."""
        other = self.seen_as(self.tally.copy())
        for name in KEPT:
            value = getattr(self, name)
            setattr(other, name, None if value is None else value.copy())
        return other

    def seen_as(self, tally: Floats) -> "State":
        """This state with another table of tallies; everything else is shared."""
        other = object.__new__(State)
        other.__dict__.update(self.__dict__)
        other._see(tally)
        return other

    def move(self, instance: int, primary: int, secondary: int) -> None:
        """Put an instance on other nodes; `secondary` is `count` for none."""
        before = (int(self.primary[instance]), int(self.secondary[instance]))
        self._locate(instance, -1.0)
        self._shift(instance, *before, -1.0)
        self.primary[instance], self.secondary[instance] = primary, secondary
        self._shift(instance, primary, secondary, 1.0)
        self._locate(instance, 1.0)
        touched = np.array([*({*before, primary, secondary} - {self.count})], dtype=np.int64)
        self._rank(touched)
        self.failing[touched] = self.unallocated[touched] <= self.largest[0, touched]

    def _shift(self, instance: int, pri: int, sec: int, sign: float) -> None:
        """Add (`sign` 1) or take away (-1) what an instance weighs on its nodes."""
        amounts = self.amounts
        self._tally(instance, pri, amounts.on_primary, sign)
        if self.tag_counts is not None and self.tags.exclusion is not None:
            self.tag_counts[pri] += sign * self.tags.exclusion[instance]
        if sec < self.count:
            self._tally(instance, sec, amounts.on_secondary, sign)
            self.peers[sec, pri] += sign * amounts.reserved[instance]
            self.peers_by_primary[pri, sec] += sign * amounts.reserved[instance]

    def _tally(self, instance: int, node: int, weights: Floats, sign: float) -> None:
        column = self.tally[:OF_INSTANCES, node]
        if sign > 0.0:
            column += weights[:, instance]
        else:
            column -= weights[:, instance]
        if self.limits.any_exclusive and self.limits.exclusive[node]:
            column[SPINDLES] = column[SPINDLES_FORTH] = 0.0
            self._shift_spindles(instance, node, sign)

    def _shift_spindles(self, instance: int, node: int, sign: float) -> None:
        """An instance without data about its spindles makes those of a node unusable (-1), as it does elsewhere."""
        amounts = self.amounts
        if not amounts.spindles_known[instance]:
            if sign > 0:
                self.free_spindles_forth[node] = -1.0
                if amounts.real[instance]:
                    self.free_spindles[node] = -1.0
            return
        self.free_spindles_forth[node] -= sign * amounts.spindles[instance]
        if amounts.real[instance]:
            self.free_spindles[node] -= sign * amounts.spindles[instance]

    def _locate(self, instance: int, sign: float) -> None:
        """Count an instance in or out of the location scores."""
        tags, pri, sec = self.tags, int(self.primary[instance]), int(self.secondary[instance])
        if not self.amounts.real[instance]:
            return
        if tags.shared is not None:
            self.location_score[pri] += sign * tags.shared[pri, sec]
        if tags.lacking is not None:
            self.location_score[pri] += sign * tags.lacking[instance, pri]
        if (self.location_pairs is not None and tags.location is not None and tags.exclusion is not None
                and self.limits.online[pri]):
            self.location_pairs += sign * np.outer(tags.location[pri], tags.exclusion[instance])

    def _rank(self, rows: Ints) -> None:
        """Find the largest entries of these rows of `peers` anew."""
        entries, each = self.peers[rows], np.arange(len(rows))[:, None]
        width = entries.shape[1]
        if width <= FEW:
            at = entries.argsort(axis=1)[:, :-4:-1]
        else:
            at = entries.argpartition(width - 3, axis=1)[:, -3:]
            at = at[each, entries[each, at].argsort(axis=1)[:, ::-1]]
        self.largest[:at.shape[1], rows], self.largest_at[:at.shape[1], rows] = entries[each, at].T, at.T


def build(data: ClusterData, group: int | None = None, *, old_rule: bool = False) -> State:
    """The state of a group's nodes, or of all nodes.

    `old_rule`: judge N+1 at first from the reported free memory, as releases before 3.1 did.
    """
    if group is None:
        return State(data, range(len(data.nodes)), range(len(data.instances)), old_rule=old_rule)
    return State(data, data.nodes_of(group), data.instances_of(group), old_rule=old_rule)
