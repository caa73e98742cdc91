# SPDX-License-Identifier: BSD-2-Clause
"""What OS scripts see.  The node adds DISK_n_PATH, OS_API_VERSION, OS_NAME, OS_VARIANT and PATH."""

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.cmdlib.hookenv import text
from gantry.cmdlib.nics import network_values
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import DiskTemplate
from gantry.objects.instance import Disk, Instance, Nic

_FILES = frozenset({DiskTemplate.FILE, DiskTemplate.SHAREDFILE, DiskTemplate.GLUSTER})


def parameter(name: str) -> str:
    """The variable of an OS parameter."""
    return "OSP_" + name.upper().replace("-", "_")


def parameters(config: Config, instance: Instance) -> dict[str, str]:
    """All OS parameters by name, as `verify` and the scripts are given them; secret ones are not among them."""
    merged = effective.osparams(config, instance) | effective.osparams_private(config, instance)
    return {name: text(value) for name, value in merged.items()}


def script_env(config: Config, instance: Instance, disks: Sequence[Disk], *, secret: Mapping[str, Any] | None = None,
               debug_level: int | None = None) -> dict[str, Any]:
    """Variables for create, import, export and rename.  `secret`: values (or placeholders) by parameter name."""
    be, hv = effective.beparams(config, instance), effective.hvparams(config, instance)
    secondaries = dict.fromkeys(node for disk in disks for node in disk.nodes if node != instance.primary_node)
    env: dict[str, Any] = {
        "DEBUG_LEVEL": debug_level or 0, "INSTANCE_NAME": instance.name, "INSTANCE_OS": instance.os,
        "INSTANCE_UUID": instance.uuid, "INSTANCE_CTIME": int(instance.ctime), "INSTANCE_MTIME": int(instance.mtime),
        "INSTANCE_PRIMARY_NODE": config.nodes[instance.primary_node].name,
        "INSTANCE_SECONDARY_NODES": config.names_of(secondaries), "HYPERVISOR": instance.hypervisor,
        "DISK_COUNT": len(disks), "NIC_COUNT": len(instance.nics)}
    for index, disk in enumerate(disks):
        env |= {f"DISK_{index}_{key}": value for key, value in _disk(disk, hv).items()}
    group = config.nodes[instance.primary_node].group
    for index, nic in enumerate(instance.nics):
        env |= {f"NIC_{index}_{key}": value for key, value in _nic(config, nic, group, hv).items()}
    env |= {f"INSTANCE_BE_{key}": value for key, value in be.items()}
    env |= {f"INSTANCE_HV_{key}": value for key, value in hv.items()}
    env |= {parameter(name): value for name, value in parameters(config, instance).items()}
    shown: dict[str, Any] = {key: text(value) for key, value in env.items()}
    return shown | {parameter(name): value for name, value in (secret or {}).items()}


def _disk(disk: Disk, hv: Mapping[str, Any]) -> dict[str, Any]:
    driver = disk.file.driver if disk.file is not None else "loop"
    env = {"ACCESS": disk.mode, "SIZE": disk.size, "UUID": disk.uuid,
           "BACKEND_TYPE": f"file:{driver}" if disk.dev_type in _FILES else "block"}
    if disk.name:
        env["NAME"] = disk.name
    if hv.get("disk_type"):
        env["FRONTEND_TYPE"] = hv["disk_type"]
    return env


def _nic(config: Config, nic: Nic, group: str, hv: Mapping[str, Any]) -> dict[str, Any]:
    params = effective.nicparams(config, nic, group)
    env = {"MAC": nic.mac, "UUID": nic.uuid, "NAME": nic.name, "IP": nic.ip, "BRIDGE": None,
           "FRONTEND_TYPE": hv.get("nic_type")}
    if params["mode"] == "bridged":
        env["BRIDGE"] = params["link"]
    env = {key: value for key, value in env.items() if value}
    env |= {"MODE": params["mode"], "LINK": params["link"]}
    return env | {f"NETWORK_{key.upper()}": value for key, value in network_values(config, nic).items()}
