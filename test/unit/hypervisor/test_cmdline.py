# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's argument list, compared with golden files; every parameter has its case."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from gantry.constants import DiskTemplate, HypervisorName
from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import cmdline, devices, hostfacts, migration, pinning
from gantry.hypervisor.hv_kvm.files import GuestFiles
from gantry.hypervisor.hv_kvm.hostfacts import HostFacts
from gantry.hypervisor.hv_kvm.place import DiskFile, Place
from gantry.net.base import Backend
from gantry.objects.hvparams import DEFAULTS, GLOBAL, SCHEMAS, check, check_merged
from gantry.objects.instance import Disk
from gantry.objects.vm import VmDisk, VmNic, VmSpec

DATA = Path(__file__).parents[2] / "data"
GUEST = "11111111-2222-4333-8444-555555555555"
FACTS = HostFacts(version=(7, 2), machines=frozenset({"pc-i440fx-7.2", "pc-q35-7.2", "pc-i440fx-5.2"}),
                  aliases={"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2"}, default="pc-i440fx-7.2", kvm=True, spice=True,
                  vhost=True)

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "debian-binary": {"kvm_path": "/usr/bin/qemu-system-x86_64", "kvm_flag": "enabled", "serial_speed": 115200,
                      "migration_bandwidth": 64, "migration_downtime": 500, "cpu_type": "IvyBridge,+pcid,+invpcid"},
    "q35": {"machine_version": "q35", "kvm_pci_reservations": 16, "acpi": False, "kvm_flag": "disabled"},
    "kernel": {"kernel_path": "/boot/vmlinuz", "initrd_path": "/boot/initrd.img", "root_path": "/dev/vdb1",
               "kernel_args": "ro quiet", "serial_speed": 9600, "reboot_behavior": "exit", "user_shutdown": True},
    "network-boot": {"boot_order": "network", "nic_type": "e1000", "disk_type": "ide", "vhost_net": False},
    "multiqueue": {"virtio_net_queues": 4, "vnet_hdr": False, "disk_cache": "none", "disk_aio": "native",
                   "disk_discard": "unmap", "cpu_mask": "0-1:2", "cpu_cores": 1, "cpu_threads": 1, "cpu_sockets": 2,
                   "mem_path": "/dev/hugepages"},
    "cdrom": {"boot_order": "cdrom", "cdrom_image_path": "/srv/install.iso",
              "cdrom2_image_path": "https://example.org/drivers.iso", "cdrom_disk_type": "ide",
              "disk_type": "scsi-hd", "scsi_controller_type": "virtio-scsi-pci", "use_localtime": True},
    "floppy": {"boot_order": "floppy", "floppy_image_path": "/srv/floppy,old.img", "serial_console": False,
               "soundhw": "hda", "disk_cache": "writethrough"},
    "vnc": {"vnc_bind_address": "0.0.0.0", "vnc_tls": True, "vnc_x509_path": "/etc/vnc", "vnc_x509_verify": True,
            "vnc_password_file": "/etc/vnc-password", "keymap": "de", "vga": "cirrus", "usb_mouse": "mouse",
            "usb_devices": "keyboard host:1234:abcd,usb-hub"},
    "vnc-socket": {"vnc_bind_address": "/run/vnc", "use_guest_agent": True},
    "spice": {"spice_bind": "127.0.0.1", "spice_ip_version": 4, "spice_password_file": "/etc/spice-password",
              "spice_image_compression": "lz", "spice_jpeg_wan_compression": "auto",
              "spice_zlib_glz_wan_compression": "never", "spice_streaming_video": "filter",
              "spice_playback_compression": False, "spice_use_tls": True, "spice_tls_ciphers": "HIGH",
              "spice_use_vdagent": False, "soundhw": "ac97"},
    "confined": {"security_model": "user", "security_domain": "kvmguest", "use_chroot": True,
                 "kvm_extra": "-smbios 'type=1,serial=a b'"},
    "incoming": {"migration_caps": "xbzrle:auto-converge", "migration_port": 9000, "migration_mode": "non-live"},
}

AFTER_THE_START = {
    "cpu_mask": "threads are pinned over QMP", "migration_caps": "sent over QMP", "vnet_hdr": "an ioctl on the tap",
    "virtio_net_queues": "one descriptor a queue comes from the network driver",
    "vhost_net": "the network driver's", "kvm_flag": "see test_kvm_asked_for_where_it_does_not_work",
    "security_model": "turned into `run_as`", "security_domain": "turned into `run_as`",
    "kvm_pci_reservations": "on q35, and when disks are added", "machine_version": "resolved to `machine`"}
"""Parameters that change no argument by themselves, and where they take effect."""


def disk(number: int, slot: int, **changes: Any) -> VmDisk:
    uuid = f"aaaaaaaa-bbbb-4ccc-8ddd-00000000000{number}"
    return VmDisk(disk=Disk(**{"uuid": uuid, "name": "", "dev_type": DiskTemplate.PLAIN, "size": 1024} | changes),
                  pci=slot)


def spec(hvparams: dict[str, Any], **changes: Any) -> VmSpec:
    nics = (VmNic(uuid="cccccccc-0000-4000-8000-000000000001", mac="aa:00:00:00:00:01", mode="bridged", link="br0",
                  pci=20),)
    return VmSpec(**{"uuid": GUEST, "name": "web1.example.org", "hypervisor": HypervisorName.KVM, "owner_epoch": 1,
                     "memory": 1024, "vcpus": 2, "network_port": 11001, "nics": nics,
                     "disks": (disk(1, 16), disk(2, 17, mode="ro")),
                     "hvparams": DEFAULTS["kvm"] | check("kvm", hvparams)} | changes)


def place(guest: VmSpec, **changes: Any) -> Place:
    hv = guest.hvparams
    queues = hv["virtio_net_queues"]
    netdev = {"type": "tap"} | ({"vhost": True} if hv["vhost_net"] else {})
    return Place(**{"facts": FACTS, "files": GuestFiles(GUEST, Path("/run/kvm"), Path("/var/log/kvm")),
                    "machine": hostfacts.machine(hv["machine_version"], guest.machine, FACTS),
                    "disks": {item.disk.uuid: DiskFile(path=f"/dev/vg/disk{index}", block=True)
                              for index, item in enumerate(guest.disks)},
                    "nics": {nic.uuid: Backend(netdev=netdev, fds=tuple(range(7, 7 + queues)), tap="tap0")
                             for nic in guest.nics},
                    "bind": hv["spice_bind"] or hv["vnc_bind_address"],
                    "run_as": hv["security_domain"], "certificates": ("/state/spice.pem", "/state/spice-ca.pem")}
                 | changes)


def text(argv: list[str]) -> str:
    """An argument list with an option a line."""
    lines: list[str] = []
    for word in argv:
        if word.startswith("-") or not lines:
            lines.append(shlex.quote(word))
        else:
            lines[-1] += " " + shlex.quote(word)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", CASES)
def test_the_command_line(case, golden):
    guest = spec(CASES[case])
    check_merged("kvm", guest.hvparams, vcpus=guest.vcpus)
    argv = cmdline.arguments(guest, place(guest, incoming=case == "incoming"))
    golden(DATA / "qemu-cmdline" / f"{case}.txt", text(argv))


def test_every_parameter_has_a_case():
    used = {name for case in CASES.values() for name, value in case.items() if value != DEFAULTS["kvm"][name]}
    assert SCHEMAS["kvm"].keys() - used == {"migration_mode"} - used


@pytest.mark.parametrize("name", sorted(SCHEMAS["kvm"].keys() - GLOBAL - AFTER_THE_START.keys() - {
    "migration_downtime"}))
def test_every_parameter_changes_something(name):
    def argv(hvparams: dict[str, Any]) -> list[str]:
        return cmdline.arguments(spec(hvparams), place(spec(hvparams)))
    cases = [case for case in CASES.values() if name in case]
    assert any(argv(case) != argv({key: value for key, value in case.items() if key != name}) for case in cases)


@pytest.mark.parametrize(("hvparams", "named"), [
    ({"disk_type": "mtd"}, "mtd"), ({"usb_devices": "toaster"}, "toaster"), ({"soundhw": "trumpet"}, "trumpet"),
    ({"vnc_bind_address": "127.0.0.1"}, "no network port")])
def test_what_cannot_be_had_is_named(hvparams, named):
    guest = spec(hvparams, network_port=None)
    with pytest.raises(HypervisorError, match=named):
        cmdline.arguments(guest, place(guest))


def test_spice_where_there_is_none():
    guest = spec({"spice_bind": "127.0.0.1"})
    with pytest.raises(HypervisorError, match="qemu-system-modules-spice"):
        cmdline.arguments(guest, place(guest, facts=HostFacts(machines=FACTS.machines, spice=False)))


def test_kvm_asked_for_where_it_does_not_work():
    for works, flag, expected in ((True, "", "kvm"), (False, "", "tcg"), (True, "disabled", "tcg"),
                                  (True, "enabled", "kvm")):
        assert cmdline.accelerator({"kvm_flag": flag}, works=works) == expected
    with pytest.raises(HypervisorError, match="KVM does not work on this node"):
        cmdline.accelerator({"kvm_flag": "enabled"}, works=False)


def test_shared_disks_bypass_the_cache_where_the_file_system_can():
    shared = spec({}, disks=(disk(1, 12, dev_type=DiskTemplate.SHAREDFILE),))
    uuid = shared.disks[0].disk.uuid
    for direct, expected in ((True, '"direct": true'), (False, '"direct": false')):
        argv = cmdline.arguments(shared, place(shared, disks={uuid: DiskFile(path="/srv/d", direct=direct)}))
        assert expected in " ".join(argv)


def test_block_nodes_have_names_qemu_takes():
    name = devices.disk_node(GUEST)
    assert len(name) <= 31
    assert name != devices.file_node(GUEST)
    assert name != devices.disk_node(GUEST[:-1] + "6")


def test_devices_keep_their_places_when_others_go():
    two = cmdline.arguments(spec({}), place(spec({})))
    one_spec = spec({}, disks=spec({}).disks[1:])
    one = cmdline.arguments(one_spec, place(one_spec))
    kept = one_spec.disks[0].disk.uuid
    for word in (f"id=disk-{kept}", "id=balloon", "id=rng", "id=nic-"):
        places = [[part for part in argument.split(",") if part.startswith(("addr=", "bus="))]
                  for argv in (two, one) for argument in argv if word in argument and "addr=" in argument]
        assert places[0] == places[1]


def test_two_devices_in_one_slot_are_refused():
    guest = spec({}, disks=(disk(1, 20),))
    with pytest.raises(HypervisorError, match="slot 20"):
        cmdline.arguments(guest, place(guest))


def test_the_machine_type_is_resolved_and_stays():
    cases = [("", "", "pc-i440fx-7.2"), ("q35", "", "pc-q35-7.2"), ("", "pc-i440fx-5.2", "pc-i440fx-5.2"),
             ("pc", "pc-i440fx-5.2", "pc-i440fx-5.2"), ("q35", "pc-i440fx-5.2", "pc-q35-7.2"),
             ("pc-i440fx-7.2", "pc-i440fx-5.2", "pc-i440fx-7.2"), ("q35", "q35", "pc-q35-7.2")]
    for wanted, pinned, expected in cases:
        assert hostfacts.machine(wanted, pinned, FACTS) == expected
    with pytest.raises(HypervisorError, match=r"pc-q35-9\.0"):
        hostfacts.machine("pc-q35-9.0", "", FACTS)


def test_the_machine_list_is_read():
    names, aliases, default = hostfacts.parse_machines((DATA / "qemu-7.2" / "machine-help.txt").read_text())
    assert aliases == {"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2"}
    assert default == "pc-i440fx-7.2"
    assert {"pc-i440fx-1.4", "isapc"} <= names


def test_pinning():
    assert pinning.plan("all", 2) == (None, [])
    assert pinning.plan("0-2,5", 2) == ({0, 1, 2, 5}, [])
    assert pinning.plan("0-1:all:3", 3) == (None, [{0, 1}, None, {3}])
    with pytest.raises(HypervisorError, match="2 vCPUs"):
        pinning.plan("0:1", 3)


def test_migration_parameters():
    hv = spec({"migration_caps": "xbzrle:auto-converge"}).hvparams
    assert migration.capabilities(hv, source=False) == ["xbzrle", "auto-converge"]
    assert migration.capabilities(DEFAULTS["kvm"], source=True) == ["return-path", "auto-converge"]
    live = migration.Limits(live=True, bandwidth=32, downtime=30).parameters()
    assert live == {"max-bandwidth": 32 << 20, "downtime-limit": 30}
    assert migration.Limits(live=False, bandwidth=32, downtime=30).parameters()["downtime-limit"] >= 2_000_000
