# SPDX-License-Identifier: BSD-2-Clause
"""Fields of an instance by device number (disk.size/0, nic.mac/1), by parameter (be/..., hv/...), and aliases."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gantry.constants import MAX_DISKS, MAX_NICS
from gantry.query.fields import UNAVAIL, Field, Kind, maybe

ALIASES = {
    "vcpus": "be/vcpus", "be/memory": "be/maxmem", "sda_size": "disk.size/0", "sdb_size": "disk.size/1",
    "ip": "nic.ip/0", "mac": "nic.mac/0", "bridge": "nic.bridge/0", "nic_mode": "nic.mode/0",
    "nic_link": "nic.link/0", "nic_network": "nic.network/0",
}

BE = (
    ("always_failover", "be/always_failover", Kind.BOOL, "Whether a migration is done as a failover"),
    ("auto_balance", "Auto_balance", Kind.BOOL, "Whether balancing may move it"),
    ("maxmem", "ConfigMaxMem", Kind.UNIT, "Memory it starts with"),
    ("minmem", "ConfigMinMem", Kind.UNIT, "Memory it may be reduced to"),
    ("spindle_use", "be/spindle_use", Kind.NUMBER, "Spindles it takes"),
    ("vcpus", "ConfigVCPUs", Kind.NUMBER, "Virtual CPUs"),
)

HV = {
    Kind.BOOL: """acpi pae serial_console spice_playback_compression spice_use_tls spice_use_vdagent use_bootloader
        use_chroot use_guest_agent use_localtime user_shutdown vhost_net viridian vnc_tls vnc_x509_verify
        vnet_hdr""",
    Kind.NUMBER: """cpu_cap cpu_cores cpu_sockets cpu_threads cpu_weight kvm_pci_reservations migration_downtime
        num_ttys serial_speed spice_ip_version startup_timeout virtio_net_queues""",
    Kind.OTHER: """blockdev_prefix boot_order bootloader_args bootloader_path cdrom2_image_path cdrom_disk_type
        cdrom_image_path cpu_mask cpu_type cpuid device_model devices disk_aio disk_cache disk_discard disk_type
        drop_capabilities extra_cgroups extra_config floppy_image_path init_script initrd_path kernel_args
        kernel_path keymap kvm_extra kvm_flag kvm_path machine_version mem_path migration_caps nic_type pci_pass
        reboot_behavior root_path scsi_controller_type security_domain security_model soundhw spice_bind
        spice_image_compression spice_jpeg_wan_compression spice_password_file spice_streaming_video
        spice_tls_ciphers spice_zlib_glz_wan_compression usb_devices usb_mouse vga vif_script vif_type
        vnc_bind_address vnc_password_file vnc_x509_path""",
}
"""Every hypervisor's parameters: clients know them all, and get `unavailable` for those of another one."""

HV_TITLES = {
    "acpi": "ACPI", "boot_order": "Boot_order", "cdrom_image_path": "CDROM_image_path", "cpu_type": "cpu_type",
    "disk_type": "Disk_type", "initrd_path": "Initrd_path", "kernel_path": "Kernel_path", "nic_type": "NIC_type",
    "pae": "PAE", "pci_pass": "pci_pass", "vnc_bind_address": "VNC_bind_address",
}

DISK = (
    ("size", "Disk", Kind.UNIT, "size", lambda row, disk: disk.size),
    ("spindles", "DiskSpindles", Kind.NUMBER, "spindles", lambda row, disk: maybe(disk.spindles)),
    ("name", "DiskName", Kind.TEXT, "name", lambda row, disk: disk.name or UNAVAIL),
    ("uuid", "DiskUUID", Kind.TEXT, "UUID", lambda row, disk: disk.uuid),
)


def _network_name(row: Any, index: int) -> Any:
    uuid = row.item.nics[index].network
    return row.context.config.networks[uuid].name if uuid else UNAVAIL


def _link_in_mode(mode: str, name: str) -> Callable[[Any, int], Any]:
    def get(row: Any, index: int) -> Any:
        params = row.nics[index]
        return maybe(params.get(name)) if params.get("mode") == mode else UNAVAIL
    return get


NIC: tuple[tuple[str, str, str, Callable[[Any, int], Any]], ...] = (
    ("ip", "NicIP", "address", lambda row, index: maybe(row.item.nics[index].ip)),
    ("mac", "NicMAC", "MAC address", lambda row, index: row.item.nics[index].mac),
    ("uuid", "NicUUID", "UUID", lambda row, index: row.item.nics[index].uuid),
    ("name", "NicName", "name", lambda row, index: maybe(row.item.nics[index].name)),
    ("mode", "NicMode", "mode", lambda row, index: maybe(row.nics[index].get("mode"))),
    ("link", "NicLink", "link", lambda row, index: maybe(row.nics[index].get("link"))),
    ("vlan", "NicVLAN", "VLAN", _link_in_mode("openvswitch", "vlan")),
    ("bridge", "NicBridge", "bridge", _link_in_mode("bridged", "link")),
    ("network", "NicNetwork", "network's UUID", lambda row, index: maybe(row.item.nics[index].network)),
    ("network.name", "NicNetworkName", "network's name", _network_name),
)


def indexed_fields() -> Iterator[Field]:
    """Fields of the disk or network interface number N, unavailable where there is none."""
    for number in range(MAX_DISKS):
        for name, title, kind, what, of_disk in DISK:
            yield Field(f"disk.{name}/{number}", f"{title}/{number}", kind, f"The {what} of disk {number}",
                        _of_disk(number, of_disk))
    for number in range(MAX_NICS):
        for name, title, what, of_nic in NIC:
            yield Field(f"nic.{name}/{number}", f"{title}/{number}", Kind.TEXT,
                        f"The {what} of network interface {number}", _of_nic(number, of_nic))


def _of_disk(number: int, get: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    return lambda row: get(row, row.disks[number]) if number < len(row.disks) else UNAVAIL


def _of_nic(number: int, get: Callable[[Any, int], Any]) -> Callable[[Any], Any]:
    return lambda row: get(row, number) if number < len(row.item.nics) else UNAVAIL


def parameter_fields() -> Iterator[Field]:
    for name, title, kind, doc in BE:
        yield Field(f"be/{name}", title, kind, doc, _be(name))
    for kind, names in HV.items():
        for name in names.split():
            yield Field(f"hv/{name}", HV_TITLES.get(name, f"hv/{name}"), kind, f"Hypervisor parameter {name}",
                        _hv(name))


def _be(name: str) -> Callable[[Any], Any]:
    return lambda row: row.be.get(name, UNAVAIL)


def _hv(name: str) -> Callable[[Any], Any]:
    return lambda row: row.hv.get(name, UNAVAIL)


def aliases(fields: Mapping[str, Field]) -> dict[str, Field]:
    """Old names; an alias differs from its target by the name alone."""
    return {name: dataclasses.replace(fields[target], name=name) for name, target in ALIASES.items()}
