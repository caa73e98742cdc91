# SPDX-License-Identifier: BSD-2-Clause
"""What a cluster is to the tools: frozen values, as the loaders read them and the core takes them.

Groups, nodes and instances refer to each other by index: the position in the tuples of `ClusterData`.  Sizes are MiB.
A loader fills the first part of each record; what follows from tags, options and measurements (the fields after the
line "derived") is filled by `load.prepare`.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

NO_NODE = -1
"""The index of the secondary of an instance that has none."""


class AllocPolicy(StrEnum):
    PREFERRED = "preferred"
    LAST_RESORT = "last_resort"
    UNALLOCABLE = "unallocable"


class Mirror(StrEnum):
    """Who keeps the second copy of the data: nobody, the cluster's nodes, or storage outside of them."""

    NONE = "none"
    INTERNAL = "internal"
    EXTERNAL = "external"


class Template(StrEnum):
    """Disk templates, in the order that "all templates" has."""

    DISKLESS = "diskless"
    FILE = "file"
    SHAREDFILE = "sharedfile"
    PLAIN = "plain"
    BLOCKDEV = "blockdev"
    DRBD = "drbd"
    RBD = "rbd"
    EXT = "ext"
    GLUSTER = "gluster"

    @property
    def local(self) -> bool:
        """Whether it takes disk and spindles of its nodes (file counts as foreign)."""
        return self in (Template.DRBD, Template.PLAIN)

    @property
    def has_secondary(self) -> bool:
        return self is Template.DRBD

    @property
    def movable(self) -> bool:
        return self not in (Template.DISKLESS, Template.FILE, Template.PLAIN)

    @property
    def mirror(self) -> Mirror:
        if self is Template.DRBD:
            return Mirror.INTERNAL
        return Mirror.NONE if self in (Template.PLAIN, Template.FILE) else Mirror.EXTERNAL


class Status(StrEnum):
    RUNNING = "running"
    ADMIN_DOWN = "ADMIN_down"
    ADMIN_OFFLINE = "ADMIN_offline"
    ERROR_DOWN = "ERROR_down"
    ERROR_UP = "ERROR_up"
    ERROR_NODEDOWN = "ERROR_nodedown"
    ERROR_NODEOFFLINE = "ERROR_nodeoffline"
    ERROR_WRONGNODE = "ERROR_wrongnode"
    USER_DOWN = "USER_down"


USING_MEMORY = frozenset({
    Status.RUNNING, Status.ERROR_UP, Status.ERROR_NODEDOWN, Status.ERROR_NODEOFFLINE, Status.ERROR_WRONGNODE,
})


class Spec(NamedTuple):
    """The size of an instance in a policy; `disk` is that of each disk."""

    memory: int
    cpus: int
    disk: int
    disk_count: int
    nic_count: int
    spindle_use: int


class MinMax(NamedTuple):
    min: Spec
    max: Spec


class Policy(NamedTuple):
    standard: Spec
    minmax: tuple[MinMax, ...]
    templates: tuple[Template, ...]
    vcpu_ratio: float
    spindle_ratio: float


DEFAULT_POLICY = Policy(
    standard=Spec(128, 1, 1024, 1, 1, 1),
    minmax=(MinMax(Spec(128, 1, 1024, 1, 1, 1), Spec(32768, 8, 1048576, 16, 8, 12)),),
    templates=tuple(Template), vcpu_ratio=4.0, spindle_ratio=32.0)


class Load(NamedTuple):
    """Utilisation of an instance, in the units of a node's capacity (1 each)."""

    cpu: float = 1.0
    memory: float = 1.0
    disk: float = 1.0
    network: float = 1.0


FULL_LOAD = Load()
NO_LOAD = Load(0.0, 0.0, 0.0, 0.0)


class Group(NamedTuple):
    name: str
    uuid: str
    alloc_policy: AllocPolicy = AllocPolicy.PREFERRED
    tags: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    policy: Policy = DEFAULT_POLICY


class Node(NamedTuple):
    """A node as reported.  `offline` includes drained and not vm_capable; `spindles` are the physical ones with
    exclusive storage, else the node parameter.
    """

    name: str
    group: int
    total_memory: float = 0.0
    node_memory: int = 0
    free_memory: int = 0
    total_disk: float = 0.0
    free_disk: int = 0
    total_cpus: float = 0.0
    node_cpus: int = 1
    offline: bool = False
    master: bool = False
    spindles: int = 1
    free_spindles: int = 0
    exclusive_storage: bool = False
    cpu_speed: float = 1.0
    tags: tuple[str, ...] = ()
    # derived
    alias: str = ""
    location_tags: frozenset[str] = frozenset()
    migration_tags: frozenset[str] = frozenset()
    receives: frozenset[str] = frozenset()
    """Migration tags of the nodes it may receive instances from, its own included."""
    cpu_load: float | None = None
    """A measured load that stands for the sum over the primaries."""
    missing_memory: int | None = None
    """Recorded free memory less the reported one, at load time."""


class Disk(NamedTuple):
    size: int
    spindles: int | None = None


class Nic(NamedTuple):
    """What allocation reads of a network interface: the network's UUID."""

    network: str | None = None


class Instance(NamedTuple):
    name: str
    memory: int
    disk: int
    """Total, with the metadata of the template."""
    disks: tuple[Disk, ...]
    vcpus: int
    status: Status
    auto_balance: bool
    primary: int
    secondary: int
    template: Template
    tags: tuple[str, ...] = ()
    spindle_use: int = 1
    forthcoming: bool = False
    nics: tuple[Nic, ...] = ()
    # derived
    alias: str = ""
    movable: bool = True
    """Whether it may be moved at all: template, selection, and nodes of one group."""
    load: Load = FULL_LOAD
    exclusion_tags: tuple[str, ...] = ()
    """Those of its tags that are exclusion tags."""
    desired_locations: frozenset[str] = frozenset()

    @property
    def spindles(self) -> int | None:
        """Physical spindles of all disks; None when one disk has none recorded."""
        total = 0
        for disk in self.disks:
            if disk.spindles is None:
                return None
            total += disk.spindles
        return total

    @property
    def running(self) -> bool:
        """Whether a command would migrate it instead of failing it over."""
        return self.status in (Status.RUNNING, Status.ERROR_UP)

    @property
    def uses_memory(self) -> bool:
        return not self.forthcoming and self.status in USING_MEMORY

    @property
    def online(self) -> bool:
        return self.status is not Status.ADMIN_OFFLINE

    @property
    def reserves_memory(self) -> bool:
        """Whether its secondary keeps memory free for it."""
        return self.online and self.auto_balance and not self.forthcoming


class _Cluster(NamedTuple):
    groups: tuple[Group, ...]
    nodes: tuple[Node, ...]
    instances: tuple[Instance, ...]
    tags: tuple[str, ...] = ()
    policy: Policy = DEFAULT_POLICY
    hypervisor: str | None = None
    """That of all nodes, where the source knows it."""
    # derived
    max_cpu: float | None = None
    """Takes the place of every group's vcpu ratio (nodes only, not the policy of instances)."""
    min_disk: float = 0.0
    """Part of each node's disk to leave free."""


class ClusterData(_Cluster):
    """A whole cluster."""

    @cached_property
    def node_index(self) -> dict[str, int]:
        return {node.name: index for index, node in enumerate(self.nodes)}

    @cached_property
    def instance_index(self) -> dict[str, int]:
        return {instance.name: index for index, instance in enumerate(self.instances)}

    @cached_property
    def common_suffix(self) -> str:
        """The longest suffix, starting at a dot, that all nodes and instances share."""
        return common_suffix([*(node.name for node in self.nodes), *(instance.name for instance in self.instances)])

    def vcpu_ratio(self, node: Node) -> float:
        return self.groups[node.group].policy.vcpu_ratio if self.max_cpu is None else self.max_cpu

    def nodes_of(self, group: int) -> list[int]:
        return [index for index, node in enumerate(self.nodes) if node.group == group]

    def instances_of(self, group: int) -> list[int]:
        """Those whose primary node is in the group."""
        return [index for index, instance in enumerate(self.instances) if self.nodes[instance.primary].group == group]

    def part(self, group: int) -> "ClusterData":
        """The cluster with the nodes and instances of one group only (and nodes elsewhere that these need)."""
        instances = [self.instances[index] for index in self.instances_of(group)]
        kept = sorted({*self.nodes_of(group), *(one.secondary for one in instances)} - {NO_NODE})
        place = {node: index for index, node in enumerate(kept)} | {NO_NODE: NO_NODE}
        return self._replace(nodes=tuple(self.nodes[node] for node in kept), instances=tuple(
            one._replace(primary=place[one.primary], secondary=place[one.secondary]) for one in instances))

    def is_split(self, instance: Instance) -> bool:
        """Whether its nodes are in different groups."""
        return (instance.secondary != NO_NODE
                and self.nodes[instance.primary].group != self.nodes[instance.secondary].group)


def common_suffix(names: Sequence[str]) -> str:
    """The longest ending, starting at a dot, that all names have; empty for none (and for no names)."""
    if not names:
        return ""
    first = min(names, key=len)
    position = first.find(".")
    while position != -1:
        suffix = first[position:]
        if all(name.endswith(suffix) for name in names):
            return suffix
        position = first.find(".", position + 1)
    return ""
