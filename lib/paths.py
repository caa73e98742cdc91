# SPDX-License-Identifier: BSD-2-Clause
"""Every path of Gantry, below one root.

`$GANTRY_ROOT` moves all of them: each node of a virtual cluster has a root of its own.
"""

import os
from functools import cached_property, lru_cache
from pathlib import Path


class Paths:
    """The files and folders of one node.  (No dataclass: every `gnt-*` command would pay for that module.)"""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def state(self) -> Path:
        """What must survive a reboot."""
        return self.root / "var/lib/gantry"

    @cached_property
    def run(self) -> Path:
        return self.root / "run/gantry"

    @cached_property
    def etc(self) -> Path:
        return self.root / "etc/gantry"

    @cached_property
    def log(self) -> Path:
        return self.root / "var/log/gantry"

    @cached_property
    def store(self) -> Path:
        """SQLite file with configuration and jobs."""
        return self.state / "cluster.db"

    @cached_property
    def cluster_certificate(self) -> Path:
        """Certificate of the cluster's own authority; on master candidates its key as well."""
        return self.state / "server.pem"

    @cached_property
    def node_certificate(self) -> Path:
        """Key and certificate of this node, issued by the cluster's authority."""
        return self.state / "client.pem"

    @cached_property
    def prepared_certificate(self) -> Path:
        """The node's next certificate, while the other nodes are told of it."""
        return self.state / "client.pem.new"

    @cached_property
    def spice_certificate(self) -> Path:
        """Key and certificate that SPICE clients see."""
        return self.state / "spice.pem"

    @cached_property
    def spice_ca_certificate(self) -> Path:
        """Certificate of the authority of that."""
        return self.state / "spice-ca.pem"

    @cached_property
    def cluster_domain_secret(self) -> Path:
        """Signs what clusters tell each other when an instance moves between them."""
        return self.state / "cluster-domain-secret"

    @cached_property
    def confd_key(self) -> Path:
        """Key that signs questions to other implementations' configuration daemon."""
        return self.state / "hmac.key"

    @cached_property
    def reissued(self) -> Path:
        """There when this node issued itself a certificate: digest of the list of candidates it had then."""
        return self.state / "reissued"

    @cached_property
    def term(self) -> Path:
        """Highest term this node has seen, and who was master in it (JSON)."""
        return self.state / "term.json"

    @cached_property
    def rapi(self) -> Path:
        """Folder of the RAPI daemon's users and tokens."""
        return self.state / "rapi"

    @cached_property
    def rapi_users(self) -> Path:
        return self.rapi / "users"

    @cached_property
    def rapi_tokens(self) -> Path:
        """Bearer tokens, hashed (JSON)."""
        return self.rapi / "tokens.json"

    @cached_property
    def rapi_certificate(self) -> Path:
        """Key and certificate that RAPI clients see."""
        return self.state / "rapi.pem"

    @cached_property
    def sockets(self) -> Path:
        return self.run / "socket"

    @cached_property
    def luxi(self) -> Path:
        return self.sockets / "ganeti-query"

    @cached_property
    def watcher_lock(self) -> Path:
        """Held by the watcher while it works, and by those who want it to keep still."""
        return self.run / "watcher.lock"

    @cached_property
    def tasks(self) -> Path:
        """Records of node tasks: they survive the node daemon."""
        return self.state / "tasks"

    @cached_property
    def exports(self) -> Path:
        """Exports of instances, a folder each."""
        return self.state / "export"

    @cached_property
    def kvm(self) -> Path:
        """Run-time files of QEMU processes: pid files, QMP and serial sockets."""
        return self.run / "kvm-hypervisor"

    @cached_property
    def vm_specs(self) -> Path:
        """The VmSpec of each running guest, as JSON."""
        return self.state / "vm"

    @cached_property
    def exchanged(self) -> Path:
        """Disks that running guests went over to, until the master has recorded it."""
        return self.state / "exchanged"

    @cached_property
    def fake_vms(self) -> Path:
        return self.run / "fake-hypervisor"

    @cached_property
    def devices(self) -> Path:
        """Block devices: VG/LV, drbdMINOR; and the kernel's log, kmsg."""
        return self.root / "dev"

    @cached_property
    def drbd_status(self) -> Path:
        """What the DRBD module tells: its version, and how far synchronisations are."""
        return self.root / "proc/drbd"

    @cached_property
    def drbd_helper(self) -> Path:
        """The program that the DRBD module calls (a parameter of the module)."""
        return self.root / "sys/module/drbd/parameters/usermode_helper"

    @cached_property
    def owners(self) -> Path:
        """Owner records of disks that are no files, by disk UUID."""
        return self.state / "owners"

    @cached_property
    def hooks(self) -> Path:
        return self.etc / "hooks"

    @cached_property
    def restricted_commands(self) -> Path:
        """Programs of the administrator that `gnt-node restricted-command` may run."""
        return self.etc / "restricted-commands"

    @cached_property
    def os_search(self) -> tuple[Path, ...]:
        return tuple(self.root / folder for folder in (
            "srv/ganeti/os", "usr/local/lib/ganeti/os", "usr/lib/ganeti/os", "usr/share/ganeti/os"))

    @cached_property
    def ext_search(self) -> tuple[Path, ...]:
        """Where providers of external storage are."""
        return tuple(self.root / folder for folder in (
            "srv/ganeti/extstorage", "usr/local/lib/ganeti/extstorage", "usr/lib/ganeti/extstorage",
            "usr/share/ganeti/extstorage"))

    @cached_property
    def ext_attached(self) -> Path:
        """By disk UUID, the devices of attached external volumes: gone with a reboot, like they."""
        return self.run / "extstorage"

    @cached_property
    def ext_log(self) -> Path:
        return self.log / "extstorage"

    @cached_property
    def iallocator_search(self) -> tuple[Path, ...]:
        return tuple(self.root / folder for folder in (
            "usr/local/lib/ganeti/iallocators", "usr/lib/ganeti/iallocators"))

    @cached_property
    def os_log(self) -> Path:
        return self.log / "os"

    @cached_property
    def file_storage_paths(self) -> Path:
        """Allow-list of folders for file disks, a folder a line."""
        return self.etc / "file-storage-paths"

    @cached_property
    def network_libraries(self) -> tuple[Path, ...]:
        """Folders in which a site may put kvm-ifup or net-common for taps."""
        return self.root / "usr/local/lib/ganeti", self.root / "usr/lib/ganeti"

    @cached_property
    def hosts(self) -> Path:
        """Names and addresses that come before the resolver's; only virtual clusters have it."""
        return self.root / "etc/hosts"

    @cached_property
    def hostname(self) -> Path:
        return self.root / "etc/hostname"

    @cached_property
    def virtual(self) -> Path:
        """Roots of all nodes by name (JSON), where the nodes share one machine."""
        return self.etc / "virtual-cluster.json"

    def ssconf(self, key: str) -> Path:
        return self.state / f"ssconf_{key}"

    def rapi_files(self) -> dict[str, Path]:
        """What the master's gnt-rapi works with, and candidates have a copy of, by the name that calls use."""
        return {path.name: path for path in (self.rapi_certificate, self.rapi_users, self.rapi_tokens)}

    def pid_file(self, daemon: str) -> Path:
        return self.run / f"{daemon}.pid"

    def log_file(self, daemon: str) -> Path:
        return self.log / f"{daemon}.log"


@lru_cache
def below(root: str) -> Paths:
    return Paths(Path(root))


def here() -> Paths:
    """The paths of the node this process belongs to."""
    return below(os.environ.get("GANTRY_ROOT") or "/")
