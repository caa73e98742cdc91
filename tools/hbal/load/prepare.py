# SPDX-License-Identifier: BSD-2-Clause
"""From what a source says to what the tools work on: loads, tags, aliases, selections, memory, overrides."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from hbal.errors import Error, LoadError
from hbal.load.names import lookup
from hbal.model import NO_LOAD, ClusterData, Instance, Load, Node, common_suffix

EXCLUSION, LOCATION, DESIRED = "htools:iextags", "htools:nlocation", "htools:desiredlocation"
MIGRATION, ALLOW_MIGRATION = "htools:migration", "htools:allowmigration"
KVM = "kvm"


class Wishes(NamedTuple):
    """What the command line says about instances and nodes.  `loads` are by instance name."""

    loads: Mapping[str, Load] = MappingProxyType({})
    ignore_loads: bool = False
    exclusion_tags: tuple[str, ...] = ()
    selected: tuple[str, ...] | None = None
    excluded: tuple[str, ...] = ()
    kvm_memory: int = 0
    """MiB that count for the node itself on KVM; 0 for what it reports."""


NO_WISHES = Wishes()


def prepare(data: ClusterData, wishes: Wishes = NO_WISHES) -> ClusterData:
    """The cluster with the derived fields filled; raises LoadError for names that no instance has."""
    return with_missing(named(data, wishes))


def named(data: ClusterData, wishes: Wishes) -> ClusterData:
    """The same, but for the fields that depend on several instances."""
    suffix = len(common_suffix([*(node.name for node in data.nodes), *(one.name for one in data.instances)]))
    nodes = tuple(_node(node, data, suffix, wishes.kvm_memory) for node in data.nodes)
    tags = _InstanceTags(data.tags, wishes.exclusion_tags)
    names = [instance.name for instance in data.instances]
    selected = None if wishes.selected is None else _found(wishes.selected, names)
    excluded = _found(wishes.excluded, names)
    instances = tuple(
        instance._replace(
            alias=_alias(instance.name, suffix), exclusion_tags=tags.exclusion(instance),
            desired_locations=tags.desired(instance),
            load=NO_LOAD if wishes.ignore_loads else wishes.loads.get(instance.name, instance.load),
            movable=(instance.template.movable and index not in excluded and not data.is_split(instance)
                     and (selected is None or index in selected)))
        for index, instance in enumerate(data.instances))
    return data._replace(nodes=nodes, instances=instances)


def _alias(name: str, suffix: int) -> str:
    return name[:-suffix] if suffix else name


def _found(wanted: Sequence[str], names: Sequence[str]) -> set[int]:
    found = {name: lookup(name, names) for name in wanted}
    unknown = ",".join(f'"{name}"' for name, index in found.items() if index is None)
    if unknown:
        raise LoadError(f"Unknown instance(s): [{unknown}]")
    return {index for index in found.values() if index is not None}


def _rests(tags: Sequence[str], prefix: str) -> list[str]:
    """What follows `prefix:` in the tags that have it, if anything does."""
    return [tag[len(prefix) + 1:] for tag in tags if tag.startswith(f"{prefix}:") and len(tag) > len(prefix) + 1]


class _InstanceTags:
    """Which tags of instances mean something on this cluster."""

    def __init__(self, cluster: Sequence[str], exclusion: Sequence[str]) -> None:
        self._exclusion = (*_rests(cluster, EXCLUSION), *(f"{tag}:" for tag in exclusion))
        self._desired = tuple(_rests(cluster, DESIRED))

    def exclusion(self, instance: Instance) -> tuple[str, ...]:
        return tuple(tag for tag in instance.tags if tag.startswith(self._exclusion)) if self._exclusion else ()

    def desired(self, instance: Instance) -> frozenset[str]:
        return frozenset(tag for tag in instance.tags if tag.startswith(self._desired))


def _node(node: Node, data: ClusterData, suffix: int, kvm_memory: int) -> Node:
    locations = tuple(f"{rest}:" for rest in _rests(data.tags, LOCATION))
    migrations = tuple(f"{rest}:" for rest in _rests(data.tags, MIGRATION))
    own = frozenset(tag for tag in node.tags if tag.startswith(migrations))
    allowed = frozenset(source for source, target in _permissions(data.tags) if target in own)
    memory = kvm_memory if kvm_memory and data.hypervisor == KVM else node.node_memory
    return node._replace(
        alias=_alias(node.name, suffix), migration_tags=own, receives=own | allowed, node_memory=memory,
        location_tags=frozenset(tag for tag in node.tags if tag.startswith(locations)))


def _permissions(tags: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of migration tags: from the first to the second instances may go."""
    found = []
    for rest in _rests(tags, ALLOW_MIGRATION):
        parts = rest.split("::")
        if len(parts) == 2:
            found.append((parts[0], parts[1]))
    return found


def with_missing(data: ClusterData) -> ClusterData:
    """The cluster with the missing memory of its nodes as the instances on them make it."""
    used = [0] * len(data.nodes)
    for instance in data.instances:
        if instance.uses_memory:
            used[instance.primary] += instance.memory
    return data._replace(nodes=tuple(
        node._replace(missing_memory=int(node.total_memory) - node.node_memory - memory - node.free_memory)
        for node, memory in zip(data.nodes, used, strict=True)))


class Overrides(NamedTuple):
    """What the command line says against the data."""

    offline: tuple[str, ...] = ()
    max_cpu: float | None = None
    min_disk: float = 0.0


def override(data: ClusterData, overrides: Overrides) -> ClusterData:
    """The cluster as the operator wants it seen; raises Error for nodes that do not exist."""
    names = [node.name for node in data.nodes]
    found = {name: lookup(name, names) for name in overrides.offline}
    unknown = [name for name, index in found.items() if index is None]
    if unknown:
        raise Error(f"wrong node name(s) set as offline: {','.join(unknown)}")
    offline = set(found.values())
    nodes = tuple(node._replace(offline=True) if index in offline else node for index, node in enumerate(data.nodes))
    return data._replace(nodes=nodes, max_cpu=overrides.max_cpu, min_disk=overrides.min_disk)
