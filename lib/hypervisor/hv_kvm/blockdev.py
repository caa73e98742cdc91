# SPDX-License-Identifier: BSD-2-Clause
"""Disks, CD drives and the floppy: block nodes below, devices above.  Pure."""

import json
from typing import Any

from gantry.constants import SHARED_TEMPLATES
from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm.devices import Slots, disk_id, disk_node, file_node, option
from gantry.hypervisor.hv_kvm.place import DiskFile, Place
from gantry.objects.base import Params
from gantry.objects.instance import Disk
from gantry.objects.vm import VmDisk, VmSpec

Argv = list[str]

SCSI_TYPES = {"scsi": "scsi-hd", "scsi-hd": "scsi-hd", "scsi-cd": "scsi-cd", "scsi-block": "scsi-block",
              "scsi-generic": "scsi-generic"}
_NARROW = frozenset({"lsi", "dc390"})
"""Controllers with seven targets; disks are numbered there, elsewhere their target is their PCI slot."""

_CDROMS = ("cdrom_image_path", "cdrom2_image_path")


def arguments(spec: VmSpec, hv: Params, place: Place, slots: Slots) -> Argv:
    """Everything the guest can read or write blocks from, in the order of its disks."""
    argv: Argv = []
    if uses_scsi(hv):
        argv += ["-device", option(hv["scsi_controller_type"], id="scsi", **slots.fixed("scsi"))]
    for index, disk in enumerate(spec.disks):
        argv += _nodes(disk.disk, place.disks[disk.disk.uuid], hv)
        argv += _disk(spec, disk, index, hv, slots)
    free_ide = _ide_units(slots)
    for number, name in enumerate(_CDROMS):
        if hv[name]:
            first = number == 0 and boots_from(hv, "cdrom")
            argv += _cdrom(number, hv, boot=first, unit=free_ide[-2:][number])
    if hv["floppy_image_path"]:
        argv += _floppy(hv, slots)
    return argv


def machine_flash(spec: VmSpec, hv: Params) -> dict[str, str]:
    """Disks of type pflash are properties of the machine."""
    if hv["disk_type"] != "pflash":
        return {}
    if len(spec.disks) > 2:
        raise HypervisorError(detail=f"guest {spec.name}: a machine has room for two disks of type pflash")
    return {f"pflash{index}": disk_node(disk.disk.uuid) for index, disk in enumerate(spec.disks)}


def boots_from(hv: Params, device: str) -> bool:
    return not hv["kernel_path"] and hv["boot_order"] == device


def uses_scsi(hv: Params) -> bool:
    wanted = {hv["disk_type"]}
    if any(hv[name] for name in _CDROMS):
        wanted.add(_cdrom_type(hv))
    return bool(wanted & SCSI_TYPES.keys())


def file_options(disk: Disk, file: DiskFile, hv: Params, *, node: str = "") -> dict[str, Any]:
    """The lower block node of a disk; `node` gives it another name than its own."""
    direct = file.direct and (hv["disk_cache"] == "none" or disk.dev_type in SHARED_TEMPLATES)
    native = hv["disk_aio"] == "native" and direct
    aio = hv["disk_aio"] if hv["disk_aio"] != "native" or native else "threads"
    return {"driver": "host_device" if file.block else "file", "node-name": node or file_node(disk.uuid),
            "filename": file.path, "aio": aio, "locking": "auto", "discard": _discard(hv),
            "cache": {"direct": direct, "no-flush": False}, "read-only": disk.mode == "ro", "auto-read-only": False}


def node_options(disk: Disk, file: DiskFile, hv: Params, *, upper: str = "",
                 lower: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """The lower block node of a disk and the one above it, which the guest's device uses."""
    below = file_options(disk, file, hv, node=lower)
    return below, {"driver": "raw", "node-name": upper or disk_node(disk.uuid), "file": below["node-name"],
                   "discard": below["discard"], "cache": below["cache"], "read-only": below["read-only"]}


def _nodes(disk: Disk, file: DiskFile, hv: Params) -> Argv:
    lower, upper = node_options(disk, file, hv)
    return ["-blockdev", json.dumps(lower), "-blockdev", json.dumps(upper)]


def _discard(hv: Params) -> str:
    return "unmap" if hv["disk_discard"] == "unmap" else "ignore"


def _disk(spec: VmSpec, disk: VmDisk, index: int, hv: Params, slots: Slots) -> Argv:
    kind = hv["disk_type"]
    if kind == "mtd":
        raise HypervisorError(detail=f"guest {spec.name}: machine types pc and q35 have no disks of type mtd")
    if kind == "pflash":
        return []
    if kind == "sd":
        if index:
            raise HypervisorError(detail=f"guest {spec.name}: a machine has room for one disk of type sd")
        card = {"id": disk_id(disk.disk.uuid), "drive": disk_node(disk.disk.uuid)}
        return ["-device", option("sdhci-pci", id="sd", **slots.fixed("sd")), "-device", option("sd-card", **card)]
    model, values = disk_device(spec, disk, index, hv, slots)
    return ["-device", option(model, **values)]


def disk_device(spec: VmSpec, disk: VmDisk, index: int, hv: Params, slots: Slots) -> tuple[str, dict[str, object]]:
    """Model and properties of what the guest sees of a disk on virtio, SCSI or IDE."""
    kind, uuid = hv["disk_type"], disk.disk.uuid
    common: dict[str, object] = {"id": disk_id(uuid), "drive": disk_node(uuid)}
    if index == 0 and boots_from(hv, "disk"):
        common["bootindex"] = 1
    if kind in SCSI_TYPES:
        target = {"bus": "scsi.0", "scsi_id": _scsi_id(spec, disk, index, hv)}
        passed = kind in ("scsi-block", "scsi-generic")
        return SCSI_TYPES[kind], {**target, **common, **({} if passed else _traits(disk, hv))}
    if kind == "ide":
        units = _ide_units(slots)
        if index >= len(units):
            raise HypervisorError(detail=f"guest {spec.name}: {len(units)} disks fit on its IDE controller")
        return "ide-hd", {**units[index], **common, **_traits(disk, hv)}
    return "virtio-blk-pci", {**slots.at(disk.pci), **common, **_traits(disk, hv)}


def _traits(disk: VmDisk, hv: Params) -> dict[str, object]:
    """The guest finds a disk again by its serial number; writethrough means that it is told of no cache."""
    traits: dict[str, object] = {"serial": disk.disk.uuid.replace("-", "")[:20]}
    if hv["disk_type"] != "scsi-cd":
        traits["write_cache"] = "off" if hv["disk_cache"] == "writethrough" else "on"
    return traits


def _scsi_id(spec: VmSpec, disk: VmDisk, index: int, hv: Params) -> int:
    if hv["scsi_controller_type"] not in _NARROW:
        return disk.pci
    if index >= 7:
        raise HypervisorError(detail=f"guest {spec.name}: 7 disks fit on the controller "
                                     f"{hv['scsi_controller_type']}; set scsi_controller_type=virtio-scsi-pci")
    return index


def _ide_units(slots: Slots) -> list[dict[str, object]]:
    """Places on the controller of the machine: two channels with two drives, or six ports."""
    if slots.q35:
        return [{"bus": f"ide.{port}", "unit": 0} for port in range(6)]
    return [{"bus": f"ide.{channel}", "unit": unit} for channel in range(2) for unit in range(2)]


def _cdrom_type(hv: Params) -> str:
    return str(hv["cdrom_disk_type"] or hv["disk_type"])


def _cdrom(number: int, hv: Params, *, boot: bool, unit: dict[str, object]) -> Argv:
    """A drive with its image.  Buses that know no CD drives (paravirtual) get theirs on IDE."""
    name, source = f"cdrom{number}", str(hv[_CDROMS[number]])
    url = source.partition("://")[0] if "://" in source else ""
    node: dict[str, Any] = {"driver": url or "file", "node-name": name, "read-only": True}
    node |= {"url": source} if url else {"filename": source}
    common: dict[str, object] = {"id": f"cd-{number}", "drive": name}
    if boot:
        common["bootindex"] = 1
    if _cdrom_type(hv) in SCSI_TYPES:
        top = 7 if hv["scsi_controller_type"] in _NARROW else 64
        device = option("scsi-cd", bus="scsi.0", scsi_id=top - 1 - number, **common)
    else:
        device = option("ide-cd", **unit, **common)
    return ["-blockdev", json.dumps(node), "-device", device]


def _floppy(hv: Params, slots: Slots) -> Argv:
    node = {"driver": "file", "node-name": "floppy0", "filename": hv["floppy_image_path"], "read-only": True}
    controller = ["-device", "isa-fdc,id=fdc"] if slots.q35 else []
    boot = ["-global", "isa-fdc.bootindexA=1"] if boots_from(hv, "floppy") else []
    return ["-blockdev", json.dumps(node), *controller, *boot, "-device", "floppy,drive=floppy0"]
