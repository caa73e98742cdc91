# SPDX-License-Identifier: BSD-2-Clause
"""Two nodes on this machine with one guest, which is fake or the guest of 512 bytes in QEMU: for contract tests."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gantry import paths
from gantry.constants import DiskTemplate, HypervisorName
from gantry.hypervisor import base
from gantry.hypervisor.hv_kvm import files
from gantry.objects.instance import Disk, FileLocation
from gantry.objects.vm import VmDisk, VmNic, VmSpec
from gantry.utils import retry
from support import tiny_guest

QEMU = shutil.which("qemu-system-x86_64") or ""
needs_qemu = [pytest.mark.qemu, pytest.mark.skipif(not QEMU, reason="qemu-system-x86_64 is not installed")]
GUEST = "11111111-2222-4333-8444-555555555555"
DISK = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

confined = pytest.mark.parametrize("hvparams", [
    {"use_chroot": True}, {"security_model": "user", "security_domain": "nobody"}])
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can confine a QEMU")


def quiet(fraction: float, message: str) -> None:
    assert 0 <= fraction <= 1, message


@dataclass
class Lab:
    """Two nodes on this machine, with a folder for disks that both can open."""

    name: str
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def driver(self) -> base.Hypervisor:
        return base.load(self.name)

    @contextmanager
    def on(self, node: str) -> Iterator[base.Hypervisor]:
        """Be the node `node`."""
        with self.monkeypatch.context() as patch:
            patch.setenv("GANTRY_ROOT", str(self.folder / node))
            yield self.driver

    def spec(self, **changes: Any) -> VmSpec:
        disk = Disk(uuid=DISK, name="", dev_type=DiskTemplate.SHAREDFILE, size=2,
                    file=FileLocation(path=str(self.disk)), pci=12)
        hvparams = {"kvm_path": QEMU, "kvm_flag": "disabled"} if self.name == "kvm" else {}
        hvparams |= changes.pop("hvparams", {})
        nic = VmNic(uuid="99999999-0000-4000-8000-000000000000", mac="aa:00:00:01:02:03", mode="bridged", link="br0",
                    pci=13)
        return VmSpec(**{"uuid": GUEST, "name": "web1.example.org", "hypervisor": HypervisorName(self.name),
                         "owner_epoch": 3, "memory": 32, "vcpus": 1, "hvparams": hvparams, "nics": (nic,),
                         "disks": (VmDisk(disk=disk, pci=12),)} | changes)

    @property
    def disk(self) -> Path:
        return self.folder / "shared.img"

    @property
    def disks(self) -> dict[str, str]:
        return {DISK: str(self.disk)}

    def printed(self, node: str) -> str:
        """What the guest printed on `node`."""
        with self.on(node):
            try:
                return files.of(GUEST).serial_log.read_text(errors="replace")
            except FileNotFoundError:
                return ""

    def ticks(self, *nodes: str) -> list[int]:
        """What it counted on these nodes, one after the other: it may move in the middle of a line."""
        return tiny_guest.ticks_in("".join(map(self.printed, nodes)))

    def wait_ticks(self, node: str, more_than: int = 0) -> None:
        assert soon(lambda: any(tick > more_than for tick in self.ticks(node))), self.printed(node)

    def leftovers(self, node: str) -> list[str]:
        """Run-time files of the guest that are still there."""
        with self.on(node):
            here = paths.here()
            return [str(file) for folder in (here.kvm / "ctrl", here.kvm / "pid", here.vm_specs)
                    for file in folder.glob("*")] + [str(file) for file in here.fake_vms.glob("*.json")]


def soon(condition: Any) -> bool:
    return retry.wait_for(condition, seconds=15, waits=retry.growing(0.02, most=0.1))


def make_lab(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("GANTRY_NET", "user")
    deep = tmp_path / ("a-rather-long-name-of-a-folder-" * 3)  # sockets must work below it all the same
    deep.mkdir()
    found = Lab(name, deep, monkeypatch)
    tiny_guest.make_disk(found.disk)
    yield found
    for node in ("n1", "n2"):
        with found.on(node) as driver:
            for guest in (GUEST, GUEST.replace("1", "2")):
                driver.stop(guest, seconds=0, progress=quiet)


def type_in(keys: bytes) -> None:
    """On the guest's serial port."""
    with files.connected(files.of(GUEST).socket("serial"), 10) as link:
        link.sendall(keys)
        link.recv(1)
