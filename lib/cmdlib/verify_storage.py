# SPDX-License-Identifier: BSD-2-Clause
"""The checks of `gnt-cluster verify` on disks, volumes and mirrors: pure functions from what was seen to problems."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gantry.cmdlib.disk_look import NodeDisks, State, owners
from gantry.cmdlib.verify_report import Problem
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import DiskTemplate
from gantry.errors import NodeError
from gantry.objects.cluster import Node
from gantry.objects.instance import Disk, Instance
from gantry.objects.node import NodeReport

Looks = Mapping[str, NodeDisks | NodeError]
"""What nodes (UUIDs) said of the disks that should be on them."""
Volumes = Mapping[str, Sequence[Mapping[str, Any]] | NodeError]
"""The logical volumes of nodes (UUIDs)."""
PV_MARGIN = 0.01
"""Part by which physical volumes of one size may differ."""
HEALTHY = frozenset({"ok", "sync", "degraded"})
"""States of a mirror in which the disk of its own node is usable."""


def check_disks(config: Config, looks: Looks, instances: Sequence[Instance]) -> Iterator[Problem]:
    for instance in instances:
        for index, disk in enumerate(config.disks_of(instance)):
            for node in disk.nodes or (instance.primary_node,):
                yield from _check_disk(config, looks.get(node), instance, (index, disk), config.nodes[node])


def _check_disk(config: Config, look: NodeDisks | NodeError | None, instance: Instance, item: tuple[int, Disk],
                node: Node) -> Iterator[Problem]:
    index, disk = item
    if look is None:
        return
    if isinstance(look, NodeError):
        yield Problem("EINSTANCEFAULTYDISK", "instance", instance.name,
                      f"couldn't retrieve status for disk/{index} on {node.name}: {look}")
        return
    for place in look.missing.get(disk.uuid, ()):
        yield Problem("EINSTANCEMISSINGDISK", "instance", instance.name, f"disk {place} is missing on {node.name}")
    mirror = look.states[disk.uuid].get("mirror")
    if mirror is not None and instance.disks_active and disk.uuid not in look.missing:
        yield from _check_mirror(instance, index, node, mirror)


def _check_mirror(instance: Instance, index: int, node: Node, mirror: State) -> Iterator[Problem]:
    status = mirror["status"]
    if status == "ok":
        return
    where = f"disk/{index} on {node.name}"
    why = f": {mirror['problem']}" if mirror.get("problem") else ""
    if status == "down":
        yield Problem("EINSTANCEFAULTYDISK", "instance", instance.name, f"{where} is not active")
        return
    alone = mirror.get("connection") == "StandAlone"
    local = "sync" if status == "sync" else "ok" if status in HEALTHY else "faulty"
    yield Problem("EINSTANCEFAULTYDISK", "instance", instance.name, warning=status in HEALTHY and not alone,
                  text=f"{where} is degraded; local disk state is '{local}'{why}")


def check_layout(config: Config, instance: Instance) -> Iterator[Problem]:
    """Whether the instance's disks may lie where they do."""
    secondaries = config.secondaries_of(instance)
    if len(secondaries) > 1:
        yield Problem("EINSTANCELAYOUT", "instance", instance.name, warning=True,
                      text=f"instance has multiple secondary nodes: {', '.join(config.names_of(secondaries))}")
    for uuid in (instance.primary_node, *secondaries):
        node = config.nodes[uuid]
        if not effective.ndparams(config, node).get("exclusive_storage"):
            continue
        if instance.disk_template is DiskTemplate.DRBD:
            yield Problem("EINSTANCEUNSUITABLENODE", "instance", instance.name,
                          f"instance has template {instance.disk_template}, which is not supported on nodes that have "
                          f"exclusive storage set: {node.name}")
        for index, disk in enumerate(config.disks_of(instance)):
            if disk.dev_type is DiskTemplate.PLAIN and disk.spindles is None:
                yield Problem("EINSTANCEMISSINGCFGPARAMETER", "instance", instance.name,
                              f"number of spindles not configured for disk/{index} while exclusive storage is enabled "
                              f"on node {node.name}, try running gnt-cluster repair-disk-sizes")


def check_volumes(config: Config, volumes: Volumes, nodes: Sequence[Node]) -> Iterator[Problem]:
    """Nodes that cannot list their volumes, and volumes of the cluster's group that no disk owns."""
    vg, reserved = config.cluster.volume_group_name, config.cluster.reserved_lvs
    for node in nodes:
        listed = volumes.get(node.uuid)
        if isinstance(listed, NodeError):
            yield Problem("ENODELVM", "node", node.name, f"the logical volumes cannot be listed: {listed}")
        if listed is None or isinstance(listed, NodeError):
            continue
        known = owners(config, node.uuid)
        for place in sorted(f"{row['vg']}/{row['name']}" for row in listed if row["vg"] == vg):
            if place not in known and not any(re.fullmatch(pattern, place) for pattern in reserved):
                yield Problem("ENODEORPHANLV", "node", node.name, f"volume {place} is unknown", warning=True)


def check_physical(config: Config, group: str, physical: Volumes) -> Iterator[Problem]:
    """With exclusive storage a disk takes whole physical volumes: they must be of one size in a group."""
    sizes = {row["size"]: config.nodes[uuid].name for uuid, found in physical.items()
             if not isinstance(found, NodeError) for row in found}
    if not sizes:
        return
    least, most = min(sizes), max(sizes)
    if most > least * (1 + PV_MARGIN):
        yield Problem("EGROUPDIFFERENTPVSIZE", "group", config.group(group).name,
                      f"PV sizes differ too much in the group; smallest ({least} MB) is on {sizes[least]}, biggest "
                      f"({most} MB) is on {sizes[most]}")


def check_drbd(config: Config, reports: Mapping[str, NodeReport]) -> Iterator[Problem]:
    """Minors that should be in use and are not, and the other way round; versions that differ within the group."""
    versions = {config.nodes[uuid].name: report.drbd.version for uuid, report in reports.items() if report.drbd}
    for uuid, report in reports.items():
        if report.drbd is None:
            continue
        name, owned = config.nodes[uuid].name, _minors(config, uuid)
        for minor, owner in sorted(owned.items()):
            if owner is not None and owner.disks_active and minor not in report.drbd.minors:
                yield Problem("ENODEDRBD", "node", name, f"drbd minor {minor} of instance {owner.name} is not active")
        for minor in sorted(set(report.drbd.minors) - owned.keys()):
            yield Problem("ENODEDRBD", "node", name, f"unallocated drbd minor {minor} is in use")
    if len(set(versions.values())) > 1:
        shown = ", ".join(f"{node} has {version}" for node, version in sorted(versions.items()))
        for node in sorted(versions):
            yield Problem("ENODEDRBDHELPER", "node", node, f"DRBD versions differ: {shown}", warning=True)


def _minors(config: Config, node: str) -> dict[int, Instance | None]:
    """Who has which minor of the node (UUID)."""
    ends = ((disk, disk.drbd.end(node)) for disk in config.disks_on(node) if disk.drbd is not None)
    return {end.minor: config.owner_of(disk.uuid) for disk, end in ends if end is not None}
