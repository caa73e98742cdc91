# SPDX-License-Identifier: BSD-2-Clause
"""The programs of LVM: each takes the node, its root and the arguments, and gives what it prints."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from .state import EXTENT, MIB, Json, Refused, activate, device, store, zero

_COMMON = {"quiet!", "yes!", "force!"}


def _options(argv: list[str], known: set[str]) -> tuple[dict[str, str], list[str]]:
    from .main import options
    return options(argv, known | _COMMON)


def _report(kind: str, rows: list[dict[str, str]]) -> str:
    return json.dumps({"report": [{kind: rows}]}, indent=2)


_REPORT = {"reportformat", "units", "nosuffix!", "o"}


def _used(node: Json, pv: str) -> int:
    return sum(share for volume in node["lvs"].values() for name, share in volume["shares"].items() if name == pv)


def lvs(node: Json, root: str, argv: list[str]) -> str:
    _options(argv, _REPORT)
    rows = []
    for name, volume in sorted(node["lvs"].items()):
        vg, lv = name.split("/")
        attr = ("s" if volume["origin"] else "-") + "wi" + ("-a" if volume["active"] else "--")
        attr += ("o" if _open(node, name) else "-") + "--"
        attr += "p" if any(node["pvs"][pv]["missing"] for pv in volume["shares"]) else "-"
        rows.append({"vg_name": vg, "lv_name": lv, "lv_size": str(volume["size"]), "lv_attr": attr + "-",
                     "lv_tags": ",".join(volume["tags"]), "origin": volume["origin"],
                     "devices": ",".join(f"{pv}(0)" for pv in volume["shares"])})
    return _report("lv", rows)


def vgs(node: Json, root: str, argv: list[str]) -> str:
    _options(argv, _REPORT)
    rows = []
    for vg in sorted({pv["vg"] for pv in node["pvs"].values() if pv["vg"]}):
        own = {name: pv for name, pv in node["pvs"].items() if pv["vg"] == vg}
        size = sum(pv["size"] for pv in own.values())
        rows.append({"vg_name": vg, "vg_size": str(size), "vg_extent_size": str(EXTENT),
                     "vg_free": str(size - sum(_used(node, name) for name in own)),
                     "vg_missing_pv_count": str(sum(pv["missing"] for pv in own.values()))})
    return _report("vg", rows)


def pvs(node: Json, root: str, argv: list[str]) -> str:
    _options(argv, _REPORT)
    return _report("pv", [
        {"pv_name": "[unknown]" if pv["missing"] else name, "vg_name": pv["vg"], "pv_size": str(pv["size"]),
         "pv_free": str(pv["size"] - _used(node, name)),
         "pv_attr": ("a" if pv["allocatable"] else "u") + "-" + ("m" if pv["missing"] else "-")}
        for name, pv in sorted(node["pvs"].items())])


def lvcreate(node: Json, root: str, argv: list[str]) -> str:
    given, rest = _options(argv, {"Wn!", "Zn!", "size", "stripes", "addtag", "name", "snapshot!"})
    origin = ""
    if "snapshot" in given:
        vg, origin = rest[0].split("/")
        _find(node, rest[0])
    else:
        vg = rest[0]
    name = f"{vg}/{given['name']}"
    if vg not in {pv["vg"] for pv in node["pvs"].values()}:
        raise Refused(5, f'  Volume group "{vg}" not found\n  Cannot process volume group {vg}')
    if name in node["lvs"]:
        raise Refused(5, f'  Logical Volume "{given["name"]}" already exists in volume group "{vg}"')
    size, stripes = _size(given["size"]), int(given.get("stripes", 1))
    shares = _allocate(node, vg, size, stripes, rest[1:])
    node["lvs"][name] = {"size": size, "active": True, "tags": [given["addtag"]] if "addtag" in given else [],
                         "origin": origin, "shares": shares}
    path = store(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if origin:
        shutil.copyfile(store(root, f"{vg}/{origin}"), path)
    else:
        with path.open("wb") as file:  # what a new volume holds is what lay there before
            file.write(b"old contents of the disk")
            file.truncate(size)
    activate(root, name)
    return f'  Logical volume "{given["name"]}" created.'


def _allocate(node: Json, vg: str, size: int, stripes: int, devices: list[str]) -> dict[str, int]:
    """Bytes by physical volume."""
    own = [name for name, pv in sorted(node["pvs"].items())
           if pv["vg"] == vg and pv["allocatable"] and not pv["missing"] and (not devices or name in devices)]
    if stripes > len(own):
        raise Refused(5, f"  Number of stripes ({stripes}) must not exceed number of physical volumes ({len(own)})")
    if stripes > 1:
        return dict.fromkeys(own[:stripes], size // stripes)
    shares, rest = {}, size
    for name in own:
        share = min(rest, node["pvs"][name]["size"] - _used(node, name))
        if share:
            shares[name] = share
            rest -= share
    if rest:
        raise Refused(5, f'  Volume group "{vg}" has insufficient free space ({(size - rest) // EXTENT} extents): '
                         f"{size // EXTENT} required.")
    return shares


def lvremove(node: Json, root: str, argv: list[str]) -> str:
    _, rest = _options(argv, set())
    name = rest[0]
    _find(node, name)
    if _open(node, name):
        raise Refused(5, f"  Logical volume {name} in use.")
    del node["lvs"][name]
    node["meta"].pop(name, None)
    device(root, name).unlink(missing_ok=True)
    store(root, name).unlink(missing_ok=True)
    return f'  Logical volume "{name.split("/")[1]}" successfully removed.'


def lvextend(node: Json, root: str, argv: list[str]) -> str:
    given, rest = _options(argv, {"size"})
    volume, size = _find(node, rest[0]), _size(given["size"])
    if size <= volume["size"]:
        raise Refused(5, f"  New size ({size // EXTENT} extents) matches existing size ({size // EXTENT} extents).")
    more = _allocate(node, rest[0].split("/")[0], size - volume["size"], 1, rest[1:])
    for pv, share in more.items():
        volume["shares"][pv] = volume["shares"].get(pv, 0) + share
    volume["size"] = size
    with store(root, rest[0]).open("r+b") as file:
        file.truncate(size)
    return f"  Logical volume {rest[0]} successfully resized."


def lvrename(node: Json, root: str, argv: list[str]) -> str:
    _, (vg, old, new) = _options(argv, set())
    volume = _find(node, f"{vg}/{old}")
    if f"{vg}/{new}" in node["lvs"]:
        raise Refused(5, f'  Logical Volume "{new}" already exists in volume group "{vg}"')
    node["lvs"][f"{vg}/{new}"] = volume
    del node["lvs"][f"{vg}/{old}"]
    if f"{vg}/{old}" in node["meta"]:
        node["meta"][f"{vg}/{new}"] = node["meta"].pop(f"{vg}/{old}")
    store(root, f"{vg}/{old}").rename(store(root, f"{vg}/{new}"))
    device(root, f"{vg}/{old}").unlink(missing_ok=True)
    if volume["active"]:
        activate(root, f"{vg}/{new}")
    return f'  Renamed "{old}" to "{new}" in volume group "{vg}"'


def lvchange(node: Json, root: str, argv: list[str]) -> str:
    given, rest = _options(argv, {"activate", "deltag", "addtag"})
    volume = _find(node, rest[0])
    if "deltag" in given:
        volume["tags"] = [tag for tag in volume["tags"] if tag != given["deltag"]]
    volume["tags"] += [given["addtag"]] if "addtag" in given else []
    if given.get("activate") == "y":
        volume["active"] = True
        activate(root, rest[0])
    return f"  Logical volume {rest[0]} changed."


def pvchange(node: Json, root: str, argv: list[str]) -> str:
    given, rest = _options(argv, {"allocatable"})
    node["pvs"][rest[0]]["allocatable"] = given["allocatable"] == "y"
    return f'  Physical volume "{rest[0]}" changed'


def vgreduce(node: Json, root: str, argv: list[str]) -> str:
    _, rest = _options(argv, {"removemissing!"})
    gone = [name for name, pv in node["pvs"].items() if pv["vg"] == rest[0] and pv["missing"]]
    if any(_used(node, name) for name in gone):
        raise Refused(5, f"  WARNING: Partial LVs need to be repaired or removed in {rest[0]}.")
    for name in gone:
        del node["pvs"][name]
    return f"  Wrote out consistent volume group {rest[0]}."


def blkdiscard(node: Json, root: str, argv: list[str]) -> str:
    given, rest = _options(argv, {"zeroout!", "offset", "length"})
    path = Path(rest[0])
    name = "/".join(path.parts[-2:])
    if not path.exists():
        raise Refused(1, f"blkdiscard: cannot open {path}: No such file or directory")
    start, length = int(given["offset"]), int(given["length"])
    zero(path.resolve(), start, length)
    if start == 0:
        node["meta"].pop(name, None)
    return ""


def _find(node: Json, name: str) -> Json:
    if name not in node["lvs"]:
        raise Refused(5, f'  Failed to find logical volume "{name}"')
    found: Json = node["lvs"][name]
    return found


def _open(node: Json, name: str) -> bool:
    """A device stands on it, or a test says that something has it open."""
    return name in node["held"] or any(name in (one["data"], one["meta"]) for one in node["drbd"].values())


def _size(text: str) -> int:
    """Bytes of `60m`, in whole extents."""
    if not text.endswith("m"):
        raise Refused(3, f"size {text} is not understood here")
    return -(-int(text[:-1]) * MIB // EXTENT) * EXTENT


PROGRAMS: dict[str, Callable[[Json, str, list[str]], str]] = {
    "lvs": lvs, "vgs": vgs, "pvs": pvs, "lvcreate": lvcreate, "lvremove": lvremove, "lvextend": lvextend,
    "lvrename": lvrename, "lvchange": lvchange, "pvchange": pvchange, "vgreduce": vgreduce, "blkdiscard": blkdiscard}
