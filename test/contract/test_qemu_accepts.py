# SPDX-License-Identifier: BSD-2-Clause
"""QEMU accepts what our parameters turn into: each guest is brought up to its first instruction."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gantry import paths
from gantry.constants import DiskTemplate, HypervisorName
from gantry.hypervisor import base
from gantry.hypervisor.hv_kvm import launch, process, runtime
from gantry.objects.instance import Disk, FileLocation
from gantry.objects.vm import VmDisk, VmNic, VmSpec
from support import tiny_guest

QEMU = shutil.which("qemu-system-x86_64") or ""
pytestmark = [pytest.mark.qemu, pytest.mark.skipif(not QEMU, reason="qemu-system-x86_64 is not installed")]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
GUEST = "33333333-2222-4333-8444-555555555555"

CASES: dict[str, dict[str, Any]] = {
    "pc": {}, "q35": {"machine_version": "q35"}, "no-acpi": {"acpi": False, "use_localtime": True},
    "topology": {"cpu_cores": 2, "cpu_sockets": 1, "cpu_threads": 1, "cpu_mask": "0:0", "cpu_type": "qemu64,+ssse3"},
    "ide": {"disk_type": "ide", "nic_type": "e1000"}, "ide-q35": {"disk_type": "ide", "machine_version": "q35"},
    "sd": {"disk_type": "sd", "nic_type": "rtl8139"},
    "lsi": {"disk_type": "scsi", "nic_type": "pcnet", "disk_cache": "writethrough"},
    "virtio-scsi": {"disk_type": "scsi-hd", "scsi_controller_type": "virtio-scsi-pci", "machine_version": "q35"},
    "megasas": {"disk_type": "scsi-hd", "scsi_controller_type": "megasas", "nic_type": "i82551"},
    "dc390": {"disk_type": "scsi-hd", "scsi_controller_type": "dc390", "nic_type": "ne2k_pci"},
    "scsi-cd": {"disk_type": "scsi-cd", "nic_type": "ne2k_isa"},
    "direct": {"disk_cache": "none", "disk_aio": "native", "disk_discard": "unmap"},
    "network": {"boot_order": "disk", "kvm_pci_reservations": 12, "disk_aio": "threads"},
    "cdrom": {"boot_order": "cdrom", "cdrom_image_path": "DISK", "cdrom2_image_path": "DISK"},
    "cdrom-scsi": {"cdrom_image_path": "DISK", "cdrom_disk_type": "scsi", "scsi_controller_type": "virtio-scsi-pci"},
    "floppy": {"boot_order": "floppy", "floppy_image_path": "FLOPPY"},
    "floppy-q35": {"floppy_image_path": "FLOPPY", "machine_version": "q35"},
    "vnc": {"vnc_bind_address": "lo", "vnc_password_file": "PASSWORD", "usb_devices": "keyboard usb-hub"},
    "vnc-tls": {"vnc_bind_address": "127.0.0.1", "vnc_tls": True, "vga": "cirrus", "usb_mouse": "mouse"},
    "vnc-socket": {"vnc_bind_address": "FOLDER", "machine_version": "q35"},
    "agent": {"use_guest_agent": True}, "user-shutdown": {"user_shutdown": True, "reboot_behavior": "exit"},
    "hda": {"soundhw": "hda"}, "ac97": {"soundhw": "ac97"}, "sb16": {"soundhw": "sb16"},
    "memory-in-files": {"mem_path": "/dev/shm"}, "extra": {"kvm_extra": "-smbios 'type=1,serial=a b'"},
    "spice": {"spice_bind": "127.0.0.1", "spice_password_file": "PASSWORD", "spice_image_compression": "lz",
              "spice_streaming_video": "filter", "spice_jpeg_wan_compression": "auto", "soundhw": "hda"},
}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[base.Hypervisor]:
    monkeypatch.setenv("GANTRY_ROOT", str(tmp_path / "n1"))
    monkeypatch.setenv("GANTRY_NET", "user")
    driver = base.load("kvm")
    yield driver
    driver.stop(GUEST, seconds=0, progress=lambda fraction, message: None)


def spec(tmp_path: Path, hvparams: dict[str, Any]) -> tuple[VmSpec, dict[str, str]]:
    """A guest with one disk and one NIC; words in capitals become files."""
    image = tiny_guest.make_disk(tmp_path / "disk,0.img")
    (tmp_path / "floppy.img").write_bytes(tiny_guest.SECTOR.ljust(1440 << 10, b"\0"))
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "vnc").mkdir(exist_ok=True)
    words = {"DISK": tmp_path / "cd.iso", "FLOPPY": tmp_path / "floppy.img", "PASSWORD": tmp_path / "password",
             "FOLDER": tmp_path / "vnc"}
    tiny_guest.make_disk(words["DISK"])
    hv = {name: str(words[value]) if value in words else value for name, value in hvparams.items()}
    uuid = "aaaaaaaa-bbbb-4ccc-8ddd-ffffffffffff"
    disk = Disk(uuid=uuid, name="", dev_type=DiskTemplate.FILE, size=2, file=FileLocation(path=str(image)))
    nic = VmNic(uuid="99999999-0000-4000-8000-000000000000", mac="aa:00:00:01:02:03", mode="bridged", link="br0",
                pci=13)
    return VmSpec(uuid=GUEST, name="web1", hypervisor=HypervisorName.KVM, owner_epoch=1, memory=64, vcpus=2,
                  hvparams={"kvm_path": QEMU, "kvm_flag": "disabled"} | hv, network_port=11999,
                  disks=(VmDisk(disk=disk, pci=12),), nics=(nic,)), {uuid: str(image)}


@pytest.mark.parametrize("case", CASES)
def test_qemu_takes_it(case, node, tmp_path):
    guest, disks = spec(tmp_path, CASES[case])
    assert node.start(guest, disks, paused=True).state == "paused"


@needs_root
@pytest.mark.parametrize("chroot", [False, True])
@pytest.mark.parametrize(("model", "domain"), [("user", "nobody"), ("pool", ""), ("none", "")])
def test_qemu_gives_up_its_privileges(model, domain, chroot, node, tmp_path):
    pool = paths.here().ssconf("uid_pool")
    pool.parent.mkdir(parents=True)
    pool.write_text("61000-61001\n")
    guest, disks = spec(tmp_path, {"security_model": model, "security_domain": domain, "use_chroot": chroot})
    node.start(guest, disks, paused=False)
    own = runtime.load(GUEST).process
    user = os.stat(f"/proc/{own.pid}").st_uid
    assert user in {"user": [65534], "pool": [61000, 61001], "none": [0]}[model]  # one in use is left out
    root = os.readlink(f"/proc/{own.pid}/root")
    assert ("chroot" in root) == chroot
    assert "Seccomp:\t2" in Path(f"/proc/{own.pid}/status").read_text()
    node.stop(GUEST, seconds=0, progress=lambda fraction, message: None)
    assert not process.lives(own)


def test_pinning_is_done_before_the_first_instruction(node, tmp_path):
    guest, disks = spec(tmp_path, {"cpu_mask": "0"})
    node.start(guest, disks, paused=True)
    own = runtime.load(GUEST).process
    assert all(os.sched_getaffinity(int(thread)) == {0} for thread in os.listdir(f"/proc/{own.pid}/task"))


def test_a_lower_device_can_be_exchanged_under_a_running_guest(node, tmp_path):
    """What disk replacement will need: the device and its node stay, the file below becomes another."""
    from gantry.hypervisor.hv_kvm import devices
    guest, disks = spec(tmp_path, {})
    node.start(guest, disks, paused=False)
    uuid = guest.disks[0].disk.uuid
    other = tiny_guest.make_disk(tmp_path / "other.img")
    with launch.talk(runtime.load(GUEST)) as qmp:
        qmp.execute("blockdev-add", driver="file", node_name="f-new", filename=str(other))
        qmp.execute("blockdev-reopen", options=[{"driver": "raw", "node-name": devices.disk_node(uuid),
                                                 "file": "f-new"}])
        qmp.execute("blockdev-del", node_name=devices.file_node(uuid))
        assert qmp.execute("query-status")["status"] == "running"
