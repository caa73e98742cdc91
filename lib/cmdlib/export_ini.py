# SPDX-License-Identifier: BSD-2-Clause
"""`config.ini` of an export: the instance as it was, in words that other implementations read and write as well."""

import configparser
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gantry.cmdlib.hookenv import text
from gantry.cmdlib.steps import Guest
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import EXPORT_VERSION
from gantry.errors import WrongInput
from gantry.objects import hvparams
from gantry.objects.base import Params
from gantry.objects.instance import Nic

_UNSET = "None"
_MOST = 64
"""Disks, and network cards, that an export may have."""
_NIC_KEYS = ("mac", "ip", "network", "name", "mode", "link", "vlan")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export says; values are texts, unset ones are left out.  `disks` have size, dump and maybe name."""

    name: str
    os: str = ""
    disk_template: str = ""
    hypervisor: str = ""
    tags: tuple[str, ...] = ()
    disks: tuple[dict[str, Any], ...] = ()
    nics: tuple[dict[str, str], ...] = ()
    hvparams: Params = field(default_factory=dict)
    beparams: Params = field(default_factory=dict)
    osparams: Params = field(default_factory=dict)
    osparams_private: Params = field(default_factory=dict)


# --- writing ---

def write(config: Config, guest: Guest, now: float) -> str:
    """The text of an export made `now` (seconds since the epoch)."""
    instance = guest.instance
    be = effective.beparams(config, instance)
    hv = effective.hvparams(config, instance)
    sections: dict[str, dict[str, Any]] = {
        "export": {"version": EXPORT_VERSION, "timestamp": int(now), "source": guest.place, "os": instance.os,
                   "compression": "none"},
        "instance": {
            "name": instance.name, "maxmem": be["maxmem"], "minmem": be["minmem"], "memory": be["maxmem"],
            "vcpus": be["vcpus"], "disk_template": instance.disk_template, "hypervisor": instance.hypervisor,
            "tags": " ".join(sorted(instance.tags)), **_nics(config, guest), **_disks(guest)},
        "hypervisor": {name: value for name, value in hv.items() if name not in hvparams.GLOBAL},
        "backend": be, "os": effective.osparams(config, instance),
        "os_private": effective.osparams_private(config, instance)}
    parser = _parser()
    parser.read_dict({name: {key: _shown(value) for key, value in sorted(values.items())}
                      for name, values in sections.items()})
    out = io.StringIO()
    parser.write(out)
    return out.getvalue()


def _nics(config: Config, guest: Guest) -> dict[str, Any]:
    nics, group = guest.instance.nics, guest.node.group
    return {"nic_count": len(nics)} | {f"nic{index}_{key}": value for index, nic in enumerate(nics)
                                       for key, value in _nic(config, nic, group).items()}


def _nic(config: Config, nic: Nic, group: str) -> dict[str, Any]:
    params = effective.nicparams(config, nic, group)
    return {"mac": nic.mac, "ip": nic.ip, "network": nic.network, "name": nic.name, "mode": params["mode"],
            "link": params["link"], "vlan": params.get("vlan")}


def _disks(guest: Guest) -> dict[str, Any]:
    found: dict[str, Any] = {"disk_count": len(guest.disks)}
    for index, disk in enumerate(guest.disks):
        found |= {f"disk{index}_ivname": f"disk/{index}", f"disk{index}_dump": disk.uuid,
                  f"disk{index}_size": disk.size, f"disk{index}_name": disk.name or None}
    return found


def _shown(value: Any) -> str:
    return _UNSET if value is None else text(value)


# --- reading ---

def read(said: str, where: str) -> Exported:
    """Raises WrongInput for what is no export of a version that is known; `where` is how it is called then."""
    parser = _parser()
    try:
        parser.read_string(said)
        version = parser.get("export", "version", fallback=_UNSET)
        if version != str(EXPORT_VERSION):
            raise WrongInput(detail=f"Wrong export version {version} (wanted {EXPORT_VERSION}) of {where}")
        own = _section(parser, "instance")
        known = ("maxmem", "minmem", "vcpus") if "maxmem" in own else ("memory", "vcpus")
        memory: Params = {name: own[name] for name in known if name in own}
        return Exported(
            name=own["name"], os=_section(parser, "export").get("os", ""), disk_template=own.get("disk_template", ""),
            hypervisor=own.get("hypervisor", ""), tags=tuple(own.get("tags", "").split()),
            disks=tuple(_exported_disks(own)), nics=tuple(_exported_nics(own)),
            hvparams=_section(parser, "hypervisor"), beparams=_section(parser, "backend") or memory,
            osparams=_section(parser, "os"), osparams_private=_section(parser, "os_private"))
    except (configparser.Error, KeyError, ValueError) as err:
        reason = f"{err} is missing" if isinstance(err, KeyError) else " ".join(str(err).split())
        raise WrongInput(detail=f"{where} cannot be understood: {reason}") from err


def _section(parser: configparser.RawConfigParser, name: str) -> dict[str, str]:
    """Values that are set."""
    values = dict(parser.items(name)) if parser.has_section(name) else {}
    return {key: value for key, value in values.items() if value != _UNSET}


def _exported_disks(own: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for index in range(_count(own, "disk")):
        disk: dict[str, Any] = {"size": int(own[f"disk{index}_size"]), "dump": own.get(f"disk{index}_dump", "")}
        yield disk | ({"name": own[f"disk{index}_name"]} if own.get(f"disk{index}_name") else {})


def _exported_nics(own: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for index in range(_count(own, "nic")):
        yield {key: own[f"nic{index}_{key}"] for key in _NIC_KEYS if own.get(f"nic{index}_{key}")}


def _count(own: Mapping[str, str], what: str) -> int:
    count = int(own.get(f"{what}_count", 0))
    if not 0 <= count <= _MOST:
        raise ValueError(f"{what}_count is {count}")
    return count


def _parser() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep names as they are
    return parser
