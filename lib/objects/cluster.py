# SPDX-License-Identifier: BSD-2-Clause
"""The cluster, its nodes, node groups, networks and job filters as the configuration records them."""

from dataclasses import dataclass, field
from typing import Any

from gantry.objects.base import ConfigObject, Params


@dataclass(frozen=True, kw_only=True)
class Cluster(ConfigObject):
    """There is one; `name` is the cluster's name.  Parameter dictionaries are complete at this level."""

    master_node: str
    master_ip: str
    master_netdev: str = "lo"
    master_netmask: int = 32
    primary_ip_family: int = 2
    use_external_mip_script: bool = False
    mac_prefix: str = "aa:00:00"
    volume_group_name: str | None = None
    drbd_usermode_helper: str | None = None
    reserved_lvs: tuple[str, ...] = ()
    file_storage_dir: str = ""
    shared_file_storage_dir: str = ""
    gluster_storage_dir: str = ""
    enabled_hypervisors: tuple[str, ...] = ("kvm",)
    enabled_disk_templates: tuple[str, ...] = ("drbd", "plain")
    hvparams: dict[str, Params] = field(default_factory=dict)
    os_hvp: dict[str, dict[str, Params]] = field(default_factory=dict)
    beparams: dict[str, Params] = field(default_factory=dict)
    nicparams: dict[str, Params] = field(default_factory=dict)
    osparams: dict[str, Params] = field(default_factory=dict)
    osparams_private_cluster: dict[str, Params] = field(default_factory=dict)
    ndparams: Params = field(default_factory=dict)
    diskparams: dict[str, Params] = field(default_factory=dict)
    ipolicy: dict[str, Any] = field(default_factory=dict)
    hv_state_static: Params = field(default_factory=dict)
    disk_state_static: Params = field(default_factory=dict)
    candidate_pool_size: int = 10
    max_running_jobs: int = 20
    max_tracked_jobs: int = 25
    modify_etc_hosts: bool = True
    modify_ssh_setup: bool = True
    ssh_key_type: str = "rsa"
    ssh_key_bits: int = 2048
    maintain_node_health: bool = False
    prealloc_wipe_disks: bool = False
    enabled_user_shutdown: bool = False
    uid_pool: tuple[tuple[int, int], ...] = ()
    default_iallocator: str = ""
    default_iallocator_params: Params = field(default_factory=dict)
    hidden_os: tuple[str, ...] = ()
    blacklisted_os: tuple[str, ...] = ()
    candidate_certs: dict[str, str] = field(default_factory=dict)
    """Node UUID to SHA-256 digest (AA:BB:...) of the certificate that may call node daemons."""
    install_image: str = ""
    zeroing_image: str = ""
    instance_communication_network: str = ""
    compression_tools: tuple[str, ...] = ("gzip", "gzip-fast", "gzip-slow")
    data_collectors: dict[str, Params] = field(default_factory=dict)
    queue_drained: bool = False
    watcher_pause: float | None = None


@dataclass(frozen=True, kw_only=True)
class Node(ConfigObject):
    primary_ip: str
    secondary_ip: str
    group: str
    """UUID of its node group."""
    master_candidate: bool = True
    offline: bool = False
    drained: bool = False
    master_capable: bool = True
    vm_capable: bool = True
    powered: bool = True
    certificate: str = ""
    """SHA-256 digest (AA:BB:...) of its certificate; that of a master candidate may call node daemons."""
    ndparams: Params = field(default_factory=dict)
    hv_state_static: Params = field(default_factory=dict)
    disk_state_static: Params = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NodeGroup(ConfigObject):
    """`networks`: network UUID to mode, link, vlan.  Members are the nodes whose `group` is this."""

    alloc_policy: str = "preferred"
    ndparams: Params = field(default_factory=dict)
    diskparams: dict[str, Params] = field(default_factory=dict)
    ipolicy: dict[str, Any] = field(default_factory=dict)
    networks: dict[str, Params] = field(default_factory=dict)
    hv_state_static: Params = field(default_factory=dict)
    disk_state_static: Params = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Network(ConfigObject):
    """`ext_reservations` are address offsets in the subnet; those used by instances are derived from NICs."""

    network: str
    gateway: str | None = None
    network6: str | None = None
    gateway6: str | None = None
    mac_prefix: str | None = None
    ext_reservations: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FilterRule(ConfigObject):
    """A job filter; `name` is its UUID again."""

    watermark: int
    priority: int
    predicates: tuple[Any, ...] = ()
    action: Any = "CONTINUE"
    reason_trail: tuple[Any, ...] = ()
