# SPDX-License-Identifier: BSD-2-Clause
"""The cluster itself: the one row that jobs may ask for, and the object of `gnt-cluster info` and RAPI's /2/info."""

import platform
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import gantry
from gantry import constants
from gantry.config import effective
from gantry.config.config import Config
from gantry.objects import hvparams, params
from gantry.objects.cluster import Cluster
from gantry.query.fields import Field, Kind, maybe
from gantry.query.world import Context, Resource, World, table

COLLECTORS = ("cpu-avg-load", "diskstats", "drbd", "lv", "inst-status-xen", "xen-cpu-avg-load")
COLLECTOR_INTERVAL = 5_000_000
"""Microseconds between two runs of a data collector."""

IP_VERSIONS = {2: 4, 10: 6}


def architecture() -> list[str]:
    return ["64bits" if sys.maxsize > 1 << 32 else "32bits", platform.machine()]


class ClusterRow:
    def __init__(self, context: Context) -> None:
        self.item = context.config.cluster
        self.context = context


def _always(value: Any) -> Callable[[ClusterRow], Any]:
    return lambda row: value


T, N, TS, O = Kind.TEXT, Kind.NUMBER, Kind.TIMESTAMP, Kind.OTHER  # noqa: E741  (O for other)

FIELDS = (
    Field("architecture", "ArchInfo", O, "Word size and machine type of the master", lambda row: architecture()),
    Field("cluster_name", "Name", T, "Its name", attrgetter("item.name")),
    Field("config_version", "ConfigVersion", N, "Version of the configuration's format",
          _always(constants.CONFIG_VERSION)),
    Field("ctime", "CTime", TS, "When it was made", attrgetter("item.ctime")),
    Field("drain_flag", "QueueDrained", Kind.BOOL, "Whether no new jobs are taken", attrgetter("item.queue_drained")),
    Field("export_version", "ExportVersion", N, "Version of the export format", _always(constants.EXPORT_VERSION)),
    Field("master_node", "Master", T, "The master", lambda row: master_name(row.context.config)),
    Field("mtime", "MTime", TS, "When it was last changed", attrgetter("item.mtime")),
    Field("name", "Name", T, "Its name", attrgetter("item.name")),
    Field("os_api_version", "OsApiVersion", N, "Version of the OS interface", _always(constants.OS_API_VERSION)),
    Field("protocol_version", "ProtocolVersion", N, "Version of the protocol between nodes",
          _always(constants.PROTOCOL_VERSION)),
    Field("software_version", "SoftwareVersion", T, "The release", _always(constants.RELEASE_VERSION)),
    Field("tags", "Tags", O, "Its tags", lambda row: sorted(row.item.tags)),
    Field("vcs_version", "VCSVersion", T, "The release of Gantry", _always(f"gantry-{gantry.__version__}")),
    Field("volume_group_name", "VgName", T, "The volume group", lambda row: maybe(row.item.volume_group_name)),
    Field("watcher_pause", "WatcherPause", TS, "Until when the watcher pauses",
          lambda row: maybe(row.item.watcher_pause)),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[ClusterRow]:
    return [ClusterRow(Context(world))]


RESOURCE: Resource[ClusterRow] = Resource("cluster", "", table(FIELDS), rows, over_luxi=False)


def master_name(config: Config) -> str:
    return config.nodes[config.cluster.master_node].name


COPIED = """candidate_pool_size max_running_jobs max_tracked_jobs mac_prefix master_netdev master_netmask
    use_external_mip_script maintain_node_health prealloc_wipe_disks enabled_user_shutdown modify_ssh_setup
    volume_group_name drbd_usermode_helper file_storage_dir shared_file_storage_dir gluster_storage_dir ctime mtime
    default_iallocator default_iallocator_params install_image zeroing_image instance_communication_network
    ssh_key_type ssh_key_bits name uuid osparams os_hvp"""
LISTS = ("reserved_lvs", "hidden_os", "blacklisted_os", "enabled_disk_templates", "compression_tools",
         "enabled_hypervisors")


def info(config: Config) -> dict[str, Any]:
    """What `QueryClusterInfo` answers."""
    cluster = config.cluster
    shown: dict[str, Any] = {name: getattr(cluster, name) for name in COPIED.split()}
    shown.update({name: list(getattr(cluster, name)) for name in LISTS})
    shown.update({
        "software_version": constants.RELEASE_VERSION,
        "protocol_version": constants.PROTOCOL_VERSION,
        "config_version": constants.CONFIG_VERSION,
        "os_api_version": constants.OS_API_VERSION,
        "export_version": constants.EXPORT_VERSION,
        "vcs_version": f"gantry-{gantry.__version__}",
        "architecture": architecture(),
        "master": master_name(config),
        "default_hypervisor": cluster.enabled_hypervisors[0] if cluster.enabled_hypervisors else "",
        "hvparams": {name: hvparams.DEFAULTS.get(name, {}) | cluster.hvparams.get(name, {})
                     for name in {*hvparams.DEFAULTS, *cluster.hvparams}},
        "beparams": {"default": effective.beparams_above(cluster)},
        "nicparams": {"default": effective.nicparams_above(cluster)},
        "ndparams": params.ND_DEFAULTS | cluster.ndparams,
        "diskparams": effective.diskparams_above(cluster),
        "ipolicy": effective.ipolicy_above(cluster),
        "tags": sorted(cluster.tags),
        "uid_pool": [list(part) for part in cluster.uid_pool],
        "primary_ip_version": IP_VERSIONS.get(cluster.primary_ip_family, 4),
    })
    return shown | _collectors(cluster)


def _collectors(cluster: Cluster) -> dict[str, Any]:
    """The data collectors of the monitoring daemon: whether each is on, and how often it runs."""
    own = cluster.data_collectors
    names = sorted({*COLLECTORS, *own})
    return {
        "enabled_data_collectors": {name: bool(own.get(name, {}).get("active", True)) for name in names},
        "data_collector_interval": {name: int(own.get(name, {}).get("interval", COLLECTOR_INTERVAL))
                                    for name in names},
    }
