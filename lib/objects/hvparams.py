# SPDX-License-Identifier: BSD-2-Clause
"""Hypervisor parameters: names, types, defaults of new clusters, and what can be checked without a node."""

import ipaddress
import re
import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from gantry.constants import HypervisorName
from gantry.errors import NotFound, ParameterError
from gantry.objects.base import Params
from gantry.objects.paramtype import Check, Kind, ParamType, normalise

SERIAL_SPEEDS = (75, 110, 300, 600, 1200, 1800, 2400, 4800, 9600, 14400, 19200, 28800, 38400, 57600, 115200,
                 230400, 345600, 460800)
DISK_TYPES = ("paravirtual", "ide", "scsi", "sd", "mtd", "pflash", "scsi-hd", "scsi-cd", "scsi-block",
              "scsi-generic")
NIC_TYPES = ("paravirtual", "e1000", "rtl8139", "ne2k_pci", "ne2k_isa", "pcnet", "i82551", "i82557b", "i82559er")

GLOBAL = frozenset({"migration_port", "migration_bandwidth", "migration_mode"})
"""Parameters of the cluster as a whole: refused on instances."""

_INTERFACE = re.compile(r"^[A-Za-z0-9_.:@-]{1,15}$")
_CAPABILITIES = re.compile(r"^[a-z0-9-]+(:[a-z0-9-]+)*$")
_CPU_LIST = re.compile(r"^\d+(-\d+)?(,\d+(-\d+)?)*$")


# --- checks of single values ---

def _between(low: int, high: int | None = None) -> Check:
    def check(value: int) -> str | None:
        if value < low or (high is not None and value > high):
            return f"must be {low} or more" if high is None else f"must be between {low} and {high}"
        return None
    return check


def _path(value: str | None) -> str | None:
    if not value or (value.startswith("/") and ".." not in PurePosixPath(value).parts):
        return None
    return "must be an absolute path"


def _path_or_url(value: str) -> str | None:
    if re.match(r"^(https?|ftps?)://[^/]+/", value):
        return None
    return "must be an absolute path or a URL" if _path(value) else None


def _bind(value: str) -> str | None:
    if not value or _is_address(value) or _INTERFACE.match(value):
        return None
    return "must be an IP address or the name of a network interface"


def _bind_or_folder(value: str) -> str | None:
    return None if value.startswith("/") and _path(value) is None else (
        "must be an IP address, a network interface or an absolute folder" if _bind(value) else None)


def _mask(value: str) -> str | None:
    for part in value.split(":"):
        if part != "all" and not _CPU_LIST.match(part):
            return "must be 'all', a list of CPUs such as 0-2,5, or one such list for each vCPU, joined by ':'"
    return None


def _quoted(value: str) -> str | None:
    try:
        shlex.split(value)
    except ValueError as err:
        return f"is not quoted properly: {err}"
    return None


def _capabilities(value: str) -> str | None:
    return None if not value or _CAPABILITIES.match(value) else "must be names joined by ':'"


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


# --- the declarations ---

def _text(name: str, default: str, text: str, check: Check | None = None) -> ParamType:
    return ParamType(name, Kind.STR, default, text, check=check)


def _word(name: str, default: str, text: str, choices: tuple[str, ...]) -> ParamType:
    return ParamType(name, Kind.STR, default, text, choices=choices)


def _on(name: str, text: str) -> ParamType:
    return ParamType(name, Kind.BOOL, default=True, help=text)


def _off(name: str, text: str) -> ParamType:
    return ParamType(name, Kind.BOOL, default=False, help=text)


def _number(name: str, default: int, text: str, check: Check) -> ParamType:
    return ParamType(name, Kind.INT, default, text, check=check)


_BASE = (
    _text("kvm_path", "/usr/bin/kvm", "emulator binary, on every node", _path),
    _word("kvm_flag", "", "force KVM on or off; empty: KVM where it works", ("", "enabled", "disabled")),
    _text("kvm_extra", "", "more arguments for the emulator, quoted as in a shell", _quoted),
    _number("kvm_pci_reservations", 12, "low PCI slots left to the emulator", _between(0, 32)),
    _text("machine_version", "", "machine type as the emulator lists it; empty: its default"),
    _on("acpi", "without it there is no graceful shutdown"),
    _word("reboot_behavior", "reboot", "exit: a reboot by the guest ends it", ("reboot", "exit")),
    _off("user_shutdown", "tell a shutdown by the guest from a crash"),
    _off("use_localtime", "real time clock in local time"),
    _off("use_chroot", "confine the emulator to an empty folder after its start"),
    _word("security_model", "none", "as whom the emulator runs", ("none", "user", "pool")),
    _text("security_domain", "", "the user for security model user"),
    _off("use_guest_agent", "a port for the guest agent"),
    _text("mem_path", "", "folder of a huge page mount", _path),
    _text("cpu_type", "", "CPU model and flags"),
    _text("cpu_mask", "all", "pinning: all, CPUs, or CPUs for each vCPU joined by ':'", _mask),
    _number("cpu_cores", 0, "cores in a socket; 0: unset", _between(0)),
    _number("cpu_threads", 0, "threads in a core; 0: unset", _between(0)),
    _number("cpu_sockets", 0, "sockets; 0: unset", _between(0)),
)
_BOOT = (
    _text("kernel_path", "", "kernel to boot; empty: boot from a device", _path),
    _text("initrd_path", "", "initial RAM disk, only with kernel_path", _path),
    ParamType("root_path", Kind.MAYBE_STR, "/dev/vda1", "root= for the kernel"),
    _text("kernel_args", "ro", "command line of the kernel"),
    _word("boot_order", "disk", "first boot device", ("floppy", "cdrom", "disk", "network")),
    _text("cdrom_image_path", "", "image in the first CD drive", _path_or_url),
    _text("cdrom2_image_path", "", "image in the second CD drive", _path_or_url),
    _word("cdrom_disk_type", "", "bus of the CD drives; empty: as disk_type", ("", *DISK_TYPES)),
    _text("floppy_image_path", "", "image in the floppy drive", _path),
)
_DISK_AND_NIC = (
    _word("disk_type", "paravirtual", "disk bus", DISK_TYPES),
    _word("scsi_controller_type", "lsi", "SCSI controller", ("lsi", "virtio-scsi-pci", "megasas", "dc390")),
    _word("disk_cache", "default", "host cache mode", ("none", "default", "writethrough", "writeback")),
    _word("disk_aio", "threads", "native needs disk_cache none", ("threads", "native", "io_uring")),
    _word("disk_discard", "ignore", "pass trims through", ("default", "ignore", "unmap")),
    _word("nic_type", "paravirtual", "network card", NIC_TYPES),
    _on("vhost_net", "kernel vhost for paravirtual cards"),
    _number("virtio_net_queues", 1, "tap queues of paravirtual cards", _between(1, 32)),
    _on("vnet_hdr", "offload header on the tap"),
)
_SCREEN = (
    _on("serial_console", "serial port for gnt-instance console"),
    ParamType("serial_speed", Kind.INT, 38400, "speed for the kernel's console", choices=SERIAL_SPEEDS),
    _text("vnc_bind_address", "", "address, interface or folder; empty: no VNC", _bind_or_folder),
    _off("vnc_tls", "VNC over TLS"),
    _text("vnc_x509_path", "", "folder with the certificates of VNC", _path),
    _off("vnc_x509_verify", "ask VNC clients for certificates"),
    _text("vnc_password_file", "", "file with the VNC password", _path),
    _text("keymap", "", "keyboard layout"),
    _text("vga", "", "graphics card; empty: none, qxl with SPICE"),
    _word("usb_mouse", "", "pointer; empty: tablet with VNC", ("", "mouse", "tablet")),
    _text("usb_devices", "", "more USB devices, by blank or comma"),
    _text("soundhw", "", "sound card"),
)
_SPICE = (
    _text("spice_bind", "", "address or interface; empty: no SPICE", _bind),
    ParamType("spice_ip_version", Kind.INT, 0, "IP version of spice_bind; 0: any", choices=(0, 4, 6)),
    _text("spice_password_file", "", "file with the SPICE password", _path),
    _word("spice_image_compression", "", "lossless compression",
          ("", "auto_glz", "auto_lz", "glz", "lz", "quic", "off")),
    _word("spice_jpeg_wan_compression", "", "JPEG over slow links", ("", "auto", "never", "always")),
    _word("spice_zlib_glz_wan_compression", "", "zlib over slow links", ("", "auto", "never", "always")),
    _word("spice_streaming_video", "", "detection of video streams", ("", "off", "all", "filter")),
    _on("spice_playback_compression", "compress audio"),
    _off("spice_use_tls", "SPICE over TLS"),
    _text("spice_tls_ciphers", "HIGH:-DES:-3DES:-EXPORT:-DH", "ciphers for TLS"),
    _on("spice_use_vdagent", "channel for the SPICE agent"),
)
_MIGRATION = (
    _word("migration_mode", "live", "how instances migrate", ("live", "non-live")),
    _number("migration_port", 8102, "first TCP port to receive guests on", _between(1, 65535)),
    _number("migration_bandwidth", 32, "limit in MiB/s", _between(0)),
    _number("migration_downtime", 30, "tolerated pause in ms", _between(0)),
    _text("migration_caps", "", "emulator's migration capabilities, joined by ':'", _capabilities),
)


def _schema(params: Iterable[ParamType]) -> dict[str, ParamType]:
    return {item.name: item for item in sorted(params, key=lambda item: item.name)}


_KVM = _schema((*_BASE, *_BOOT, *_DISK_AND_NIC, *_SCREEN, *_SPICE, *_MIGRATION))

SCHEMAS: dict[str, dict[str, ParamType]] = {
    HypervisorName.KVM: _KVM,
    HypervisorName.FAKE: _schema([_KVM["migration_mode"]]),
}
"""By hypervisor and name."""

DEFAULTS: dict[str, Params] = {hypervisor: {name: item.default for name, item in schema.items()}
                               for hypervisor, schema in SCHEMAS.items()}
"""Values of new clusters."""


def check(hypervisor: str, params: dict[str, Any]) -> Params:
    """`params` (of any level, some or all of them) in their own types; raises ParameterError or NotFound."""
    return normalise(schema(hypervisor), params)


def schema(hypervisor: str) -> dict[str, ParamType]:
    try:
        return SCHEMAS[hypervisor]
    except KeyError:
        raise NotFound(kind="hypervisor", name=hypervisor) from None


# --- what values ask of each other ---

_NEEDS_SPICE = ("spice_ip_version", "spice_password_file", "spice_image_compression", "spice_jpeg_wan_compression",
                "spice_zlib_glz_wan_compression", "spice_streaming_video", "spice_use_tls")


def check_merged(hypervisor: str, params: Params, *, vcpus: int | None = None) -> None:
    """Raise ParameterError when effective values (all levels merged) do not go together."""
    if hypervisor != HypervisorName.KVM:
        return
    problem = next((sentence for wrong, sentence in _contradictions(params) if wrong), None)
    problem = problem or _pinning_problem(params["cpu_mask"], vcpus)
    if problem:
        raise ParameterError(detail=problem)


def _contradictions(p: Params) -> Iterable[tuple[bool, str]]:
    """(whether it is so, what is wrong with it)."""
    yield bool(p["kernel_path"] and not p["root_path"]), "kernel_path needs a root_path"
    yield bool(p["vnc_x509_verify"] and not p["vnc_x509_path"]), "vnc_x509_verify needs vnc_x509_path"
    yield (p["boot_order"] == "cdrom" and not p["cdrom_image_path"] and not p["kernel_path"],
           "boot_order cdrom needs cdrom_image_path")
    yield (p["boot_order"] == "floppy" and not p["floppy_image_path"] and not p["kernel_path"],
           "boot_order floppy needs floppy_image_path")
    user = p["security_model"] == "user"
    yield user and not p["security_domain"], "security_model user needs security_domain, the user's name"
    yield bool(not user and p["security_domain"]), "security_domain is only for security_model user"
    yield (p["disk_aio"] == "native" and p["disk_cache"] != "none", "disk_aio native needs disk_cache none")
    yield bool(p["spice_bind"] and p["vnc_bind_address"]), "spice_bind and vnc_bind_address exclude each other"
    for name in _NEEDS_SPICE:
        yield bool(p[name] and not p["spice_bind"]), f"{name} needs spice_bind"
    yield _wrong_version(p["spice_bind"], p["spice_ip_version"]), (
        f"spice_bind {p['spice_bind']} is no IPv{p['spice_ip_version']} address")


def _wrong_version(address: str, version: int) -> bool:
    return bool(version) and _is_address(address) and ipaddress.ip_address(address).version != version


def _pinning_problem(mask: str, vcpus: int | None) -> str | None:
    parts = mask.split(":")
    if vcpus is None or len(parts) in (1, vcpus):
        return None
    return f"cpu_mask names CPUs for {len(parts)} vCPUs, the instance has {vcpus}"
