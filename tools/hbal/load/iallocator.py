# SPDX-License-Identifier: BSD-2-Clause
"""The iallocator protocol's requests: the cluster in them, and what is asked.

`read` takes a file, `cluster` the data in it, `request` what is asked of the cluster (the one in the request or
another that takes its place).
"""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from hbal.errors import LoadError
from hbal.load.fields import Fields, decode, read_policy
from hbal.load.names import lookup
from hbal.model import (
    NO_NODE,
    AllocPolicy,
    ClusterData,
    Disk,
    Group,
    Instance,
    Nic,
    Node,
    Status,
    Template,
)

ADMIN_STATES = {"up": Status.RUNNING, "down": Status.ADMIN_DOWN, "offline": Status.ADMIN_OFFLINE}


class EvacMode(StrEnum):
    PRIMARY = "primary-only"
    SECONDARY = "secondary-only"
    ALL = "all"


class Allocate(NamedTuple):
    """Find nodes for a new instance (its nodes are NO_NODE)."""

    instance: Instance
    required_nodes: int
    group_name: str | None = None
    restrict_to: tuple[str, ...] | None = None


class MultiAllocate(NamedTuple):
    requests: tuple[Allocate, ...]


class AllocateSecondary(NamedTuple):
    instance: int


class Relocate(NamedTuple):
    instance: int
    required_nodes: int
    relocate_from: tuple[int, ...]


class NodeEvacuate(NamedTuple):
    instances: tuple[int, ...]
    mode: EvacMode


class ChangeGroup(NamedTuple):
    """`groups` may be empty: any but the present ones."""

    instances: tuple[int, ...]
    groups: tuple[int, ...]


Request = Allocate | MultiAllocate | AllocateSecondary | Relocate | NodeEvacuate | ChangeGroup


def read(path: str) -> Fields:
    """The message in a file, `-` for standard input."""
    try:
        if path == "-":
            content = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                content = file.read()
    except (OSError, ValueError) as err:
        raise LoadError(f"{path}: {getattr(err, 'strerror', None) or err}") from err
    return parse(content)


def parse(content: str | bytes | dict[str, Any]) -> Fields:
    value = content if isinstance(content, dict) else decode(content, "Parsing input IAllocator message")
    if not isinstance(value, dict):
        raise LoadError("Parsing input IAllocator message: Unable to read JSObject")
    return Fields(value, "invalid iallocator message")


def cluster(message: Fields, known: Mapping[str, Node] = MappingProxyType({})) -> ClusterData:
    """The cluster of a message; order of groups, nodes and instances is that of the objects as written.

    `known`: nodes by name that need not be read again.
    """
    groups = tuple(_group(uuid, content) for uuid, content in message.object("nodegroups").items())
    by_uuid = {group.uuid: index for index, group in enumerate(groups)}
    nodes = tuple(known.get(name) or _node(name, content, by_uuid)
                  for name, content in message.object("nodes").items())
    by_name = {node.name: index for index, node in enumerate(nodes)}
    instances = tuple(_placed(name, content, by_name) for name, content in message.object("instances").items())
    tags = message.texts("cluster_tags")
    hypervisors = message.texts("enabled_hypervisors")
    return ClusterData(groups, nodes, instances, tags, hypervisor=hypervisors[0] if hypervisors else None)


def _group(uuid: str, content: Any) -> Group:
    fields = Fields(content, f"invalid data for group '{uuid}'")
    return Group(fields.text("name"), uuid, fields.choice("alloc_policy", AllocPolicy), fields.texts("tags"),
                 fields.texts("networks"), read_policy(fields.object("ipolicy")))


def _node(name: str, content: Any, groups: dict[str, int]) -> Node:
    fields = Fields(content, f"invalid data for node '{name}'")
    group = groups.get(fields.text("group"))
    if group is None:
        raise LoadError(f"Unknown group '{fields.text('group')}' for node {name}")
    live = not fields.flag("offline") and fields.flag("vm_capable", default=True)
    params = fields.object("ndparams")
    exclusive = params.flag("exclusive_storage")
    tags = fields.texts("tags", default=())
    spindles = params.size("spindle_count")
    offline = not live or fields.flag("drained")
    if not live:
        return Node(name, group, offline=True, tags=tags, exclusive_storage=exclusive, node_cpus=0,
                    spindles=0 if exclusive else spindles)
    return Node(
        name, group, total_memory=fields.amount("total_memory"), node_memory=fields.size("reserved_memory"),
        free_memory=fields.whole("free_memory"), total_disk=fields.amount("total_disk"),
        free_disk=fields.whole("free_disk"), total_cpus=fields.amount("total_cpus"),
        node_cpus=fields.size("reserved_cpus"), offline=offline,
        spindles=fields.size("total_spindles") if exclusive else spindles,
        free_spindles=fields.whole("free_spindles"), exclusive_storage=exclusive, tags=tags)


def _instance(name: str, fields: Fields, primary: int, secondary: int) -> Instance:
    return Instance(
        name, memory=fields.size("memory"), disk=fields.size("disk_space_total"),
        disks=tuple(Disk(disk.size("size"), disk.size("spindles") if "spindles" in disk else None)
                    for disk in fields.objects("disks")),
        vcpus=fields.size("vcpus"), status=ADMIN_STATES.get(fields.text("admin_state", default="up"), Status.RUNNING),
        auto_balance=True, primary=primary, secondary=secondary,
        template=fields.choice("disk_template", Template), tags=fields.texts("tags"),
        spindle_use=fields.size("spindle_use"), forthcoming=fields.flag("forthcoming", default=False),
        nics=tuple(Nic(nic.optional_text("network")) for nic in fields.objects("nics")))


def _placed(name: str, content: Any, nodes: dict[str, int]) -> Instance:
    fields = Fields(content, f"invalid data for instance '{name}'")
    names = fields.texts("nodes")
    if not names:
        raise LoadError(f"empty node list for instance {name}")
    for node in names[:2]:
        if node not in nodes:
            raise LoadError(f"Unknown node '{node}' for instance {name}")
    secondary = nodes[names[1]] if len(names) > 1 else NO_NODE
    if secondary == nodes[names[0]]:
        raise LoadError(f"Instance {name} has same primary and secondary node - {names[0]}")
    return _instance(name, fields, nodes[names[0]], secondary)


def request(message: Fields, data: ClusterData) -> Request:
    """What the message asks, its names resolved on `data`."""
    raw = message.object("request")
    fields = message.object("request", "invalid request dict")
    kind = fields.text("type")
    match kind:
        case "allocate":
            return _allocate(fields, raw.optional_text("group_name"))
        case "multi-allocate":
            group = fields.optional_text("group_name")
            return MultiAllocate(tuple(_allocate(one, group) for one in fields.objects("instances")))
        case "allocate-secondary":
            return AllocateSecondary(_one(fields.text("name"), data))
        case "relocate":
            required = fields.size("required_nodes")
            return Relocate(_one(fields.text("name"), data), required,
                            _all(fields.texts("relocate_from"), [node.name for node in data.nodes]))
        case "node-evacuate":
            return NodeEvacuate(_instances(fields, data), fields.choice("evac_mode", EvacMode))
        case "change-group":
            return ChangeGroup(_instances(fields, data), _groups(fields.texts("target_groups"), data))
    raise LoadError(f"Invalid request type '{kind}'")


def _allocate(fields: Fields, group: str | None) -> Allocate:
    name = fields.text("name")
    required = fields.size("required_nodes")
    described = Fields(dict(fields.items()), f"invalid data for instance '{name}'")
    restrict = fields.texts("restrict-to-nodes") if "restrict-to-nodes" in fields else None
    return Allocate(_instance(name, described, NO_NODE, NO_NODE), required, group, restrict)


def _one(name: str, data: ClusterData) -> int:
    found = lookup(name, [instance.name for instance in data.instances])
    if found is None:
        raise LoadError(f"Unknown instance '{name}'")
    return found


def _instances(fields: Fields, data: ClusterData) -> tuple[int, ...]:
    return _all(fields.texts("instances"), [instance.name for instance in data.instances])


def _all(wanted: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    found = []
    for name in wanted:
        index = lookup(name, names)
        if index is None:
            raise LoadError(f"Wrong number of elems found with name {name}")
        found.append(index)
    return tuple(found)


def _groups(wanted: Sequence[str], data: ClusterData) -> tuple[int, ...]:
    by_uuid = {group.uuid: index for index, group in enumerate(data.groups)}
    names = [group.name for group in data.groups]
    return tuple(by_uuid[name] if name in by_uuid else _all([name], names)[0] for name in wanted)
