# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_QUERY_DATA: everything about instances, for `gnt-instance info` and RAPI."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gantry.cmdlib import nics
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import AdminState
from gantry.errors import Error
from gantry.objects import hvparams
from gantry.objects.instance import Disk, Instance, Nic
from gantry.objects.plan import Plan
from gantry.objects.vm import VmStatus
from gantry.opcodes.instance import InstanceQueryData
from gantry.rpc import calls
from gantry.utils.names import nice_key

OKAY = 1
"""Local state of a disk that is all right."""


class InstanceQueryDataUnit(LogicalUnit[InstanceQueryData, dict[str, Any]], op=InstanceQueryData):
    """Nothing is changed.  Without `static`, the primary nodes are asked as well."""

    def locks(self, view: View) -> Locks:
        if self.op.static or not self.op.use_locking:
            return Locks()
        config, found = view.config, _chosen(view.config, self.op.instances)
        nodes = {node for instance in found for node in (instance.primary_node, *config.secondaries_of(instance))}
        networks = {nic.network for instance in found for nic in instance.nics if nic.network}
        return Locks(shared={
            "instance": frozenset(instance.name for instance in found), "node": frozenset(nodes),
            "nodegroup": frozenset(config.nodes[node].group for node in nodes), "network": frozenset(networks)})

    async def check(self, view: View) -> dict[str, Any]:
        config = view.config
        chosen = _chosen(config, self.op.instances)
        guests: dict[str, VmStatus] = {}
        disks: dict[str, list[dict[str, Any]]] = {}
        if not self.op.static:
            guests = await _guests(view, chosen)
            disks = dict(await asyncio.gather(*(_disks(view, instance) for instance in chosen)))
        found = {}
        for instance in chosen:
            data = static_data(config, instance, disks.get(instance.uuid))
            live = not self.op.static and not config.nodes[instance.primary_node].offline
            data["run_state"] = _run_state(instance, guests.get(instance.uuid)) if live else None
            found[instance.name] = data
        return found

    def plan(self, seen: dict[str, Any]) -> Plan:
        return Plan(result=seen)


def _chosen(config: Config, names: Sequence[str]) -> list[Instance]:
    if names:
        return [config.instance(name) for name in names]
    return sorted(config.instances.values(), key=lambda instance: nice_key(instance.name))


# --- asking nodes ----------------------------------------------------------------------------------------------


async def _guests(view: View, chosen: Iterable[Instance]) -> dict[str, VmStatus]:
    """What runs of these instances on their primary nodes, by UUID."""
    config = view.config
    nodes = {instance.primary_node for instance in chosen if not config.nodes[instance.primary_node].offline}
    hypervisors = sorted({str(instance.hypervisor) for instance in chosen})
    answers = await view.nodes.call_many(nodes, calls.instances_info, hypervisors=hypervisors)
    found = {}
    for node, answer in answers.items():
        if isinstance(answer, Error):
            view.warn(f"Error getting data from node {config.nodes[node].name}: {answer}")
            continue
        found.update({guest.uuid: guest for guest in answer if _primary_of(config, guest.uuid) == node})
    return found


def _primary_of(config: Config, uuid: str) -> str | None:
    instance = config.instances.get(uuid)
    return instance.primary_node if instance else None


async def _disks(view: View, instance: Instance) -> tuple[str, list[dict[str, Any]]]:
    """(UUID, state of each disk); no states when the node cannot tell."""
    disks = view.config.disks_of(instance)
    if not disks or view.config.nodes[instance.primary_node].offline:
        return instance.uuid, []
    try:
        return instance.uuid, await view.nodes.call(instance.primary_node, calls.disks_status, disks=list(disks))
    except Error as err:
        view.warn(f"disks of instance {instance.name}: {err}")
        return instance.uuid, []


def _run_state(instance: Instance, guest: VmStatus | None) -> str:
    if guest is not None:
        return "user down" if guest.state == "user_down" else "up"
    return "down" if instance.admin_state == AdminState.UP else str(instance.admin_state)


# --- the answer ------------------------------------------------------------------------------------------------


def static_data(config: Config, instance: Instance, live_disks: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """What the configuration knows, with the state of the disks where it was asked for."""
    primary = config.nodes[instance.primary_node]
    secondaries = [config.nodes[uuid] for uuid in config.secondaries_of(instance)]
    hv = effective.hvparams(config, instance)
    states = list(live_disks or [])
    states += [{}] * (len(instance.disks) - len(states))
    return {
        "name": instance.name, "uuid": instance.uuid, "config_state": str(instance.admin_state), "run_state": None,
        "pnode": primary.name, "pnode_group_uuid": primary.group,
        "pnode_group_name": config.groups[primary.group].name,
        "snodes": [node.name for node in secondaries], "snodes_group_uuids": [node.group for node in secondaries],
        "snodes_group_names": [config.groups[node.group].name for node in secondaries],
        "os": instance.os, "nics": [_nic(config, nic, primary.group) for nic in instance.nics],
        "disk_template": str(instance.disk_template),
        "disks": [disk_data(index, disk, state) for index, (disk, state) in
                  enumerate(zip(config.disks_of(instance), states, strict=True))],
        "hypervisor": str(instance.hypervisor), "network_port": instance.network_port,
        "hv_instance": dict(instance.hvparams),
        "hv_actual": {key: value for key, value in hv.items() if key not in hvparams.GLOBAL},
        "be_instance": dict(instance.beparams), "be_actual": effective.beparams(config, instance),
        "os_instance": dict(instance.osparams), "os_actual": effective.osparams(config, instance),
        "serial_no": instance.serial_no, "ctime": instance.ctime, "mtime": instance.mtime}


def _nic(config: Config, nic: Nic, group: str) -> list[Any]:
    params = effective.nicparams(config, nic, group)
    return [nic.name, nic.uuid, nic.ip, nic.mac, params["mode"], params["link"], params.get("vlan"), nic.network,
            nics.network_values(config, nic) or None]


def disk_data(index: int, disk: Disk, state: Mapping[str, Any]) -> dict[str, Any]:
    pstatus = [state["path"], None, None, None, None, False, OKAY] if state.get("exists") else None
    return {"iv_name": f"disk/{index}", "dev_type": str(disk.dev_type), "logical_id": _logical_id(disk),
            "drbd_info": None, "pstatus": pstatus, "sstatus": None, "children": [], "mode": disk.mode,
            "size": disk.size, "spindles": disk.spindles, "name": disk.name or None, "uuid": disk.uuid}


def _logical_id(disk: Disk) -> list[Any]:
    if disk.file is not None:
        return [disk.file.driver, disk.file.path]
    if disk.lvm is not None:
        return [disk.lvm.vg, disk.lvm.lv]
    return []

