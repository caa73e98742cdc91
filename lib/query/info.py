# SPDX-License-Identifier: BSD-2-Clause
"""Everything about instances, as `gnt-instance info` and RAPI's /info show it (the result of
OP_INSTANCE_QUERY_DATA).
"""

from collections.abc import Sequence
from typing import Any

from gantry.config import effective
from gantry.config.config import Config
from gantry.objects.cluster import Network
from gantry.objects.instance import Disk, Nic
from gantry.query import resource_instance
from gantry.query.live import Nodes
from gantry.query.resource_instance import NOT_SHOWN, InstanceRow, template
from gantry.query.world import World
from gantry.rpc import calls

DISK_OKAY = 1
"""State of a disk on its node, in the words of the wire."""

Statuses = dict[tuple[str, str], dict[str, Any]]
"""What `disks_status` says, by node and disk UUID."""


async def instance_info(config: Config, nodes: Nodes, names: Sequence[str], *, static: bool) -> dict[str, Any]:
    """By name; of all instances when no names are given.  `static`: no node is asked, live parts are null.

    Raises NotFound.  A node that does not answer costs the live parts only.
    """
    world = World(config=config.frozen(), nodes=nodes)
    rows = await resource_instance.RESOURCE.rows(world, names or None, frozenset())
    statuses: Statuses = {}
    if not static:
        await resource_instance.fetch(world, rows, frozenset())
        statuses = await _disk_statuses(world, rows)
    return {row.item.name: _instance(row, statuses, static=static) for row in rows}


async def _disk_statuses(world: World, rows: Sequence[InstanceRow]) -> Statuses:
    wanted: dict[str, list[Disk]] = {}
    for row in rows:
        for disk in row.disks:
            for node in {row.item.primary_node, *disk.nodes}:
                if not world.config.nodes[node].offline:
                    wanted.setdefault(node, []).append(disk)
    answers = await world.live.ask(calls.disks_status, {node: {"disks": disks} for node, disks in wanted.items()})
    return {(node, disk.uuid): status for node, disks in wanted.items() if not isinstance(answers[node], Exception)
            for disk, status in zip(disks, answers[node], strict=True)}


def _instance(row: InstanceRow, statuses: Statuses, *, static: bool) -> dict[str, Any]:
    item, config = row.item, row.context.config
    groups = [config.groups[node.group] for node in row.secondaries]
    group = config.groups[row.pnode.group]
    return {
        "name": item.name, "uuid": item.uuid, "config_state": item.admin_state.value,
        "run_state": None if static else _run_state(row),
        "pnode": row.pnode.name, "pnode_group_uuid": group.uuid, "pnode_group_name": group.name,
        "snodes": [node.name for node in row.secondaries],
        "snodes_group_uuids": [found.uuid for found in groups],
        "snodes_group_names": [found.name for found in groups],
        "os": item.os, "hypervisor": item.hypervisor, "network_port": item.network_port,
        "nics": [_nic(nic, params, config) for nic, params in zip(item.nics, row.nics, strict=True)],
        "disk_template": template(row),
        "disks": [_disk(row, index, disk, statuses) for index, disk in enumerate(row.disks)],
        "hv_instance": item.hvparams, "hv_actual": {k: v for k, v in row.hv.items() if k not in NOT_SHOWN},
        "be_instance": item.beparams, "be_actual": row.be,
        "os_instance": item.osparams, "os_actual": effective.osparams(config, item),
        "serial_no": item.serial_no, "ctime": item.ctime, "mtime": item.mtime,
    }


def _run_state(row: InstanceRow) -> str | None:
    """up, user down, down, or offline; None where the primary cannot tell."""
    if row.guest is not None:
        return "up"
    if row.pnode.offline or row.unreachable:
        return None
    if resource_instance.status(row) == "USER_down":
        return "user down"
    return "offline" if row.item.admin_state.value == "offline" else "down"


def _nic(nic: Nic, params: dict[str, Any], config: Config) -> list[Any]:
    network = config.networks.get(nic.network) if nic.network else None
    return [nic.name, nic.uuid, nic.ip, nic.mac, params.get("mode"), params.get("link"), params.get("vlan"),
            nic.network, None if network is None else _network(network)]


def _network(network: Network) -> dict[str, Any]:
    return {"uuid": network.uuid, "name": network.name, "network": network.network, "gateway": network.gateway,
            "network6": network.network6, "gateway6": network.gateway6, "mac_prefix": network.mac_prefix,
            "tags": sorted(network.tags)}


def _disk(row: InstanceRow, index: int, disk: Disk, statuses: Statuses) -> dict[str, Any]:
    primary = row.item.primary_node
    others = [node for node in disk.nodes if node != primary]
    return {
        "iv_name": f"disk/{index}", "dev_type": disk.dev_type.value, "logical_id": _location(disk),
        "drbd_info": None, "children": [], "mode": disk.mode, "size": disk.size, "spindles": disk.spindles,
        "name": disk.name or None, "uuid": disk.uuid,
        "pstatus": _status(statuses.get((primary, disk.uuid))),
        "sstatus": _status(statuses.get((others[0], disk.uuid))) if others else None,
    }


def _location(disk: Disk) -> list[Any]:
    if disk.file is not None:
        return [disk.file.driver, disk.file.path]
    return [disk.lvm.vg, disk.lvm.lv] if disk.lvm is not None else []


def _status(found: dict[str, Any] | None) -> list[Any] | None:
    """[path, major, minor, sync percent, seconds left, degraded, local state]; None when it is not there."""
    if found is None or not found.get("exists"):
        return None
    return [found.get("path"), None, None, None, None, False, DISK_OKAY]
