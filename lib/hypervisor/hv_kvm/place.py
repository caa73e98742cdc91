# SPDX-License-Identifier: BSD-2-Clause
"""What one node provides for one guest: with the VmSpec, all that its command line follows from."""

from dataclasses import dataclass, field

from gantry.hypervisor.hv_kvm.files import GuestFiles
from gantry.hypervisor.hv_kvm.hostfacts import HostFacts
from gantry.net.base import Backend


@dataclass(frozen=True, kw_only=True)
class DiskFile:
    """`block`: a device node, not a file.  `direct`: its file system can bypass the host's cache."""

    path: str
    block: bool = False
    direct: bool = True


@dataclass(frozen=True, kw_only=True)
class Place:
    """`disks` and `nics` by UUID.  `bind` is the address VNC or SPICE listens on, `run_as` a user name or
    `UID:GID` (empty: ours), `certificates` the key and authority files of SPICE."""

    facts: HostFacts
    files: GuestFiles
    machine: str
    disks: dict[str, DiskFile] = field(default_factory=dict)
    nics: dict[str, Backend] = field(default_factory=dict)
    incoming: bool = False
    run_as: str = ""
    bind: str = ""
    certificates: tuple[str, str] = ("", "")
