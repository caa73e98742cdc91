# SPDX-License-Identifier: BSD-2-Clause
"""Where a virtual cluster lies: its folder, its nodes' roots and addresses.

    DIR/cluster.json      what this file's `Layout` holds
    DIR/nodeN/            root folder of a node: etc, var, run, srv
    DIR/shared/           shared file storage
    DIR/file-storage/     file storage; nodes share one machine, so they share this folder too
    DIR/guest/            kernel and initramfs of the small guest
"""

import hashlib
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from gantry import constants
from gantry.utils import files


class VclusterError(Exception):
    """A sentence for the person at the terminal."""


@dataclass(frozen=True)
class Layout:
    """`subnet` is the first three octets of the nodes' addresses; `hypervisor` kvm or fake."""

    folder: str
    subnet: str
    nodes: tuple[str, ...]
    hypervisor: str
    name: str = "cluster.vcluster"

    def root(self, node: str) -> Path:
        if node not in self.nodes:
            raise VclusterError(f"there is no node {node} here; the nodes are {', '.join(self.nodes)}")
        return Path(self.folder) / node

    def address(self, node: str) -> str:
        return f"{self.subnet}.{self.nodes.index(node) + 1}"

    @property
    def master_ip(self) -> str:
        return f"{self.subnet}.250"

    @property
    def shared(self) -> Path:
        return Path(self.folder) / "shared"

    @property
    def own(self) -> Path:
        """Folder of disks of the template `file`; the path must be the same on all nodes."""
        return Path(self.folder) / "file-storage"

    @property
    def guest(self) -> Path:
        return Path(self.folder) / "guest"


def default_folder() -> Path:
    """`$VCLUSTER_DIR`, else a folder of the user's."""
    given = os.environ.get("VCLUSTER_DIR")
    if given:
        return Path(given).absolute()
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(state) / "gantry" / "vcluster"


def load(folder: Path) -> Layout | None:
    """The layout of the cluster in `folder`, or None where there is none."""
    try:
        data = json.loads((folder / "cluster.json").read_text())
        return Layout(**data | {"nodes": tuple(data["nodes"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as err:
        raise VclusterError(f"{folder / 'cluster.json'} is damaged ({err}); remove {folder} and start again") from err


def create(folder: Path, *, count: int, hypervisor: str) -> Layout:
    """Choose names and addresses and write the nodes' folders.  Nothing is started."""
    nodes = tuple(f"node{index}" for index in range(1, count + 1))
    layout = Layout(str(folder), _free_subnet(folder, count), nodes, hypervisor)
    for storage in (layout.shared, layout.own):
        storage.mkdir(parents=True, exist_ok=True)
    for node in nodes:
        _write_node(layout, node)
    files.write_atomic(folder / "cluster.json", json.dumps(asdict(layout), indent=1), mode=0o600)
    return layout


def _write_node(layout: Layout, node: str) -> None:
    root = layout.root(node)
    hosts = [f"{layout.address(other)} {other}" for other in layout.nodes]
    hosts.append(f"{layout.master_ip} {layout.name}")
    files.write_atomic(root / "etc/hosts", "\n".join(hosts) + "\n", mode=0o644)
    files.write_atomic(root / "etc/hostname", node + "\n", mode=0o644)
    files.write_atomic(root / "etc/gantry/file-storage-paths", f"{layout.own}\n{layout.shared}\n", mode=0o644)
    roots = {other: {"root": str(layout.root(other)), "address": layout.address(other)} for other in layout.nodes}
    files.write_atomic(root / "etc/gantry/virtual-cluster.json", json.dumps(roots, indent=1), mode=0o644)
    definitions = root / "srv/ganeti/os"
    definitions.mkdir(parents=True, exist_ok=True)
    link = definitions / "gantry-guest"
    if not link.is_symlink():
        link.symlink_to(Path(__file__).parent / "guest")


def _free_subnet(folder: Path, count: int) -> str:
    """A subnet of 127/8 in which nobody listens on the node daemons' port; the same for the same folder."""
    start = int.from_bytes(hashlib.sha256(str(folder).encode()).digest()[:2])
    for offset in range(200):
        number = (start + offset * 257) % 60000 + 256
        subnet = f"127.{number // 250 % 250 + 2}.{number % 250 + 2}"
        if all(_can_bind(f"{subnet}.{index}") for index in range(1, count + 1)):
            return subnet
    raise VclusterError("no free loopback addresses were found: something listens on port "
                        f"{constants.NODED_PORT} of all of 127.0.0.0/8")


def _can_bind(address: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, constants.NODED_PORT))
        except OSError:
            return False
    return True
