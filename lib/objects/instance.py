# SPDX-License-Identifier: BSD-2-Clause
"""Instances, their disks and network interfaces as the configuration records them."""

from dataclasses import dataclass, field

from gantry.constants import AdminState, DiskTemplate
from gantry.objects.base import ConfigObject, Params


@dataclass(frozen=True, kw_only=True)
class Nic:
    """`pci` is the slot it keeps for life; `nicparams` holds own values of mode, link and vlan only."""

    uuid: str
    mac: str
    ip: str | None = None
    network: str | None = None
    name: str | None = None
    pci: int | None = None
    nicparams: Params = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FileLocation:
    """A disk in a file; `path` is below one of the allowed storage folders."""

    path: str
    driver: str = "loop"


@dataclass(frozen=True, kw_only=True)
class LvmLocation:
    vg: str
    lv: str


@dataclass(frozen=True, kw_only=True)
class ExtLocation:
    """A volume of an external provider, which every node can attach."""

    provider: str
    volume: str


@dataclass(frozen=True, kw_only=True)
class DrbdEnd:
    """One side of a mirrored disk: `node` (UUID), its `address` for replication, and what it has there."""

    node: str
    address: str
    minor: int
    data: LvmLocation
    meta: LvmLocation


@dataclass(frozen=True, kw_only=True)
class DrbdLocation:
    """A disk mirrored between two nodes: a TCP port that is the same on both, and a secret for the connection.

    The order of `ends` says nothing: which node is the primary one is the instance's to know.
    """

    port: int
    secret: str
    ends: tuple[DrbdEnd, ...]

    def end(self, node: str) -> DrbdEnd | None:
        """The side on `node` (UUID), None when the disk has none there."""
        return next((end for end in self.ends if end.node == node), None)

    def peer(self, node: str) -> DrbdEnd | None:
        """The side that is not on `node` (UUID)."""
        return next((end for end in self.ends if end.node != node), None)


@dataclass(frozen=True, kw_only=True)
class Disk(ConfigObject):
    """One disk; `name` is the operator's name for it, or empty.  `nodes` are those that hold its data; it is
    empty for templates that every node can open.  `size` is in MiB.  `degraded_since`: since when a mirrored one was
    seen to be whole at one end only, None while it is whole at both.
    """

    dev_type: DiskTemplate
    size: int
    mode: str = "rw"
    nodes: tuple[str, ...] = ()
    file: FileLocation | None = None
    lvm: LvmLocation | None = None
    drbd: DrbdLocation | None = None
    ext: ExtLocation | None = None
    pci: int | None = None
    spindles: int | None = None
    degraded_since: float | None = None
    params: Params = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Instance(ConfigObject):
    """A virtual machine.  `hvparams`, `beparams` and `osparams` hold own values only.

    `owner_epoch` grows each time the primary node changes; a node refuses to open the disks for an
    owner of a lower epoch.  `machine` is the machine type pinned at the first start.
    """

    primary_node: str
    os: str
    hypervisor: str
    disk_template: DiskTemplate = DiskTemplate.DISKLESS
    hvparams: Params = field(default_factory=dict)
    beparams: Params = field(default_factory=dict)
    osparams: Params = field(default_factory=dict)
    osparams_private: Params = field(default_factory=dict)
    admin_state: AdminState = AdminState.DOWN
    admin_state_source: str = "admin"
    nics: tuple[Nic, ...] = ()
    disks: tuple[str, ...] = ()
    disks_active: bool = False
    network_port: int | None = None
    forthcoming: bool = False
    owner_epoch: int = 1
    machine: str = ""
