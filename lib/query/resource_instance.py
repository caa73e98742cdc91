# SPDX-License-Identifier: BSD-2-Clause
"""The instances as queries show them; the fields by parameter and by device are in `instance_params.py`."""

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

from gantry.config import effective
from gantry.constants import DRBD_META_SIZE, AdminState, DiskTemplate
from gantry.objects import codec
from gantry.objects.base import Params
from gantry.objects.cluster import Node
from gantry.objects.hvparams import GLOBAL
from gantry.objects.instance import Disk, Instance
from gantry.objects.vm import VmStatus
from gantry.query import instance_live, mirrors
from gantry.query.fields import NODATA, OFFLINE, UNAVAIL, Field, Kind, common_fields, maybe, sort_key
from gantry.query.instance_params import aliases, indexed_fields, parameter_fields
from gantry.query.mirrors import State
from gantry.query.world import Context, Resource, World, table

NO_SPACE = frozenset({DiskTemplate.DISKLESS, DiskTemplate.BLOCKDEV})
NOT_SHOWN = GLOBAL | {"xen_cmd"}


class InstanceRow:
    """An instance with what its fields share, each computed at most once.

    `guests`: where it runs, by node UUID, or None where that was not asked; `unreachable`: its primary did
    not answer; `console_answer`: what its node said about the console; `mirrors`: what its primary said of each disk.
    """

    def __init__(self, item: Instance, context: Context) -> None:
        self.item = item
        self.context = context
        self.guests: dict[str, VmStatus] = {}
        self.unreachable = False
        self.console_answer: Any = UNAVAIL
        self.mirrors: list[State | None] = []

    @cached_property
    def pnode(self) -> Node:
        return self.context.config.nodes[self.item.primary_node]

    @cached_property
    def secondaries(self) -> list[Node]:
        config = self.context.config
        return [config.nodes[uuid] for uuid in config.secondaries_of(self.item)]

    @cached_property
    def disks(self) -> tuple[Disk, ...]:
        return self.context.config.disks_of(self.item)

    @cached_property
    def be(self) -> Params:
        return effective.beparams(self.context.config, self.item)

    @cached_property
    def hv(self) -> Params:
        return effective.hvparams(self.context.config, self.item)

    @cached_property
    def nics(self) -> list[Params]:
        """Merged parameters of each interface."""
        return [effective.nicparams(self.context.config, nic, self.pnode.group) for nic in self.item.nics]

    @cached_property
    def guest(self) -> VmStatus | None:
        """The running guest, that on the primary node before others."""
        running = {node: vm for node, vm in self.guests.items() if vm.state != "user_down"}
        return running.get(self.item.primary_node) or next(iter(running.values()), None)


# --- getters ----------------------------------------------------------------------------------------


def template(row: InstanceRow) -> str:
    kinds = {disk.dev_type for disk in row.disks}
    if not kinds:
        return DiskTemplate.DISKLESS.value
    return kinds.pop().value if len(kinds) == 1 else "mixed"


def disk_usage(row: InstanceRow) -> int:
    return sum(disk.size + (DRBD_META_SIZE if disk.dev_type == DiskTemplate.DRBD else 0)
               for disk in row.disks if disk.dev_type not in NO_SPACE)


def status(row: InstanceRow) -> str:
    """The word operators know; the first rule that fits."""
    if row.pnode.offline:
        return "ERROR_nodeoffline"
    if row.unreachable:
        return "ERROR_nodedown"
    if row.guest is None:
        return _down_status(row)
    if row.guests.get(row.item.primary_node) is not row.guest:
        return "ERROR_wrongnode"
    return "running" if row.item.admin_state == AdminState.UP else "ERROR_up"


def _down_status(row: InstanceRow) -> str:
    item = row.item
    if item.admin_state == AdminState.UP:
        return "USER_down" if _shut_down_by_user(row) else "ERROR_down"
    if item.admin_state == AdminState.OFFLINE:
        return "ADMIN_offline"
    return "USER_down" if item.admin_state_source == "user" else "ADMIN_down"


def _shut_down_by_user(row: InstanceRow) -> bool:
    """Whether the guest ended by itself, where that is tracked."""
    vm = row.guests.get(row.item.primary_node)
    return (vm is not None and vm.state == "user_down" and row.context.config.cluster.enabled_user_shutdown
            and (row.item.hypervisor != "kvm" or bool(row.hv.get("user_shutdown"))))


def oper_state(row: InstanceRow) -> Any:
    if row.guest is not None:
        return True
    if row.pnode.offline:
        return OFFLINE
    return NODATA if row.unreachable else False


def _of_guest(name: str) -> Any:
    def get(row: InstanceRow) -> Any:
        if row.guest is not None:
            return getattr(row.guest, name)
        state = oper_state(row)
        return UNAVAIL if state is False else state
    return get


def console(row: InstanceRow) -> Any:
    if row.guest is None:
        state = oper_state(row)
        return UNAVAIL if state is False else state
    answer = row.console_answer
    if isinstance(answer, Exception):
        return NODATA
    return answer if answer is UNAVAIL else codec.encode(answer) | {"instance": row.item.name}


def _mirrored(get: Callable[[InstanceRow], Any]) -> Callable[[InstanceRow], Any]:
    """A value that only instances with mirrored disks have."""
    def found(row: InstanceRow) -> Any:
        if template(row) != DiskTemplate.DRBD:
            return UNAVAIL
        if row.pnode.offline:
            return OFFLINE
        value = get(row)
        return NODATA if value is None else value
    return found


def _unsynced(row: InstanceRow) -> int | None:
    config = row.context.config
    found = [mirrors.unsynced(config, disk, state) for disk, state in zip(row.disks, row.mirrors, strict=True)]
    return None if None in found else sum(size for size in found if size is not None)


def _group(row: InstanceRow, node: Node) -> str:
    return row.context.config.groups[node.group].name


def _bridges(row: InstanceRow) -> list[str | None]:
    return [nic.get("link") if nic.get("mode") == "bridged" else None for nic in row.nics]


def _vlans(row: InstanceRow) -> list[str | None]:
    return [nic.get("vlan") if nic.get("mode") == "openvswitch" else None for nic in row.nics]


def _network_names(row: InstanceRow) -> list[str | None]:
    networks = row.context.config.networks
    return [networks[nic.network].name if nic.network else None for nic in row.item.nics]


T, B, N, U, O = Kind.TEXT, Kind.BOOL, Kind.NUMBER, Kind.UNIT, Kind.OTHER  # noqa: E741  (O for other)
LIVE, MIRRORS = instance_live.STATE, instance_live.MIRRORS

FIELDS = (
    Field("name", "Instance", T, "Its name", attrgetter("item.name"), host=True),
    Field("admin_state", "InstanceState", T, "What the administrator wants: up, down or offline",
          attrgetter("item.admin_state.value")),
    Field("admin_state_source", "InstanceStateSource", T, "Who last changed that: admin or user",
          attrgetter("item.admin_state_source")),
    Field("admin_up", "Autostart", B, "Whether it should run",
          lambda row: row.item.admin_state is AdminState.UP),
    Field("beparams", "BackendParameters", O, "Backend parameters, all levels merged", attrgetter("be")),
    Field("console", "Console", O, "How to reach its console", console, instance_live.CONSOLE),
    Field("custom_beparams", "CustomBackendParameters", O, "Backend parameters of its own",
          attrgetter("item.beparams")),
    Field("custom_hvparams", "CustomHypervisorParameters", O, "Hypervisor parameters of its own",
          attrgetter("item.hvparams")),
    Field("custom_nicparams", "CustomNicParameters", O, "Parameters of its own of each network interface",
          lambda row: [nic.nicparams for nic in row.item.nics]),
    Field("custom_osparams", "CustomOpSysParameters", O, "Public OS parameters of its own",
          attrgetter("item.osparams")),
    Field("disk.count", "Disks", N, "Number of disks", lambda row: len(row.item.disks)),
    Field("disk.names", "Disk_names", O, "Names of the disks", lambda row: [disk.name or None for disk in row.disks]),
    Field("disk.sizes", "Disk_sizes", O, "Sizes of the disks in MiB", lambda row: [disk.size for disk in row.disks]),
    Field("disk.spindles", "Disk_spindles", O, "Spindles of the disks",
          lambda row: [disk.spindles for disk in row.disks]),
    Field("disk.uuids", "Disk_UUIDs", O, "UUIDs of the disks", lambda row: list(row.item.disks)),
    Field("disk_template", "Disk_template", T, "Kind of its disks, diskless, or mixed", template),
    Field("disk_usage", "DiskUsage", U, "Space it takes on each of its nodes", disk_usage),
    Field("disks_active", "DisksActive", B, "Whether its disks should be open", attrgetter("item.disks_active")),
    Field("forthcoming", "Forthcoming", B, "Whether it is only reserved", attrgetter("item.forthcoming")),
    Field("hvparams", "HypervisorParameters", O, "Hypervisor parameters, all levels merged",
          lambda row: {name: value for name, value in row.hv.items() if name not in NOT_SHOWN}),
    Field("hypervisor", "Hypervisor", T, "Its hypervisor", attrgetter("item.hypervisor")),
    Field("mirror.since", "MirrorSince", Kind.TIMESTAMP, "Since when its mirrored disks were seen not to be whole at "
          "both ends", lambda row: maybe(mirrors.since(row.context.config, row.item))),
    Field("mirror.status", "MirrorStatus", T, "The worst of its mirrored disks: ok, sync, degraded, faulty or down",
          _mirrored(lambda row: mirrors.worst(row.mirrors)), MIRRORS),
    Field("mirror.unsynced", "MirrorUnsynced", N, "Bytes of its mirrored disks that only one node has",
          _mirrored(_unsynced), MIRRORS),
    Field("network_port", "Network_port", O, "Port of its graphical console",
          lambda row: maybe(row.item.network_port)),
    Field("nic.bridges", "NIC_bridges", O, "Bridges of the network interfaces", _bridges),
    Field("nic.count", "NICs", N, "Number of network interfaces", lambda row: len(row.item.nics)),
    Field("nic.ips", "NIC_IPs", O, "Addresses of the network interfaces",
          lambda row: [nic.ip for nic in row.item.nics]),
    Field("nic.links", "NIC_links", O, "Links of the network interfaces",
          lambda row: [nic.get("link") for nic in row.nics]),
    Field("nic.macs", "NIC_MACs", O, "MAC addresses", lambda row: [nic.mac for nic in row.item.nics]),
    Field("nic.modes", "NIC_modes", O, "Modes of the network interfaces",
          lambda row: [nic.get("mode") for nic in row.nics]),
    Field("nic.names", "NIC_Names", O, "Names of the network interfaces",
          lambda row: [nic.name for nic in row.item.nics]),
    Field("nic.networks", "NIC_networks", O, "UUIDs of their networks",
          lambda row: [nic.network for nic in row.item.nics]),
    Field("nic.networks.names", "NIC_networks_names", O, "Names of their networks", _network_names),
    Field("nic.uuids", "NIC_UUIDs", O, "UUIDs of the network interfaces",
          lambda row: [nic.uuid for nic in row.item.nics]),
    Field("nic.vlans", "NIC_VLANs", O, "VLANs of the network interfaces", _vlans),
    Field("oper_ram", "Memory", U, "Memory it has now", _of_guest("memory"), LIVE),
    Field("oper_state", "Running", B, "Whether it runs", oper_state, LIVE),
    Field("oper_vcpus", "VCPUs", N, "Virtual CPUs it has now", _of_guest("vcpus"), LIVE),
    Field("os", "OS", T, "Its operating system", attrgetter("item.os")),
    Field("osparams", "OpSysParameters", O, "Public OS parameters, all levels merged",
          lambda row: effective.osparams(row.context.config, row.item)),
    Field("pnode", "Primary_node", T, "Its primary node", attrgetter("pnode.name"), host=True),
    Field("pnode.group", "PrimaryNodeGroup", T, "Node group of its primary node", lambda row: _group(row, row.pnode)),
    Field("pnode.group.uuid", "PrimaryNodeGroupUUID", T, "UUID of that group", attrgetter("pnode.group")),
    Field("snodes", "Secondary_Nodes", O, "Its secondary nodes", lambda row: [node.name for node in row.secondaries]),
    Field("snodes.group", "SecondaryNodesGroups", O, "Node groups of the secondary nodes",
          lambda row: [_group(row, node) for node in row.secondaries]),
    Field("snodes.group.uuid", "SecondaryNodesGroupsUUID", O, "UUIDs of those groups",
          lambda row: [node.group for node in row.secondaries]),
    Field("status", "Status", T, "How it is: running, ADMIN_down, ADMIN_offline, USER_down, or one of ERROR_up, "
          "ERROR_down, ERROR_wrongnode, ERROR_nodedown, ERROR_nodeoffline", status, LIVE),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[InstanceRow]:
    context = Context(world)
    if names is not None:
        return [InstanceRow(world.config.instance(str(name)), context) for name in names]
    return [InstanceRow(item, context)
            for item in sorted(world.config.instances.values(), key=lambda item: sort_key(item.name))]


async def fetch(world: World, found: Sequence[InstanceRow], needs: frozenset[str]) -> None:
    """Where each runs, and the consoles of those that do."""
    if MIRRORS in needs:
        await instance_live.mirrors(world, found)
    if not needs - {MIRRORS}:
        return
    await instance_live.locate(world, found)
    if instance_live.CONSOLE in needs:
        await instance_live.consoles(world, [row for row in found if row.guest is not None])


_ALL = table(FIELDS, common_fields(), indexed_fields(), parameter_fields())

RESOURCE: Resource[InstanceRow] = Resource("instance", "name", _ALL | aliases(_ALL), rows, fetch)
