# SPDX-License-Identifier: BSD-2-Clause
"""A virtual cluster with plain and mirrored disks, on LVM and DRBD without a kernel."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import fakedisks
from support.harness import Harness

TEMPLATES = "drbd,plain,sharedfile,file,diskless"


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
