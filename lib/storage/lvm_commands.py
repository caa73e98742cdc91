# SPDX-License-Identifier: BSD-2-Clause
"""Argument lists for LVM's programs, and what their reports say.  Nothing here runs anything.

The options are those that need no udev and ask no questions: without -Wy and -Zy nothing of a new volume is looked at
or cleared, which is why whoever makes one clears it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import simplejson

from gantry.errors import StorageError
from gantry.objects.instance import LvmLocation

Argv = list[str]

MIB = 1 << 20
_REPORT = ("--reportformat", "json", "--units", "b", "--nosuffix", "-o")
_LV_FIELDS = "vg_name,lv_name,lv_size,lv_attr,lv_tags,origin,devices"
_VG_FIELDS = "vg_name,vg_size,vg_free,vg_extent_size,vg_missing_pv_count"
_PV_FIELDS = "pv_name,vg_name,pv_size,pv_free,pv_attr"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A logical volume; bytes; `devices` are the physical volumes it lies on; `origin` of a snapshot; `lost`: it is a
    snapshot whose room for changes was used up, so that nothing can be read any more.
    """

    location: LvmLocation
    size: int
    active: bool
    open: bool
    partial: bool
    lost: bool
    tags: frozenset[str]
    origin: str
    devices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """A volume group; bytes."""

    name: str
    size: int
    free: int
    extent: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class Physical:
    """A physical volume; bytes; `vg` is empty when it belongs to none."""

    name: str
    vg: str
    size: int
    free: int
    allocatable: bool
    missing: bool


# --- reports ---

def list_volumes() -> Argv:
    return ["lvs", *_REPORT, _LV_FIELDS]


def list_groups() -> Argv:
    return ["vgs", *_REPORT, _VG_FIELDS]


def list_physical() -> Argv:
    return ["pvs", *_REPORT, _PV_FIELDS]


def volumes(text: str) -> dict[LvmLocation, Volume]:
    """What `list_volumes` printed; a volume of several segments has several rows there."""
    found: dict[LvmLocation, Volume] = {}
    for row in _rows(text, "lv"):
        location = LvmLocation(vg=row["vg_name"], lv=row["lv_name"].strip("[]"))
        before = found[location].devices if location in found else ()
        new = tuple(device.split("(")[0] for device in row["devices"].split(",") if device)
        attr = row["lv_attr"].ljust(10, "-")
        found[location] = Volume(
            location=location, size=_number(row["lv_size"]), active=attr[4] in "aAsS", open=attr[5] == "o",
            partial=attr[8] == "p", lost=attr[4] in "IS", origin=row["origin"],
            tags=frozenset(tag for tag in row["lv_tags"].split(",") if tag), devices=tuple(dict.fromkeys(before + new)))
    return found


def groups(text: str) -> dict[str, Group]:
    return {row["vg_name"]: Group(name=row["vg_name"], size=_number(row["vg_size"]), free=_number(row["vg_free"]),
                                  extent=_number(row["vg_extent_size"]),
                                  missing=_number(row["vg_missing_pv_count"] or "0"))
            for row in _rows(text, "vg")}


def physical(text: str) -> list[Physical]:
    return [Physical(name=row["pv_name"], vg=row["vg_name"], size=_number(row["pv_size"]),
                     free=_number(row["pv_free"]), allocatable=row["pv_attr"].startswith("a"),
                     missing=row["pv_attr"].ljust(3, "-")[2] == "m")
            for row in _rows(text, "pv")]


def _rows(text: str, kind: str) -> list[dict[str, str]]:
    try:
        return [row for part in simplejson.loads(text)["report"] for row in part.get(kind, [])]
    except (ValueError, KeyError, TypeError) as err:
        raise StorageError(detail=f"LVM's report cannot be understood ({err}): {text[:200]!r}") from err


def _number(text: str) -> int:
    return int(float(text))


# --- changes ---

def create(where: LvmLocation, size: int, *, stripes: int, tag: str, devices: Sequence[str] = ()) -> Argv:
    """A volume of `size` MiB, on `devices` if any are given, else anywhere."""
    spread = ["--stripes", str(stripes)] if stripes > 1 else []
    return ["lvcreate", "--yes", "--quiet", "-Wn", "-Zn", "--size", f"{size}m", *spread, "--addtag", tag,
            "--name", where.lv, where.vg, *devices]


def snapshot(origin: LvmLocation, name: str, size: int) -> Argv:
    return ["lvcreate", "--yes", "--quiet", "--snapshot", "--size", f"{size}m", "--name", name, path(origin)]


def remove(where: LvmLocation) -> Argv:
    return ["lvremove", "--yes", "--quiet", "--force", path(where)]


def extend(where: LvmLocation, size: int, devices: Sequence[str] = ()) -> Argv:
    return ["lvextend", "--quiet", "--size", f"{size}m", path(where), *devices]


def rename(where: LvmLocation, name: str) -> Argv:
    return ["lvrename", "--quiet", where.vg, where.lv, name]


def activate(where: LvmLocation) -> Argv:
    return ["lvchange", "--quiet", "--activate", "y", path(where)]


def tag(where: LvmLocation, *, drop: Iterable[str] = (), add: Iterable[str] = ()) -> Argv:
    changes = [*(("--deltag", one) for one in sorted(drop)), *(("--addtag", one) for one in sorted(add))]
    return ["lvchange", "--quiet", *(word for change in changes for word in change), path(where)]


def zero(device: str, start: int, length: int) -> Argv:
    """Bytes from `start`; the kernel asks the hardware to do it where that is quicker."""
    return ["blkdiscard", "--zeroout", "--offset", str(start), "--length", str(length), device]


def allow(device: str, *, allocatable: bool) -> Argv:
    return ["pvchange", "--quiet", "--allocatable", "y" if allocatable else "n", device]


def reduce(vg: str) -> Argv:
    """Takes missing physical volumes out; refuses when a volume needs one."""
    return ["vgreduce", "--quiet", "--removemissing", vg]


def path(where: LvmLocation) -> str:
    return f"{where.vg}/{where.lv}"


# --- where a volume may lie ---

def stripes(present: Sequence[Physical], vg: str, size: int, wanted: int) -> int:
    """How many stripes of `wanted` there are physical volumes with room for; at least 1."""
    for count in range(wanted, 1, -1):
        share = -(-size * MIB // count)
        if sum(1 for device in _usable(present, vg) if device.free >= share) >= count:
            return count
    return 1


def own_devices(present: Sequence[Physical], vg: str, size: int, count: int | None) -> list[str]:
    """Empty physical volumes for a volume that shares none: `count` of them, or as many as `size` MiB take.

    Raises StorageError when there are not enough.
    """
    empty = sorted((device for device in _usable(present, vg) if device.free == device.size),
                   key=lambda device: (device.size, device.name))
    if count is None and empty:
        count = math.ceil(size * MIB / empty[0].size)
    if not empty or len(empty) < (count or 1):
        raise StorageError(detail=f"exclusive storage: a disk of {size} MiB needs {count or 1} empty physical volumes "
                                  f"in volume group {vg}, there are {len(empty)}; add some with vgextend")
    chosen = empty[:count]
    room = sum(device.free for device in chosen)
    if room < size * MIB:
        raise StorageError(detail=f"exclusive storage: {len(chosen)} physical volumes of volume group {vg} hold "
                                  f"{room // MIB} MiB, the disk needs {size} MiB; give it more spindles")
    return [device.name for device in chosen]


def _usable(present: Sequence[Physical], vg: str) -> list[Physical]:
    return [device for device in present if device.vg == vg and device.allocatable and not device.missing]
