# SPDX-License-Identifier: BSD-2-Clause
"""Disks of instances: from what was asked for to what is recorded, where they lie, and what they are called."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import DRBD_META_SIZE, MAX_DISKS, OF_INSTANCE, DiskTemplate
from gantry.errors import NoResources, NotFound, NotUnique, WrongInput, WrongState
from gantry.objects.instance import Disk, FileLocation, Instance, LvmLocation
from gantry.utils.units import format_size

FILE_TEMPLATES = frozenset({DiskTemplate.FILE, DiskTemplate.SHAREDFILE})
LVM_TEMPLATES = frozenset({DiskTemplate.PLAIN, DiskTemplate.DRBD})
TEMPLATES = FILE_TEMPLATES | LVM_TEMPLATES | {DiskTemplate.EXT, DiskTemplate.DISKLESS}
"""Templates that instances can be made of."""
GROWABLE = FILE_TEMPLATES | LVM_TEMPLATES | {DiskTemplate.EXT}
COMMON_KEYS = frozenset({"size", "mode", "name", "spindles"})
KEYS = {DiskTemplate.PLAIN: COMMON_KEYS | {"vg", "adopt"}, DiskTemplate.DRBD: COMMON_KEYS | {"vg", "metavg"}}
"""What can be set of a new disk, where it is more than the common keys."""
CREATE_RATE, WIPE_RATE = 500.0, 100.0
"""MiB a second that making a disk is expected to take, for progress."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the disks of one instance have in common.  `folder` is where file disks lie; `secondary` the node (UUID) of
    the other ends of mirrored ones; `vg` and `metavg` are for disks that name no volume group.
    """

    template: DiskTemplate
    folder: str = ""
    driver: str = "loop"
    node: str = ""
    secondary: str = ""
    vg: str = ""
    metavg: str = ""


def layout(config: Config, template: DiskTemplate, instance: str, nodes: Sequence[str], *, subdir: str | None = None,
           driver: str | None = None) -> Layout:
    """Layout for a new instance on `nodes` (UUIDs: primary, and secondary of mirrored disks); raises WrongInput."""
    node = nodes[0]
    if template in FILE_TEMPLATES:
        return Layout(template=template, folder=_folder(config, template, instance, subdir), driver=driver or "loop",
                      node=node)
    if subdir or driver:
        raise WrongInput(detail=f"file_storage_dir and file_driver are only for file disks, not for {template}")
    if template not in LVM_TEMPLATES:
        return Layout(template=template, node=node)
    vg = config.cluster.volume_group_name or ""
    if template is DiskTemplate.PLAIN:
        return Layout(template=template, node=node, vg=vg)
    params = effective.diskparams(config, config.groups[config.nodes[node].group])
    return Layout(template=template, node=node, secondary=nodes[1], vg=vg,
                  metavg=params["drbd"].get("metavg") or vg)


def _folder(config: Config, template: DiskTemplate, instance: str, subdir: str | None) -> str:
    shared = template is DiskTemplate.SHAREDFILE
    base = config.cluster.shared_file_storage_dir if shared else config.cluster.file_storage_dir
    if not base:
        raise WrongInput(detail=f"Cluster {'shared ' if shared else ''}file storage dir is not defined, disk "
                                f"template {template} needs it; see gnt-cluster init")
    parts = PurePosixPath(subdir or "").parts
    if PurePosixPath(subdir or "").is_absolute() or ".." in parts:
        raise WrongInput(detail=f"File storage directory '{subdir}' is not a path below the cluster's one")
    return str(PurePosixPath(base, *parts, instance))


def layout_of(config: Config, instance: Instance) -> Layout:
    """Layout for one more disk of an instance that exists."""
    for disk in config.disks_of(instance):
        if disk.file is not None:
            return Layout(template=instance.disk_template, folder=str(PurePosixPath(disk.file.path).parent),
                          driver=disk.file.driver, node=instance.primary_node)
    nodes = (instance.primary_node, *config.secondaries_of(instance))
    if instance.disk_template is DiskTemplate.DRBD and len(nodes) < 2:
        raise WrongState(detail=f"Instance {instance.name} has no mirrored disk and so no secondary node; add the disk "
                                "when its disk template is plain, then convert it")
    return layout(config, instance.disk_template, instance.name, nodes)


def annotated(config: Config, instance: Instance, disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """The disks as nodes are told of them: `params` are the effective parameters of their templates, in the group of
    the primary node, whether each of them has physical volumes of its own there, and whose they are, which LVM and
    providers keep for people who look there.
    """
    node = config.nodes[instance.primary_node]
    merged = effective.diskparams(config, config.groups[node.group])
    own = {"exclusive_storage": True} if effective.ndparams(config, node).get("exclusive_storage") else {}
    return tuple(_of(replace(disk, params={**merged.get(disk.dev_type, {}), **own, **disk.params}), instance.name)
                 for disk in disks)


def _of(disk: Disk, instance: str) -> Disk:
    """A file has the name of the instance in its path."""
    return disk if disk.file is not None else replace(disk, params={**disk.params, OF_INSTANCE: instance})


def create(view: View, where: Layout, index: int, spec: Mapping[str, Any]) -> Disk:
    """The disk that `spec` asks for, with a fresh UUID and without a PCI slot; its numbers are reserved."""
    kind = spec.get("dev_type", where.template)
    if kind != where.template:
        raise WrongInput(detail=f"disk/{index} cannot be of template {kind}: all disks of an instance have one, here "
                                f"{where.template}")
    spec = {key: value for key, value in spec.items() if key != "dev_type"}
    unknown = spec.keys() - KEYS.get(where.template, COMMON_KEYS)
    if unknown and where.template is not DiskTemplate.EXT:  # whose providers have keys of their own
        raise WrongInput(detail=f"disk/{index}: {', '.join(sorted(unknown))} cannot be set for disk template "
                                f"{where.template}")
    size = spec.get("size")
    if not isinstance(size, int) or size <= 0:
        raise WrongInput(detail="Missing disk size" if size is None else
                         f"Invalid disk size for disk/{index}: {size} MiB; it must be larger than 0")
    disk = Disk(uuid=view.new_uuid(), name=checked_name(spec.get("name")), dev_type=where.template, size=size,
                mode=checked_mode(spec.get("mode")), spindles=spec.get("spindles"))
    return _placed(view, where, index, disk, spec)


def _placed(view: View, where: Layout, index: int, disk: Disk, spec: Mapping[str, Any]) -> Disk:
    """`disk` with a place on its nodes."""
    from gantry.cmdlib import external, mirror
    if where.template is DiskTemplate.EXT:
        return external.placed(disk, index, spec, COMMON_KEYS, view.new_uuid())
    if where.template in FILE_TEMPLATES:
        path = f"{where.folder}/{disk.uuid}.{where.template.value}.disk{index}"
        here = (where.node,) if where.template is DiskTemplate.FILE else ()
        return replace(disk, file=FileLocation(path=path, driver=where.driver), nodes=here)
    if where.template not in LVM_TEMPLATES:
        return disk
    vg = spec.get("vg") or where.vg
    if not vg:
        raise WrongInput(detail=f"disk/{index}: the cluster has no volume group, and none is named with vg=")
    if where.template is DiskTemplate.PLAIN:
        return replace(disk, lvm=LvmLocation(vg=vg, lv=f"{view.new_uuid()}.disk{index}"), nodes=(where.node,))
    nodes = (where.node, where.secondary)
    ends = [mirror.new_end(view, view.config.nodes[node], index, vg=vg, metavg=spec.get("metavg") or where.metavg or vg)
            for node in nodes]
    return replace(disk, drbd=mirror.new_location(view, ends), nodes=nodes)


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


def check_spindles(config: Config, nodes: Iterable[str], disks: Sequence[Disk]) -> None:
    """Spindles are counted where a node gives each disk physical volumes of its own, and only there."""
    for uuid in nodes:
        node = config.nodes[uuid]
        exclusive = effective.ndparams(config, node).get("exclusive_storage")
        for index, disk in enumerate(disks):
            if exclusive and disk.dev_type is DiskTemplate.DRBD:
                raise WrongInput(detail=f"Disk template {disk.dev_type} not supported with exclusive storage, which "
                                        f"node {node.name} has")
            if exclusive and disk.dev_type is DiskTemplate.PLAIN and disk.spindles is None:
                raise WrongInput(detail=f"disk/{index}: number of spindles for each disk must be given, node "
                                        f"{node.name} has exclusive storage")
            if not exclusive and disk.spindles is not None:
                raise WrongInput(detail=f"disk/{index}: spindles in instance disks cannot be specified, node "
                                        f"{node.name} has no exclusive storage")


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
    """`disk` as it is once its instance is called `new`: a folder has the instance's name."""
    if disk.file is None:
        return _of(disk, new)
    path = PurePosixPath(disk.file.path)
    return replace(disk, file=replace(disk.file, path=str(path.parent.parent / new / path.name)))


def removers(config: Config, instance: Instance, disk: Disk) -> tuple[str, ...]:
    """UUIDs of the nodes that are to remove the disk: all that hold it, or for a shared one the primary, or else any;
    those marked offline are left out.
    """
    if disk.nodes:
        return tuple(node for node in disk.nodes if not config.nodes[node].offline)
    primary = config.nodes[instance.primary_node]
    if not primary.offline:
        return (primary.uuid,)
    others = [node.uuid for node in config.members_of(primary.group) if node.vm_capable and not node.offline]
    return tuple(sorted(others)[:1])


def shown(index: int, disk: Disk) -> str:
    """`disk/0 (256M, sharedfile)`."""
    return f"disk/{index} ({format_size(disk.size)}, {disk.dev_type})"


async def require_space(view: View, where: Layout, disks: Sequence[Disk]) -> None:
    """Refuse disks that one of their nodes has no room for, or cannot make."""
    from gantry.cmdlib import external
    await external.require_providers(view, where.node, disks)
    await require_room(view, wanted_room(view.config, where, disks))


Room = dict[str, dict[tuple[str, str], int]]
"""MiB by node (UUID) and storage unit (kind, name)."""


def wanted_room(config: Config, where: Layout, disks: Iterable[Disk]) -> Room:
    """What new disks will take."""
    found: Room = {}
    shared = where.template is DiskTemplate.SHAREDFILE
    base = config.cluster.shared_file_storage_dir if shared else config.cluster.file_storage_dir

    def add(node: str, unit: tuple[str, str], size: int) -> None:
        units = found.setdefault(node, {})
        units[unit] = units.get(unit, 0) + size

    for disk in disks:
        if disk.file is not None:
            add(where.node, ("file", base), disk.size)
        elif disk.lvm is not None:
            add(disk.nodes[0], ("lvm-vg", disk.lvm.vg), disk.size)
        elif disk.drbd is not None:
            for end in disk.drbd.ends:
                add(end.node, ("lvm-vg", end.data.vg), disk.size)
                add(end.node, ("lvm-vg", end.meta.vg), DRBD_META_SIZE)
    return found


async def require_room(view: View, wanted: Room) -> None:
    """Raises NoResources where a node has less than that, or has no such volume group."""
    from gantry.cmdlib import checks
    for uuid, units in wanted.items():
        name = view.config.nodes[uuid].name
        info = await checks.node_info(view, uuid, storage=[list(unit) for unit in units])
        free = {(unit.kind, unit.name): unit.free for unit in info.storage}
        for (kind, unit), size in units.items():
            have = free.get((kind, unit))
            if have is None and kind == "lvm-vg":
                raise NoResources(detail=f"Volume group '{unit}' is missing on node {name}")
            if have is not None and have < size:
                place = unit if kind == "file" else f"volume group {unit}"
                raise NoResources(detail=f"Not enough disk space on node {name} in {place}: {size} MiB are needed, "
                                         f"{have} MiB are free")
