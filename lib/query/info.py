# SPDX-License-Identifier: BSD-2-Clause
"""Everything about instances, as `gnt-instance info` and RAPI's /info show it (the result of
OP_INSTANCE_QUERY_DATA).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import DRBD_META_SIZE, DiskTemplate
from gantry.objects.cluster import Network
from gantry.objects.instance import Disk, Nic
from gantry.query import instance_live, mirrors, resource_instance
from gantry.query.live import Nodes
from gantry.query.mirrors import State
from gantry.query.resource_instance import NOT_SHOWN, InstanceRow, template
from gantry.query.world import World
from gantry.rpc import calls
from gantry.utils.clock import PATIENCE

DISK_OKAY, DISK_FAULTY = 1, 3
"""States of a disk on its node, in the numbers of the wire."""
JOB_SECONDS = 60.0 * PATIENCE
"""A job waits longer for busy nodes than a query, which somebody waits for."""
LOST = frozenset({"Diskless", "Failed", "Detaching"})
"""What DRBD calls the disk of an end that lost it."""

Statuses = dict[tuple[str, str], State]
"""What `disks_status` says, by node and disk UUID."""


async def instance_info(config: Config, nodes: Nodes, names: Sequence[str], *, static: bool,
                        warn: Callable[[str], None]) -> dict[str, Any]:
    """By name; of all instances when no names are given.  `static`: no node is asked, live parts are null.

    Raises NotFound.  A node that does not answer costs the live parts only, and a word to `warn`.
    """
    world = World(config=config.frozen(), nodes=nodes, patience=JOB_SECONDS)
    rows = await resource_instance.RESOURCE.rows(world, names or None, frozenset())
    statuses: Statuses = {}
    if not static:
        await resource_instance.fetch(world, rows, frozenset({instance_live.STATE}))
        statuses = await _disk_statuses(world, rows, warn)
    return {row.item.name: _instance(row, statuses, static=static) for row in rows}


async def _disk_statuses(world: World, rows: Sequence[InstanceRow], warn: Callable[[str], None]) -> Statuses:
    wanted: dict[str, list[Disk]] = {}
    for row in rows:
        for disk in row.disks:
            for node in {row.item.primary_node, *disk.nodes}:
                if not world.config.nodes[node].offline:
                    wanted.setdefault(node, []).extend((disk, *_volumes(disk, node)))
    answers = await world.live.ask(calls.disks_status, {node: {"disks": disks} for node, disks in wanted.items()})
    for node, answer in answers.items():
        if isinstance(answer, Exception):
            warn(f"Error getting data from node {world.config.nodes[node].name}: {answer}")
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


def _volumes(disk: Disk, node: str) -> tuple[Disk, ...]:
    """The logical volumes below the end of a mirrored disk on the node, data first, as disks of their own."""
    end = disk.drbd.end(node) if disk.drbd is not None else None
    if end is None:
        return ()
    return tuple(replace(disk, uuid=f"{disk.uuid}.{what}", name="", dev_type=DiskTemplate.PLAIN, drbd=None, lvm=place,
                         size=size, nodes=(node,), spindles=None)
                 for what, place, size in (("data", end.data, disk.size), ("meta", end.meta, DRBD_META_SIZE)))


def _disk(row: InstanceRow, index: int, disk: Disk, statuses: Statuses) -> dict[str, Any]:
    config, primary = row.context.config, row.item.primary_node
    others = [node for node in disk.nodes if node != primary]
    data = _device(disk, f"disk/{index}", statuses.get((primary, disk.uuid)),
                   statuses.get((others[0], disk.uuid)) if others else None)
    if disk.drbd is None or not others:
        return data
    names = [config.nodes[node].name for node in (primary, others[0])]
    minors = [end.minor if end is not None else None for end in map(disk.drbd.end, (primary, others[0]))]
    pairs = zip(_volumes(disk, primary), _volumes(disk, others[0]), strict=True)
    return data | {
        "logical_id": [*names, disk.drbd.port, *minors, None],
        "drbd_info": {"primary_node": names[0], "primary_minor": minors[0], "secondary_node": names[1],
                      "secondary_minor": minors[1], "port": disk.drbd.port},
        "children": [_device(here, None, statuses.get((primary, here.uuid)), statuses.get((others[0], there.uuid)))
                     for here, there in pairs],
        "unsynced": mirrors.unsynced(config, disk, statuses.get((primary, disk.uuid))),
        "unsynced_since": disk.degraded_since,
        "problem": mirrors.problem(statuses.get((node, disk.uuid)) for node in (primary, others[0]))}


def _device(disk: Disk, name: str | None, first: State | None, second: State | None) -> dict[str, Any]:
    return {"iv_name": name, "dev_type": disk.dev_type.value, "logical_id": _location(disk), "drbd_info": None,
            "children": [], "mode": disk.mode, "size": disk.size, "spindles": disk.spindles,
            "name": disk.name or None, "uuid": disk.uuid, "pstatus": _status(first), "sstatus": _status(second)}


def _location(disk: Disk) -> list[Any]:
    if disk.file is not None:
        return [disk.file.driver, disk.file.path]
    if disk.ext is not None:
        return [disk.ext.provider, disk.ext.volume]
    return [disk.lvm.vg, disk.lvm.lv] if disk.lvm is not None else []


def _status(found: State | None) -> list[Any] | None:
    """[path, major, minor, sync percent, seconds left, degraded, local state]; None when it is not active."""
    if found is None or not found.get("exists"):
        return None
    mirror = found.get("mirror") or {"status": "ok"}
    if mirror["status"] == "down":
        return None
    local = DISK_FAULTY if mirror["status"] == "faulty" and mirror.get("disk") in LOST else DISK_OKAY
    return [found.get("path"), found.get("major"), found.get("minor"), mirror.get("percent"),
            mirror.get("eta_seconds"), mirror["status"] != "ok", local]
