# SPDX-License-Identifier: BSD-2-Clause
"""The driver of mirrored disks on several nodes that take turns in one process, on DRBD without a kernel."""

import uuid

from gantry.constants import DiskTemplate
from gantry.objects.instance import Disk, DrbdEnd, DrbdLocation, LvmLocation
from gantry.storage.base import load
from gantry.utils import x509
from support.fakedisks.inside import Inside

MIB = 1 << 20
SIZE = 30
ADDRESS = {"node1": "198.51.100.1", "node2": "198.51.100.2", "node3": "198.51.100.3"}
MINOR = {"node1": 0, "node2": 5, "node3": 9}


def quiet(fraction, message):
    assert 0.0 <= fraction <= 1.0
    assert message


class Pair:
    """The driver as seen from whatever node `at` has gone to last."""

    def __init__(self, tmp_path, monkeypatch):
        self.root, self.monkeypatch = tmp_path, monkeypatch
        self.programs = Inside(tmp_path / "fake", monkeypatch)
        self.world = self.programs.world
        self.driver = load("drbd")
        self.epoch = 1
        self.at("node1")

    def at(self, node):
        root = self.root / node
        (root / "etc").mkdir(parents=True, exist_ok=True)
        (root / "etc/hostname").write_text(node + "\n")
        self.monkeypatch.setenv("GANTRY_ROOT", str(root))
        self.monkeypatch.setattr(x509, "own_uuid", lambda: node)
        return self

    def disk(self, nodes=("node1", "node2"), *, lvs="a", **facts):
        ends = tuple(DrbdEnd(node=node, address=ADDRESS[node], minor=MINOR[node],
                             data=LvmLocation(vg="xenvg", lv=f"{lvs}.disk0_data"),
                             meta=LvmLocation(vg="xenvg", lv=f"{lvs}.disk0_meta")) for node in nodes)
        facts = {"uuid": str(uuid.UUID(int=7)), "size": SIZE} | facts
        return Disk(name="", dev_type=DiskTemplate.DRBD, nodes=nodes, **facts,
                    drbd=DrbdLocation(port=11000, secret="s3cret", ends=ends))

    def create(self, node, disk):
        self.at(node).driver.create(disk, owner_epoch=self.epoch, wipe=False, progress=quiet)

    def assemble(self, node, disk):
        return self.at(node).driver.assemble(disk, instance="web1", owner_epoch=self.epoch)

    def open(self, node, disk):
        return self.at(node).driver.open(disk, instance="web1", owner_epoch=self.epoch)

    def demote(self, node, disk):
        self.at(node).driver.demote(disk, instance="web1")

    def mirror(self, node, disk):
        return self.at(node).driver.status(disk).mirror

    def make(self, disk=None):
        """A pair in sync, node1 is primary."""
        disk = disk or self.disk()
        for node in disk.nodes:
            self.create(node, disk)
        for node in disk.nodes:
            self.assemble(node, disk)
        self.at("node1").driver.force(disk, instance="web1", owner_epoch=self.epoch)
        self.driver.wait_synced([disk], progress=quiet)
        return disk

    def write(self, path, text):
        with open(path, "r+b") as file:
            file.write(text.encode())

    def split(self, disk):
        """Both ends are written to while nothing goes between them; node1 is primary."""
        self.world.cut(*(ADDRESS[node] for node in disk.nodes))
        self.open("node2", disk)
        self.demote("node2", disk)
        self.world.heal()
