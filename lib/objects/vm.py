# SPDX-License-Identifier: BSD-2-Clause
"""What a hypervisor is given, and what it reports."""

from dataclasses import dataclass, field

from gantry.constants import HypervisorName
from gantry.objects.base import Params
from gantry.objects.instance import Disk


@dataclass(frozen=True, kw_only=True)
class VmNic:
    """A network interface with all parameters resolved.  `network` holds the NETWORK_* values of the NIC
    scripts (name, uuid, subnet, ...); empty outside a network.
    """

    uuid: str
    mac: str
    mode: str
    link: str
    vlan: str = ""
    ip: str | None = None
    name: str | None = None
    pci: int
    network: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VmDisk:
    """A disk with its PCI slot; where it lies on the node is asked of the storage driver."""

    disk: Disk
    pci: int


@dataclass(frozen=True, kw_only=True)
class VmSpec:
    """Everything a hypervisor must know to run one guest.  Stored on the node while the guest runs.

    `hvparams` and `beparams` are the effective values (all levels merged).  `memory` is in MiB.
    """

    uuid: str
    name: str
    hypervisor: HypervisorName
    owner_epoch: int
    memory: int
    vcpus: int
    machine: str = ""
    hvparams: Params = field(default_factory=dict)
    disks: tuple[VmDisk, ...] = ()
    nics: tuple[VmNic, ...] = ()
    tags: tuple[str, ...] = ()
    network_port: int | None = None


@dataclass(frozen=True, kw_only=True)
class DeviceChange:
    """Devices that a running guest is to get, and UUIDs of those it is to lose.  One that is in both is exchanged for
    another of the same UUID."""

    disks_added: tuple[VmDisk, ...] = ()
    disks_removed: tuple[str, ...] = ()
    nics_added: tuple[VmNic, ...] = ()
    nics_removed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VmStatus:
    """A guest as its node sees it.  `state`: running, paused, or `user_down` when the guest powered itself
    off and that is tracked.  `memory` in MiB, `cpu_seconds` spent so far.
    """

    name: str
    uuid: str
    hypervisor: str
    state: str
    memory: int
    vcpus: int
    cpu_seconds: float = 0.0
    owner_epoch: int = 0
    machine: str = ""


@dataclass(frozen=True, kw_only=True)
class Console:
    """How to reach a guest's console.  `kind`: ssh (serial), vnc, spice or msg; `command` is run on
    `host` for kind ssh.
    """

    instance: str
    kind: str
    host: str = ""
    port: int | None = None
    user: str = "root"
    command: tuple[str, ...] = ()
    display: int | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class MigrationTarget:
    """Where a guest that moves is sent to.  `key` lets in, and keeps others from listening, for this time only."""

    uri: str
    key: str


@dataclass(frozen=True, kw_only=True)
class DiskTarget:
    """Where the disks of a guest that moves are written to, each under its UUID.  `key` lets in, for this time only."""

    host: str
    port: int
    key: str


@dataclass(frozen=True, kw_only=True)
class MigrationStatus:
    """`status`: active, completed, failed or cancelled.  Bytes of guest memory; milliseconds."""

    status: str
    transferred: int = 0
    total: int = 0
    downtime_ms: int | None = None
    total_ms: int | None = None
    error: str = ""
