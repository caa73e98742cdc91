# SPDX-License-Identifier: BSD-2-Clause
"""The nodes as queries show them."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any

from gantry.config import effective
from gantry.objects.base import Params
from gantry.objects.cluster import Cluster, Node
from gantry.objects.node import NodeInfo
from gantry.query.fields import NODATA, OFFLINE, UNAVAIL, Field, Kind, common_fields, nice_sorted, sort_key
from gantry.query.world import Context, Resource, World, table
from gantry.rpc import calls

INFO = "node_info"
HOST_CPUS = 1
"""CPUs that are counted as the host's own; allocators subtract nothing for it under KVM."""

NDP = (
    ("cpu_speed", "ndp/cpu_speed", Kind.FLOAT, "Speed of its CPUs, relative to others"),
    ("exclusive_storage", "ExclusiveStorage", Kind.BOOL, "Whether disks do not share physical volumes"),
    ("oob_program", "OutOfBandProgram", Kind.OTHER, "Program for power management"),
    ("ovs", "OpenvSwitch", Kind.BOOL, "Whether Open vSwitch is set up"),
    ("ovs_link", "OpenvSwitchLink", Kind.OTHER, "Uplink of the virtual switch"),
    ("ovs_name", "OpenvSwitchName", Kind.OTHER, "Name of the virtual switch"),
    ("spindle_count", "SpindleCount", Kind.NUMBER, "Spindles"),
    ("ssh_port", "ndp/ssh_port", Kind.NUMBER, "Port of its SSH server"),
)


def ndp_fields() -> Iterator[Field]:
    """The node parameters, of a row that has them merged as `nd`."""
    for name, title, kind, doc in NDP:
        yield Field(f"ndp/{name}", title, kind, doc, _nd(name))


def _nd(name: str) -> Callable[[Any], Any]:
    return lambda row: row.nd.get(name, UNAVAIL)


class NodeRow:
    """`info`: what the node said, an error in its place, or None where it was not asked."""

    def __init__(self, item: Node, context: Context) -> None:
        self.item = item
        self.context = context
        self.info: NodeInfo | Exception | None = None

    @cached_property
    def nd(self) -> Params:
        return effective.ndparams(self.context.config, self.item)

    @cached_property
    def primaries(self) -> list[str]:
        return nice_sorted(instance.name for instance in self.context.config.primaries_of(self.item.uuid))

    @cached_property
    def secondaries(self) -> list[str]:
        return self.context.secondaries.get(self.item.uuid, [])


def storage_unit(cluster: Cluster) -> tuple[str, str] | None:
    """(kind, name) of the storage behind the first enabled disk template; None when it is on no node."""
    first = cluster.enabled_disk_templates[0] if cluster.enabled_disk_templates else ""
    unit = {"file": ("file", cluster.file_storage_dir),
            "sharedfile": ("file", cluster.shared_file_storage_dir),
            "gluster": ("file", cluster.gluster_storage_dir),
            "plain": ("lvm-vg", cluster.volume_group_name or ""),
            "drbd": ("lvm-vg", cluster.volume_group_name or "")}.get(first)
    return unit if unit is not None and unit[1] else None


def _info(name: str) -> Callable[[NodeRow], Any]:
    def get(row: NodeRow) -> Any:
        if isinstance(row.info, NodeInfo):
            return getattr(row.info, name)
        return OFFLINE if row.item.offline else NODATA
    return get


def _storage(name: str) -> Callable[[NodeRow], Any]:
    def get(row: NodeRow) -> Any:
        if not isinstance(row.info, NodeInfo):
            return OFFLINE if row.item.offline else NODATA
        unit = storage_unit(row.context.config.cluster)
        found = [item for item in row.info.storage if (item.kind, item.name) == unit]
        return getattr(found[0], name) if found else UNAVAIL
    return get


def _host_cpus(row: NodeRow) -> Any:
    if isinstance(row.info, NodeInfo):
        return HOST_CPUS
    return OFFLINE if row.item.offline else NODATA


def _spindles(row: NodeRow) -> Any:
    return OFFLINE if row.item.offline else UNAVAIL


def is_master(row: NodeRow) -> bool:
    return row.item.uuid == row.context.config.cluster.master_node


def role(row: NodeRow) -> str:
    node = row.item
    if is_master(row):
        return "M"
    if node.offline:
        return "O"
    if node.drained:
        return "D"
    return "C" if node.master_candidate else "R"


T, B, N, U, O = Kind.TEXT, Kind.BOOL, Kind.NUMBER, Kind.UNIT, Kind.OTHER  # noqa: E741  (O for other)

FIELDS = (
    Field("name", "Node", T, "Its name", attrgetter("item.name"), host=True),
    Field("bootid", "BootID", T, "Changes with each boot of the kernel", _info("boot_id"), INFO),
    Field("cnodes", "CNodes", N, "NUMA nodes", _info("cpu_nodes"), INFO),
    Field("cnos", "CNOs", N, "CPUs the host uses itself", _host_cpus, INFO),
    Field("csockets", "CSockets", N, "CPU sockets", _info("cpu_sockets"), INFO),
    Field("ctotal", "CTotal", N, "Logical CPUs", _info("cpu_total"), INFO),
    Field("custom_ndparams", "CustomNodeParameters", O, "Node parameters of its own", attrgetter("item.ndparams")),
    Field("dfree", "DFree", U, "Free space in the default storage", _storage("free"), INFO),
    Field("disk_state", "DiskState", O, "Never available", lambda row: UNAVAIL),
    Field("drained", "Drained", B, "Whether it takes no new instances", attrgetter("item.drained")),
    Field("dtotal", "DTotal", U, "Space in the default storage", _storage("total"), INFO),
    Field("group", "Group", T, "Its node group", lambda row: row.context.config.groups[row.item.group].name),
    Field("group.uuid", "GroupUUID", T, "UUID of its node group", attrgetter("item.group")),
    Field("hv_state", "HypervisorState", O, "Never available", lambda row: UNAVAIL),
    Field("master", "IsMaster", B, "Whether it is the master", is_master),
    Field("master_candidate", "MasterC", B, "Whether it holds a copy of what the master knows",
          attrgetter("item.master_candidate")),
    Field("master_capable", "MasterCapable", B, "Whether it may become a master candidate",
          attrgetter("item.master_capable")),
    Field("mfree", "MFree", U, "Memory free for instances", _info("memory_free"), INFO),
    Field("mnode", "MNode", U, "Memory the host uses itself", _info("memory_node"), INFO),
    Field("mtotal", "MTotal", U, "Memory", _info("memory_total"), INFO),
    Field("ndparams", "NodeParameters", O, "Node parameters, all levels merged", attrgetter("nd")),
    Field("offline", "Offline", B, "Whether it is marked as gone", attrgetter("item.offline")),
    Field("pinst_cnt", "Pinst", N, "Number of instances it is the primary node of",
          lambda row: len(row.primaries)),
    Field("pinst_list", "PriInstances", O, "Instances it is the primary node of", attrgetter("primaries")),
    Field("pip", "PrimaryIP", T, "Primary address", attrgetter("item.primary_ip")),
    Field("powered", "Powered", B, "Whether it is thought to be powered on",
          lambda row: row.item.powered if row.nd.get("oob_program") else UNAVAIL),
    Field("role", "Role", T, "M master, C master candidate, R regular, D drained, O offline", role),
    Field("sinst_cnt", "Sinst", N, "Number of instances it is a secondary node of",
          lambda row: len(row.secondaries)),
    Field("sinst_list", "SecInstances", O, "Instances it is a secondary node of", attrgetter("secondaries")),
    Field("sip", "SecondaryIP", T, "Address for replication", attrgetter("item.secondary_ip")),
    Field("spfree", "SpFree", N, "Free spindles, with exclusive storage", _spindles, INFO),
    Field("sptotal", "SpTotal", N, "Spindles, with exclusive storage", _spindles, INFO),
    Field("vm_capable", "VMCapable", B, "Whether it may hold instances", attrgetter("item.vm_capable")),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[NodeRow]:
    context = Context(world)
    if names is not None:
        return [NodeRow(world.config.node(str(name)), context) for name in names]
    return [NodeRow(item, context)
            for item in sorted(world.config.nodes.values(), key=lambda item: sort_key(item.name))]


async def fetch(world: World, found: Sequence[NodeRow], needs: frozenset[str]) -> None:
    unit = storage_unit(world.config.cluster)
    storage = [list(unit)] if unit else []
    answers = await world.live.ask(calls.node_info, {
        row.item.uuid: {"storage": storage} for row in found if not row.item.offline})
    for row in found:
        row.info = answers.get(row.item.uuid)


RESOURCE: Resource[NodeRow] = Resource("node", "name", table(FIELDS, common_fields(), ndp_fields()), rows, fetch)
