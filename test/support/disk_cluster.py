# SPDX-License-Identifier: BSD-2-Clause
"""A virtual cluster with plain and mirrored disks, on LVM and DRBD without a kernel."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import fakedisks
from support.harness import Harness

TEMPLATES = "drbd,plain,sharedfile,file,ext,diskless"


class DiskCluster(Harness):
    """`disks`: the state of the nodes' volumes and mirrors."""

    def __init__(self, folder: Path, *, nodes: int = 3) -> None:
        self.disks = fakedisks.World(folder / "disks")
        self._path = os.environ["PATH"]
        os.environ["PATH"] = f"{fakedisks.install(folder / 'disks')}:{self._path}"
        try:
            super().__init__(folder, nodes=nodes, hypervisor="fake")
            self.gnt("gnt-cluster", "modify", f"--enabled-disk-templates={TEMPLATES}", "--vg-name=xenvg",
                     f"--ipolicy-disk-templates={TEMPLATES}")
        except BaseException:
            os.environ["PATH"] = self._path
            raise

    def close(self) -> None:
        os.environ["PATH"] = self._path
        super().close()

    def volumes(self, node: str) -> set[str]:
        return self.disks.volumes(self.layout.root(node))

    def minors(self, node: str) -> dict[int, fakedisks.Json]:
        return self.disks.minors(self.layout.root(node))

    def matches(self) -> None:
        """Volumes and devices are those of the records: nothing is missing, left over, or primary twice."""
        super().matches()
        config = self.rows("instances", "disks", "nodes")
        owners = {uuid: item for item in config["instances"].values() for uuid in item.get("disks", ())}
        for uuid, node in config["nodes"].items():
            ends = [(disk, end) for disk in config["disks"].values() for end in disk.get("drbd", {}).get("ends", ())
                    if end["node"] == uuid]
            places = [end[part] for _, end in ends for part in ("data", "meta")]
            places += [disk["lvm"] for disk in config["disks"].values() if disk.get("lvm") and uuid in disk["nodes"]]
            assert self.volumes(node["name"]) == {f"{place['vg']}/{place['lv']}" for place in places}, node["name"]
            roles = {end["minor"]: "Primary" if owners[disk["uuid"]]["primary_node"] == uuid else "Secondary"
                     for disk, end in ends if owners[disk["uuid"]].get("disks_active")}
            assert {minor: one["role"] for minor, one in self.minors(node["name"]).items()} == roles, node["name"]

    def power_cut(self, node: str) -> None:
        """What its kernel knew is gone, too."""
        super().power_cut(node)
        self.disks.reboot(self.layout.root(node))


@contextmanager
def disk_cluster(folder: Path, *, nodes: int = 3) -> Iterator[DiskCluster]:
    cluster = DiskCluster(folder, nodes=nodes)
    try:
        yield cluster
    finally:
        cluster.close()
