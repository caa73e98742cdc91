# SPDX-License-Identifier: BSD-2-Clause
"""Requests to allocators: the cluster and what is wanted, in the format that Ganeti's allocators read.

Pure: from the configuration and what the nodes said about themselves.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import DRBD_META_SIZE, AdminState, DiskTemplate
from gantry.objects.cluster import Cluster, Node, NodeGroup
from gantry.objects.instance import Disk, Instance, Nic
from gantry.objects.node import NodeInfo, StorageUnit
from gantry.utils.names import nice_key

VERSION = 2
HOST_CPUS = 1
"""CPUs that are counted as the host's own."""
WITHOUT_SPACE = frozenset({DiskTemplate.DISKLESS, DiskTemplate.BLOCKDEV})

LOCAL = frozenset({"plain", "drbd"})

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Live:
    """What the nodes said: facts by node UUID, and the memory that guests use now (MiB) by instance UUID."""

    nodes: Mapping[str, NodeInfo] = field(default_factory=dict)
    guests: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An instance to be made.  `disks` have size, and mode and spindles where given; `networks` are UUIDs."""

    name: str
    template: DiskTemplate
    beparams: Mapping[str, Any]
    hypervisor: str
    os: str
    disks: tuple[Mapping[str, Any], ...] = ()
    networks: tuple[str | None, ...] = ()
    tags: tuple[str, ...] = ()
    group: str | None = None
    """The name of the only group to look in."""


def allocate(wanted: Wanted) -> Json:
    """Find nodes for a new instance."""
    sizes = [disk["size"] for disk in wanted.disks]
    disks = [{"size": disk["size"], "mode": disk.get("mode", "rw"), "spindles": disk.get("spindles")}
             for disk in wanted.disks]
    request = {
        "type": "allocate", "name": wanted.name, "memory": wanted.beparams["maxmem"],
        "vcpus": wanted.beparams["vcpus"], "spindle_use": wanted.beparams["spindle_use"], "disks": disks,
        "disk_space_total": space(wanted.template, sizes), "disk_template": str(wanted.template),
        "tags": [*wanted.tags], "os": wanted.os, "hypervisor": wanted.hypervisor,
        "nics": [{"network": network} for network in wanted.networks],
        "required_nodes": 2 if wanted.template is DiskTemplate.DRBD else 1}
    return request if wanted.group is None else {**request, "group_name": wanted.group}


def multi_allocate(wanted: Sequence[Wanted]) -> Json:
    """Find nodes for several new instances, one after the other."""
    found: Json = {"type": "multi-allocate", "instances": [allocate(one) for one in wanted]}
    group = wanted[0].group
    return found if group is None else {**found, "group_name": group}


def relocate(config: Config, instance: Instance) -> Json:
    """Find another node for an instance: a secondary, or a primary where all nodes can open the disks."""
    disks = disks_of(config, instance)
    leaves = next(iter(config.secondaries_of(instance)), instance.primary_node)
    return {"type": "relocate", "name": instance.name, "required_nodes": 1,
            "disk_space_total": space(instance.disk_template, [disk.size for disk in disks]),
            "relocate_from": [config.nodes[leaves].name]}


def allocate_secondary(instance: Instance) -> Json:
    """Find a node for the other ends of an instance's disks."""
    return {"type": "allocate-secondary", "name": instance.name}


def node_evacuate(instances: Sequence[Instance], mode: str) -> Json:
    """Take primaries, secondaries or both (`mode`) of these instances off their nodes."""
    return {"type": "node-evacuate", "instances": [instance.name for instance in instances], "evac_mode": mode}


def change_group(instances: Sequence[Instance], groups: Sequence[str]) -> Json:
    """Move these instances to any of the groups (UUIDs)."""
    return {"type": "change-group", "instances": [instance.name for instance in instances],
            "target_groups": [*groups]}


def promise(request: Json, nodes: Sequence[str]) -> str:
    """What an answered request makes of the cluster, as text: to be told to allocators until the cluster shows it."""
    return json.dumps([request, [*nodes]])


def message(config: Config, live: Live, request: Json, promises: Iterable[str] = ()) -> Json:
    """The whole message: cluster, and request.  `promises`: what other jobs were answered and are about to do."""
    found = _message(config, live, request)
    for text in sorted(promises):
        _keep(found, *json.loads(text))
    return found


def _keep(found: Json, request: Json, nodes: list[str]) -> None:
    """Let the message show an instance where it is going to be."""
    instances, known = found["instances"], found["instances"].get(request["name"])
    if known is not None and (request["type"] == "allocate" or request["relocate_from"][0] not in known["nodes"]):
        return
    placed = {**request, "admin_state": "up", "nodes": nodes} if known is None else {
        **known, "nodes": [nodes[0] if name == request["relocate_from"][0] else name for name in known["nodes"]]}
    instances[request["name"]] = placed
    primary = found["nodes"].get(placed["nodes"][0], {})
    if "free_memory" in primary and (known is None or known["nodes"][0] != placed["nodes"][0]):
        primary["free_memory"] -= placed["memory"]
    for name in nodes if placed["disk_template"] in LOCAL else ():
        if "free_disk" in found["nodes"].get(name, {}):
            found["nodes"][name]["free_disk"] -= placed["disk_space_total"]


def _message(config: Config, live: Live, request: Json) -> Json:
    cluster = config.cluster
    return {
        "version": VERSION, "cluster_name": cluster.name, "cluster_tags": [*cluster.tags],
        "enabled_hypervisors": [*cluster.enabled_hypervisors], "ipolicy": effective.ipolicy_above(cluster),
        "nodegroups": {group.uuid: _group(config, group) for group in _sorted(config.groups)},
        "nodes": {node.name: _node(config, node, live) for node in _sorted(config.nodes)},
        "instances": {one.name: _instance(config, one) for one in _sorted(config.instances)},
        "request": request}


def _sorted(objects: Mapping[str, Any]) -> list[Any]:
    return sorted(objects.values(), key=lambda item: nice_key(item.name))


def disks_of(config: Config, instance: Instance) -> list[Disk]:
    return [config.disks[uuid] for uuid in instance.disks]


def space(template: DiskTemplate, sizes: Sequence[int]) -> int:
    """MiB that disks of these sizes take."""
    if template in WITHOUT_SPACE:
        return 0
    return sum(sizes) + (DRBD_META_SIZE * len(sizes) if template is DiskTemplate.DRBD else 0)


def storage_unit(cluster: Cluster) -> tuple[str, str] | None:
    """(kind, name) of the storage to ask the nodes about: what the first template that takes room on nodes uses."""
    for template in cluster.enabled_disk_templates:
        unit = {"file": ("file", cluster.file_storage_dir), "sharedfile": ("file", cluster.shared_file_storage_dir),
                "gluster": ("file", cluster.gluster_storage_dir),
                "plain": ("lvm-vg", cluster.volume_group_name or ""),
                "drbd": ("lvm-vg", cluster.volume_group_name or "")}.get(template)
        if unit is not None and unit[1]:
            return unit
    return None


def _group(config: Config, group: NodeGroup) -> Json:
    return {"name": group.name, "alloc_policy": group.alloc_policy, "networks": [*group.networks],
            "ipolicy": effective.ipolicy(config, group), "tags": [*group.tags]}


def _node(config: Config, node: Node, live: Live) -> Json:
    info = live.nodes.get(node.uuid)
    params = effective.ndparams(config, node)
    known = {
        "offline": node.offline or (node.vm_capable and info is None), "drained": node.drained, "group": node.group,
        "vm_capable": node.vm_capable, "ndparams": params, "tags": [*node.tags], "primary_ip": node.primary_ip,
        "secondary_ip": node.secondary_ip, "master_candidate": node.master_candidate,
        "master_capable": node.master_capable}
    if info is None or node.offline:
        return known
    primaries = [one for one in config.primaries_of(node.uuid) if not one.forthcoming]
    running = [one for one in primaries if one.admin_state is AdminState.UP]
    promised = sum(max(0, _memory(config, one) - live.guests.get(one.uuid, 0)) for one in running)
    unit = storage_unit(config.cluster)
    found = next((item for item in info.storage if (item.kind, item.name) == unit),
                 StorageUnit(kind="", name="", total=0, free=0))
    spindles = int(params.get("spindle_count") or 1)
    return {**known,
            "total_memory": info.memory_total, "reserved_memory": info.memory_node,
            "free_memory": info.memory_free - promised, "total_disk": found.total, "free_disk": found.free,
            "total_cpus": info.cpu_total, "reserved_cpus": HOST_CPUS, "total_spindles": spindles, "free_spindles": 0,
            "i_pri_memory": sum(_memory(config, one) for one in primaries),
            "i_pri_up_memory": sum(_memory(config, one) for one in running)}


def _memory(config: Config, instance: Instance) -> int:
    return int(effective.beparams(config, instance)["maxmem"])


def _instance(config: Config, instance: Instance) -> Json:
    be, disks = effective.beparams(config, instance), disks_of(config, instance)
    group = config.nodes[instance.primary_node].group
    secondaries = [node for disk in disks[:1] for node in disk.nodes if node != instance.primary_node]
    return {
        "memory": be["maxmem"], "vcpus": be["vcpus"], "spindle_use": be["spindle_use"],
        "disk_space_total": space(instance.disk_template, [disk.size for disk in disks]),
        "disks": [{"size": disk.size, "mode": disk.mode, "spindles": disk.spindles, "dev_type": str(disk.dev_type)}
                  for disk in disks],
        "disk_template": str(instance.disk_template), "tags": [*instance.tags], "os": instance.os,
        "hypervisor": instance.hypervisor, "admin_state": str(instance.admin_state),
        "disks_active": instance.disks_active, "forthcoming": instance.forthcoming,
        "nics": [_nic(config, nic, group) for nic in instance.nics],
        "nodes": [config.nodes[uuid].name for uuid in (instance.primary_node, *secondaries)]}


def _nic(config: Config, nic: Nic, group: str) -> Json:
    params = effective.nicparams(config, nic, group)
    return {"mac": nic.mac, "ip": nic.ip, "mode": params.get("mode"), "link": params.get("link"),
            "network": nic.network}
