# SPDX-License-Identifier: BSD-2-Clause
"""Screen, pointer, USB and sound.  Pure."""

import re
from pathlib import PurePosixPath

from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm.devices import Slots, option
from gantry.hypervisor.hv_kvm.place import Place
from gantry.objects.base import Params
from gantry.objects.vm import VmSpec

Argv = list[str]
VNC_BASE_PORT = 5900
_USB = {"mouse": "usb-mouse", "tablet": "usb-tablet", "keyboard": "usb-kbd", "wacom-tablet": "usb-wacom-tablet"}
_SOUND = {"ac97": "AC97", "es1370": "ES1370", "sb16": "sb16", "adlib": "adlib", "cs4231a": "cs4231a", "gus": "gus"}
_HOST_USB = re.compile(r"^host:([0-9a-fA-F]{1,4}):([0-9a-fA-F]{1,4})$")
_HOST_PLACE = re.compile(r"^host:(\d+)\.(\d+)$")


def arguments(spec: VmSpec, hv: Params, place: Place, slots: Slots) -> Argv:
    argv: Argv = []
    if hv["spice_bind"]:
        argv += _spice(spec, hv, place)
    elif hv["vnc_bind_address"]:
        argv += _vnc(spec, hv, place)
    else:
        argv += ["-display", "none"]
    argv += ["-vga", vga(hv)]
    if hv["keymap"]:
        argv += ["-k", hv["keymap"]]
    return argv + _usb(hv) + _sound(hv, slots)


def vga(hv: Params) -> str:
    if hv["vga"]:
        return str(hv["vga"])
    if hv["spice_bind"]:
        return "qxl"
    return "std" if hv["vnc_bind_address"] else "none"


def needs_serial_bus(hv: Params) -> bool:
    return bool(hv["use_guest_agent"] or _agent(hv))


def ports(hv: Params, place: Place, slots: Slots) -> Argv:
    """The channels to programs in the guest: guest agent and SPICE agent."""
    if not needs_serial_bus(hv):
        return []
    argv = ["-device", option("virtio-serial-pci", id="vserial", **slots.fixed("serial"))]
    if hv["use_guest_agent"]:
        argv += ["-chardev", option("socket", id="qga", path=place.files.relative("qga"), server=True, wait=False),
                 "-device", option("virtserialport", bus="vserial.0", nr=1, chardev="qga",
                                   name="org.qemu.guest_agent.0")]
    if _agent(hv):
        argv += ["-chardev", option("spicevmc", id="vdagent", name="vdagent"),
                 "-device", option("virtserialport", bus="vserial.0", nr=2, chardev="vdagent",
                                   name="com.redhat.spice.0")]
    return argv


def vnc_folder(hv: Params) -> bool:
    return str(hv["vnc_bind_address"]).startswith("/")


def _agent(hv: Params) -> bool:
    return bool(hv["spice_bind"] and hv["spice_use_vdagent"])


def _port(spec: VmSpec) -> int:
    if spec.network_port is None:
        raise HypervisorError(detail=f"guest {spec.name} has no network port for its screen")
    return spec.network_port


def _vnc(spec: VmSpec, hv: Params, place: Place) -> Argv:
    argv: Argv = []
    if vnc_folder(hv):
        listen = f"unix:{PurePosixPath(hv['vnc_bind_address']) / spec.name}.vnc"
    else:
        host = "" if place.bind == "0.0.0.0" else place.bind  # noqa: S104 - the operator asked for it
        host = f"[{host}]" if ":" in host else host
        listen = f"{host}:{_port(spec) - VNC_BASE_PORT}"
    extra: dict[str, object] = {}
    if hv["vnc_tls"]:
        if hv["vnc_x509_path"]:
            credentials = option("tls-creds-x509", id="vnc-tls", endpoint="server", dir=hv["vnc_x509_path"],
                                 verify_peer=bool(hv["vnc_x509_verify"]))
        else:
            credentials = option("tls-creds-anon", id="vnc-tls", endpoint="server")
        argv += ["-object", credentials]
        extra["tls_creds"] = "vnc-tls"
    if hv["vnc_password_file"]:
        extra["password"] = True
    return [*argv, "-vnc", option(listen, **extra)]


def _spice(spec: VmSpec, hv: Params, place: Place) -> Argv:
    if not place.facts.spice:
        raise HypervisorError(detail=f"guest {spec.name}: the emulator of this node has no SPICE; install "
                                     "qemu-system-modules-spice or clear spice_bind")
    tls = bool(hv["spice_use_tls"])
    pem, authority = place.certificates
    values: dict[str, object] = {"tls_port" if tls else "port": _port(spec)}
    if tls:
        values |= {"x509_key_file": pem, "x509_cert_file": pem, "x509_cacert_file": authority,
                   "tls_ciphers": hv["spice_tls_ciphers"]}
    if hv["spice_ip_version"]:
        values[f"ipv{hv['spice_ip_version']}"] = True
    values["disable_ticketing"] = None if hv["spice_password_file"] else True
    for name in ("image_compression", "jpeg_wan_compression", "zlib_glz_wan_compression", "streaming_video"):
        values[name] = hv[f"spice_{name}"] or None
    values["playback_compression"] = bool(hv["spice_playback_compression"])
    values["agent_mouse"] = _agent(hv)
    return ["-spice", option(f"addr={place.bind}", **values)]


def _usb(hv: Params) -> Argv:
    pointer = hv["usb_mouse"] or ("tablet" if hv["vnc_bind_address"] else "")
    wanted = [pointer] if pointer else []
    wanted += [device for device in re.split(r"[\s,]+", hv["usb_devices"]) if device]
    if not wanted:
        return []
    argv = ["-usb"]
    for number, device in enumerate(wanted):
        argv += ["-device", _usb_device(device, number)]
    return argv


def _usb_device(device: str, number: int) -> str:
    name = f"usb-{number}"
    by_id, by_place = _HOST_USB.match(device), _HOST_PLACE.match(device)
    if by_id:
        return option("usb-host", id=name, vendorid=f"0x{by_id[1]}", productid=f"0x{by_id[2]}")
    if by_place:
        return option("usb-host", id=name, hostbus=by_place[1], hostaddr=by_place[2])
    if device in _USB or device.startswith("usb-"):
        return option(_USB.get(device, device), id=name)
    raise HypervisorError(detail=f"'{device}' in usb_devices is no USB device this emulator knows; use "
                                 f"{', '.join(_USB)}, host:VENDOR:PRODUCT or a device name such as usb-hub")


def _sound(hv: Params, slots: Slots) -> Argv:
    if not hv["soundhw"]:
        return []
    card = str(hv["soundhw"]).lower()
    argv = ["-audiodev", "spice,id=sound" if hv["spice_bind"] else "none,id=sound"]
    if card == "hda":
        return [*argv, "-device", option("intel-hda", id="hda", **slots.fixed("sound")),
                "-device", "hda-duplex,bus=hda.0,audiodev=sound"]
    if card not in _SOUND:
        raise HypervisorError(detail=f"'{hv['soundhw']}' in soundhw is no sound card this emulator knows; use hda, "
                                     + ", ".join(sorted(_SOUND)))
    pci = slots.fixed("sound") if card in ("ac97", "es1370") else {}
    return [*argv, "-device", option(_SOUND[card], audiodev="sound", **pci)]
