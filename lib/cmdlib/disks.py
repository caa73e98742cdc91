# SPDX-License-Identifier: BSD-2-Clause
"""Disks of instances: from what was asked for to what is recorded, where they lie, and what they are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.constants import MAX_DISKS, DiskTemplate
from gantry.errors import NoResources, NotFound, NotUnique, WrongInput, WrongState
from gantry.objects.instance import Disk, FileLocation, Instance
from gantry.utils.units import format_size

FILE_TEMPLATES = frozenset({DiskTemplate.FILE, DiskTemplate.SHAREDFILE})
TEMPLATES = FILE_TEMPLATES | {DiskTemplate.DISKLESS}
"""Templates that instances can be made of."""
GROWABLE = FILE_TEMPLATES
COMMON_KEYS = frozenset({"size", "mode", "name", "spindles"})
CREATE_RATE = 500.0
"""MiB a second that making a disk is expected to take, for progress."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the disks of one instance have in common.  `folder` is where file disks lie."""

    template: DiskTemplate
    folder: str = ""
    driver: str = "loop"
    node: str = ""


def layout(config: Config, template: DiskTemplate, instance: str, node: str, *, subdir: str | None = None,
           driver: str | None = None) -> Layout:
    """Layout for a new instance; raises WrongInput."""
    if template not in FILE_TEMPLATES:
        if subdir or driver:
            raise WrongInput(detail=f"file_storage_dir and file_driver are only for file disks, not for {template}")
        return Layout(template=template, node=node)
    shared = template is DiskTemplate.SHAREDFILE
    base = config.cluster.shared_file_storage_dir if shared else config.cluster.file_storage_dir
    if not base:
        raise WrongInput(detail=f"Cluster {'shared ' if shared else ''}file storage dir is not defined, disk "
                                f"template {template} needs it; see gnt-cluster init")
    parts = PurePosixPath(subdir or "").parts
    if PurePosixPath(subdir or "").is_absolute() or ".." in parts:
        raise WrongInput(detail=f"File storage directory '{subdir}' is not a path below the cluster's one")
    return Layout(template=template, folder=str(PurePosixPath(base, *parts, instance)), driver=driver or "loop",
                  node=node)


def layout_of(config: Config, instance: Instance) -> Layout:
    """Layout for one more disk of an instance that exists."""
    for disk in config.disks_of(instance):
        if disk.file is not None:
            return Layout(template=instance.disk_template, folder=str(PurePosixPath(disk.file.path).parent),
                          driver=disk.file.driver, node=instance.primary_node)
    return layout(config, instance.disk_template, instance.name, instance.primary_node)


def create(view: View, where: Layout, index: int, spec: Mapping[str, Any]) -> Disk:
    """The disk that `spec` asks for, with a fresh UUID and without a PCI slot."""
    unknown = spec.keys() - COMMON_KEYS
    if unknown:
        raise WrongInput(detail=f"disk/{index}: {', '.join(sorted(unknown))} cannot be set for disk template "
                                f"{where.template}")
    size = spec.get("size")
    if not isinstance(size, int) or size <= 0:
        raise WrongInput(detail="Missing disk size" if size is None else
                         f"Invalid disk size for disk/{index}: {size} MiB; it must be larger than 0")
    uuid = view.new_uuid()
    file = None
    if where.template in FILE_TEMPLATES:
        path = f"{where.folder}/{uuid}.{where.template.value}.disk{index}"
        file = FileLocation(path=path, driver=where.driver)
    return Disk(uuid=uuid, name=checked_name(spec.get("name")), dev_type=where.template, size=size, file=file,
                mode=checked_mode(spec.get("mode")), spindles=spec.get("spindles"),
                nodes=(where.node,) if where.template is DiskTemplate.FILE else ())


def checked_mode(mode: Any) -> str:
    if mode not in (None, "rw", "ro"):
        raise WrongInput(detail=f"Invalid disk access mode '{mode}': rw or ro is expected")
    return mode or "rw"


def checked_name(name: Any) -> str:
    """A disk's name, empty for none; raises WrongInput when it would read as an index."""
    if name in (None, "", "none"):
        return ""
    if str(name).lstrip("-").isdecimal():
        raise WrongInput(detail=f"Invalid disk name '{name}': a number would read as an index")
    return str(name)


def check_names(disks: Sequence[Disk]) -> None:
    """Refuse too many disks, and two of one name."""
    if len(disks) > MAX_DISKS:
        raise WrongState(detail=f"Instance has too many disks ({len(disks)}), no more than {MAX_DISKS} are possible")
    names = [disk.name for disk in disks if disk.name]
    for name in names:
        if names.count(name) > 1:
            raise NotUnique(detail=f"Disk name '{name}' is given twice")


def find(disks: Sequence[Disk], identifier: int | str) -> int:
    """Index of the disk named by index (-1: the last), name or UUID; raises NotFound."""
    if isinstance(identifier, int):
        index = len(disks) + identifier if identifier < 0 else identifier
        if 0 <= index < len(disks):
            return index
        raise NotFound(kind="Disk", name=f"disk/{identifier}")
    for index, disk in enumerate(disks):
        if identifier in (disk.uuid, disk.name):
            return index
    raise NotFound(kind="Disk", name=identifier)


def renamed(disk: Disk, new: str) -> Disk:
    """`disk` where it belongs once its instance is called `new`: the folder is the instance's name."""
    if disk.file is None:
        return disk
    path = PurePosixPath(disk.file.path)
    return replace(disk, file=replace(disk.file, path=str(path.parent.parent / new / path.name)))


def remover(config: Config, instance: Instance, disk: Disk) -> str | None:
    """UUID of a node that can remove the disk: the primary, or for a shared one any that answers."""
    primary = config.nodes.get(instance.primary_node)
    if primary is not None and not primary.offline:
        return primary.uuid
    if disk.nodes or primary is None:
        return None
    others = [node.uuid for node in config.members_of(primary.group) if node.vm_capable and not node.offline]
    return min(others, default=None)


def shown(index: int, disk: Disk) -> str:
    """`disk/0 (256M, sharedfile)`."""
    return f"disk/{index} ({format_size(disk.size)}, {disk.dev_type})"


async def require_space(view: View, where: Layout, disks: Sequence[Disk]) -> None:
    """Refuse disks that the node has no room for."""
    from gantry.cmdlib import checks
    if where.template not in FILE_TEMPLATES or not disks:
        return
    wanted = sum(disk.size for disk in disks)
    shared = where.template is DiskTemplate.SHAREDFILE
    base = view.config.cluster.shared_file_storage_dir if shared else view.config.cluster.file_storage_dir
    info = await checks.node_info(view, where.node, storage=[["file", base]])
    free = next((unit.free for unit in info.storage if unit.name == base), None)
    if free is not None and free < wanted:
        name = view.config.nodes[where.node].name
        raise NoResources(detail=f"Not enough disk space on node {name} in {base}: {wanted} MiB are needed, "
                                 f"{free} MiB are free")
