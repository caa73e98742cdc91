# SPDX-License-Identifier: BSD-2-Clause
"""What hooks of instance operations see, without the GANETI_ prefix."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gantry import paths
from gantry.cmdlib import nics
from gantry.cmdlib.base import Hooks
from gantry.config import effective
from gantry.config.config import Config
from gantry.objects.instance import Disk, DrbdLocation, Instance, Nic

VERSION = "2"
_DEVICE = re.compile(r"INSTANCE_(DISK|NIC)\d+_")


def text(value: Any) -> str:
    """As scripts expect values: True, False, empty for none, lists by blanks."""
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple, frozenset)) else str(value)


def environment(config: Config, op_id: str, phase: str, hooks: Hooks) -> dict[str, str]:
    """Everything a script gets but PATH, with the GANETI_ prefix."""
    cluster = config.cluster
    master = config.nodes.get(cluster.master_node)
    env = {"HOOKS_VERSION": VERSION, "HOOKS_PHASE": phase, "HOOKS_PATH": hooks.path, "OP_CODE": op_id,
           "OBJECT_TYPE": hooks.object_type, "DATA_DIR": str(paths.here().state), "CLUSTER": cluster.name,
           "MASTER": master.name if master else ""}
    if hooks.target:
        env["OP_TARGET"] = hooks.target
    env |= hooks.env
    if phase == "post":
        env |= {f"POST_{name}": value for name, value in _afterwards(config, hooks).items()}
    return {f"GANETI_{name}": str(value) for name, value in env.items()}


def _afterwards(config: Config, hooks: Hooks) -> dict[str, str]:
    """The variables of the operation with the instance as it is now.  One that is gone, or was only made, is as it was
    told of before.
    """
    instance = config.instances.get(hooks.instance)
    if instance is None:
        return hooks.env
    kept = {name: value for name, value in hooks.env.items() if not _DEVICE.match(name)}
    return kept | instance_env(config, instance, config.disks_of(instance))


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """The variables of one operation, as scripts expect them."""
    return {key: text(value) for key, value in values.items()}


def instance_env(config: Config, instance: Instance, disks: Sequence[Disk], *, status: Any = None,
                 types: bool = True) -> dict[str, str]:
    """The variables of an instance.  `types` False (at creation): without where the disks lie."""
    be, hv = effective.beparams(config, instance), effective.hvparams(config, instance)
    secondaries = text(config.names_of(_secondaries(instance, disks)))
    env: dict[str, Any] = {
        "OP_TARGET": instance.name, "INSTANCE_NAME": instance.name,
        "INSTANCE_PRIMARY": config.nodes[instance.primary_node].name,
        "INSTANCE_SECONDARIES": secondaries, "INSTANCE_SECONDARY": secondaries,
        "INSTANCE_OS_TYPE": instance.os, "INSTANCE_DISK_TEMPLATE": instance.disk_template,
        "INSTANCE_HYPERVISOR": instance.hypervisor, "INSTANCE_TAGS": sorted(instance.tags),
        "INSTANCE_STATUS": instance.admin_state if status is None else status,
        "INSTANCE_MINMEM": be["minmem"], "INSTANCE_MAXMEM": be["maxmem"], "INSTANCE_MEMORY": be["maxmem"],
        "INSTANCE_VCPUS": be["vcpus"], "INSTANCE_NIC_COUNT": len(instance.nics), "INSTANCE_DISK_COUNT": len(disks)}
    group = config.nodes[instance.primary_node].group
    for index, nic in enumerate(instance.nics):
        env |= {f"INSTANCE_NIC{index}_{key}": value for key, value in nic_env(config, nic, group).items()}
    for index, disk in enumerate(disks):
        found = _disk(config, instance, disk, types=types)
        env |= {f"INSTANCE_DISK{index}_{key}": value for key, value in found.items()}
    env |= {f"INSTANCE_BE_{key}": value for key, value in be.items()}
    env |= {f"INSTANCE_HV_{key}": value for key, value in hv.items()}
    return texts(env)


def nic_env(config: Config, nic: Nic, group: str) -> dict[str, Any]:
    params = effective.nicparams(config, nic, group)
    env = {"UUID": nic.uuid, "IP": nic.ip, "MAC": nic.mac, "MODE": params["mode"], "LINK": params["link"],
           "VLAN": params.get("vlan")}
    if nic.name:
        env["NAME"] = nic.name
    if params["mode"] in ("bridged", "openvswitch"):
        env["BRIDGE"] = params["link"]
    return env | {f"NETWORK_{key.upper()}": value for key, value in nics.network_values(config, nic).items()}


def _secondaries(instance: Instance, disks: Sequence[Disk]) -> list[str]:
    return list(dict.fromkeys(node for disk in disks for node in disk.nodes if node != instance.primary_node))


def _disk(config: Config, instance: Instance, disk: Disk, *, types: bool) -> dict[str, Any]:
    env: dict[str, Any] = {"UUID": disk.uuid, "SIZE": disk.size, "MODE": disk.mode}
    if disk.name:
        env["NAME"] = disk.name
    if types:
        env["DEV_TYPE"] = disk.dev_type
        if disk.file is not None:
            env |= {"DRIVER": disk.file.driver, "ID": disk.file.path}
        elif disk.lvm is not None:
            env |= {"VG": disk.lvm.vg, "ID": disk.lvm.lv}
        elif disk.ext is not None:
            env |= {"PROVIDER": disk.ext.provider, "ID": disk.ext.volume}
        elif disk.drbd is not None:
            env |= _mirrored(config, instance, disk.drbd)
    return env


def _mirrored(config: Config, instance: Instance, place: DrbdLocation) -> dict[str, Any]:
    """A mirrored disk; the volumes are those of the primary node."""
    here, there = place.end(instance.primary_node), place.peer(instance.primary_node)
    if here is None or there is None:
        return {}
    return {"PNODE": config.nodes[here.node].name, "SNODE": config.nodes[there.node].name, "PORT": place.port,
            "PMINOR": here.minor, "SMINOR": there.minor, "DATA_VG": here.data.vg, "DATA_ID": here.data.lv,
            "META_VG": here.meta.vg, "META_ID": here.meta.lv}


def hooks(config: Config, path: str, env: Mapping[str, str], *, of: Instance | None, pre: Sequence[str],
          post: Sequence[str] | None = None) -> Hooks:
    """Hooks of an instance on the master and on these nodes; `post` is as `pre` unless it is given.  `of`: the
    instance, None where the operation makes it.
    """
    master = config.cluster.master_node
    return Hooks(path=path, object_type="INSTANCE", target=env["OP_TARGET"], env=dict(env),
                 instance="" if of is None else of.uuid,
                 pre_nodes=tuple(dict.fromkeys((master, *pre))),
                 post_nodes=tuple(dict.fromkeys((master, *(pre if post is None else post)))))


def on_instance(config: Config, path: str, instance: Instance, extra: Mapping[str, Any]) -> Hooks:
    """The usual case: on the master and all nodes of the instance, before and after."""
    env = instance_env(config, instance, config.disks_of(instance)) | texts(extra)
    return hooks(config, path, env, of=instance, pre=nodes_of(config, instance))


def nodes_of(config: Config, instance: Instance) -> tuple[str, ...]:
    """All nodes of the instance, the primary first."""
    return (instance.primary_node, *config.secondaries_of(instance))
