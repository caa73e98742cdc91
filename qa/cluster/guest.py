# SPDX-License-Identifier: BSD-2-Clause
"""An instance of the OS `recorder`, and the check that nothing it was promised is lost."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from qa.cluster import install, records
from qa.cluster.cluster import Cluster, wait_until
from qa.cluster.console import Console
from qa.work import QaError

SIZE = 32
"""MiB: synchronised in seconds, and room for an hour of records."""


class Guest:
    """The instance `name`, which exists."""

    def __init__(self, cluster: Cluster, name: str, console: Console) -> None:
        self._cluster, self.name, self.console = cluster, name, console

    @property
    def primary(self) -> str:
        """The node it is on, as machines are called."""
        return self._cluster.instance(self.name, "pnode")[0].removesuffix(".qa")

    def wait_for_records(self, count: int, *, seconds: float = 60) -> int:
        """Until it has acknowledged `count` more records; the number of the last."""
        wanted = self.console.last() + count
        wait_until(lambda: self.console.last() >= wanted, f"{self.name} writes {count} records", seconds=seconds,
                   pause=0.1)
        return self.console.last()

    def device(self) -> str:
        """Path of its first disk on its primary node."""
        text = self._cluster.gnt("instance", "info", self.name)
        match = re.search(r"on primary: (/\S+)", text)
        if match is None:
            said = [line.strip() for line in text.splitlines() if "on primary" in line]
            raise QaError(f"gnt-instance info {self.name} does not say where disk 0 is: {said}")
        return match[1]

    def check(self) -> int:
        """Every record that was acknowledged is on its disk, nothing failed; how many records there are.

        Reads the disk on the primary node, beside the running guest.
        """
        promised = self.console.last()
        found = self.records_at(self.primary, self.device(), promised + 1)
        failed = self.console.errors()
        if found <= promised:
            raise QaError(f"{self.name} was promised record {promised}, its disk has only {found} in order")
        if failed:
            raise QaError(f"{self.name} got I/O errors: {', '.join(failed[:5])}")
        return found

    def records_at(self, node: str, device: str, least: int) -> int:
        """How many whole records a device of a node begins with, as far as `least` and some more."""
        blocks = least + 64
        done = self._cluster[node].run("sh", "-c", f"dd if={device} bs=64k count={blocks // 128 + 1} iflag=direct "
                                                   "2>/dev/null | gzip -1 | base64", seconds=300)
        return records.whole_records(records.unpacked(done.stdout))


@contextmanager
def recorder(cluster: Cluster, name: str, template: str, nodes: str, *more: str) -> Iterator[Guest]:
    """A new guest on `nodes` (primary[:secondary]) that has begun to write; removed at the end of the block."""
    cluster.gnt("instance", "add", "-t", template, "--disk", f"0:size={SIZE}m", "-o", install.OS, "-n", nodes,
                "-B", "memory=16m,vcpus=1", "--no-name-check", "--no-ip-check", *more, name)
    uuid = cluster.instance(name, "uuid")[0]
    with Console([machine for machine in cluster.lab if machine.pid() is not None], uuid) as console:
        guest = Guest(cluster, name, console)
        guest.wait_for_records(3)
        yield guest
    cluster.gnt("instance", "remove", "-f", "--shutdown-timeout=0", name)
