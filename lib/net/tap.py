# SPDX-License-Identifier: BSD-2-Clause
"""Tap devices: bridged, routed, openvswitch, or set up by the site's own scripts (needs root).

Who configures a tap, the first that is there:
    ETC/kvm-vif-bridge              for every mode
    ETC/network/MODE/up, down       3.2 style, with ACTION
    LIB/kvm-ifup TAP                3.0 style
    LIB/net-common                  3.0 style: shell functions setup_bridge, setup_ovs, setup_route
    built in                        bridged, routed, openvswitch
"""

import fcntl
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from gantry import paths
from gantry.errors import CommandFailed, HypervisorError, WrongInput
from gantry.net import tap_cmd, vlan
from gantry.net.base import Backend, Network
from gantry.objects.vm import VmNic, VmSpec
from gantry.utils import command
from gantry.utils.files import write_atomic

_TUN = "/dev/net/tun"
_TUNSETIFF, _TUNGETFEATURES = 0x400454CA, 0x800454CF
_IFF_TAP, _IFF_NO_PI, _IFF_MULTI_QUEUE, _IFF_VNET_HDR = 0x0002, 0x1000, 0x0100, 0x4000
_TOOL_SECONDS, _SCRIPT_SECONDS = 20.0, 60.0
_MOST_RULES = 64
MODES = ("bridged", "routed", "openvswitch")


class TapNetwork(Network, name="tap"):
    """The name of each tap is kept in RUN/kvm-hypervisor/nic/INSTANCE/N."""

    def prepare(self, spec: VmSpec, nic: VmNic, index: int, *, incoming: bool) -> Backend:
        """The caller closes `fds` once QEMU has them; a tap lives as long as somebody holds one."""
        paravirtual = spec.hvparams.get("nic_type", "paravirtual") == "paravirtual"
        queues = int(spec.hvparams.get("virtio_net_queues") or 1) if paravirtual else 1
        tap, fds = _open_tap(queues, vnet_hdr=paravirtual and bool(spec.hvparams.get("vnet_hdr", True)))
        try:
            if not (incoming and nic.mode == "routed"):
                _configure(spec, nic, index, tap)
            write_atomic(_name_file(spec, index), tap + "\n", mode=0o644)
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        netdev: dict[str, object] = {"type": "tap"}
        if paravirtual and spec.hvparams.get("vhost_net"):
            netdev["vhost"] = True
        return Backend(netdev=netdev, fds=fds, tap=tap)

    def finish(self, spec: VmSpec, nic: VmNic, index: int, tap: str) -> None:
        if nic.mode == "routed":
            _configure(spec, nic, index, tap)

    def down(self, spec: VmSpec, nic: VmNic, index: int, tap: str) -> None:
        script = paths.here().etc / "network" / nic.mode / "down"
        if tap and _executable(script):
            _script(spec, nic, index, tap, [str(script), tap], action="down")
        elif tap and nic.mode == "openvswitch":
            command.run(tap_cmd.switch_port_gone(tap), seconds=_TOOL_SECONDS, may_fail=True)
        elif tap and nic.mode == "routed" and nic.ip:
            _rules_gone(tap, nic.ip)
        file = _name_file(spec, index)
        file.unlink(missing_ok=True)
        if file.parent.is_dir() and not any(file.parent.iterdir()):
            file.parent.rmdir()

    def renumber(self, spec: VmSpec, taps: dict[str, str]) -> None:
        for index, nic in enumerate(spec.nics):
            if taps.get(nic.uuid):
                write_atomic(_name_file(spec, index), taps[nic.uuid] + "\n", mode=0o644)
        folder = _name_file(spec, 0).parent
        for file in folder.glob("*") if folder.is_dir() else ():
            if file.name.isdecimal() and int(file.name) >= len(spec.nics):
                file.unlink(missing_ok=True)

    def verify(self, links: list[tuple[str, str]]) -> list[str]:
        wanted = {link for mode, link in links if mode == "bridged"}
        if not wanted:
            return []
        shown = command.run(tap_cmd.links_show("bridge"), seconds=_TOOL_SECONDS).stdout
        there = {link["ifname"] for link in tap_cmd.parse_links(shown)}
        return [f"missing bridge '{name}'" for name in sorted(wanted - there)]


def _open_tap(queues: int, *, vnet_hdr: bool) -> tuple[str, tuple[int, ...]]:
    """A new tap named by the kernel, and a descriptor for each queue."""
    fds: list[int] = []
    name = b"tap%d"
    try:
        for _ in range(queues):
            fds.append(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
            (features,) = struct.unpack("I", fcntl.ioctl(fds[-1], _TUNGETFEATURES, bytes(4)))
            flags = _IFF_TAP | _IFF_NO_PI | (_IFF_VNET_HDR & features if vnet_hdr else 0)
            flags |= _IFF_MULTI_QUEUE if queues > 1 else 0
            answer = fcntl.ioctl(fds[-1], _TUNSETIFF, struct.pack("16sH22x", name, flags))
            name = answer[:16].rstrip(b"\0")
    except OSError as err:
        for fd in fds:
            os.close(fd)
        raise HypervisorError(detail=f"Failed to allocate a new TAP device: {_TUN}: {err.strerror}; this needs "
                                     "root and the tun module") from err
    return name.decode(), tuple(fds)


def _configure(spec: VmSpec, nic: VmNic, index: int, tap: str) -> None:
    """Run the script that is there, or do it ourselves."""
    here = paths.here()
    everything, of_mode = here.etc / "kvm-vif-bridge", here.etc / "network" / nic.mode / "up"
    if _executable(everything):
        _script(spec, nic, index, tap, [str(everything), tap])
    elif _executable(of_mode):
        _script(spec, nic, index, tap, [str(of_mode), tap], action="up")
    elif nic.mode not in MODES:
        raise _failed(tap, f"mode '{nic.mode}' needs a script {of_mode}")
    else:
        for folder in here.network_libraries:
            if _executable(folder / "kvm-ifup"):
                _script(spec, nic, index, tap, [str(folder / "kvm-ifup"), tap])
                return
            if (folder / "net-common").is_file():
                _script(spec, nic, index, tap, tap_cmd.site_functions(str(folder / "net-common"), tap))
                return
        _built_in(nic, tap)


def _script(spec: VmSpec, nic: VmNic, index: int, tap: str, argv: list[str], *, action: str = "") -> None:
    env = tap_cmd.environment(spec, nic, index, tap, os.environ.get("PATH", command.CLEAN_PATH))
    if action:
        env["ACTION"] = action
    try:
        done = command.run(argv, seconds=_SCRIPT_SECONDS, env=env, may_fail=True)
    except CommandFailed as err:
        raise _failed(tap, str(err)) from err
    if done.status != 0:
        raise _failed(tap, f"exited with exit code {done.status}", (done.stdout + done.stderr).strip())


def _built_in(nic: VmNic, tap: str) -> None:
    try:
        if nic.mode == "bridged":
            _bridged(nic, tap)
        elif nic.mode == "openvswitch":
            _run(tap_cmd.switched(tap, nic.link, vlan.parse(nic.vlan)))
        else:
            _routed(nic, tap)
    except (CommandFailed, WrongInput, OSError) as err:
        raise _failed(tap, str(err)) from err


def _bridged(nic: VmNic, tap: str) -> None:
    found = tap_cmd.parse_links(command.run(tap_cmd.link_show(nic.link), seconds=_TOOL_SECONDS).stdout)
    own = tap_cmd.parse_links(command.run(tap_cmd.link_show(tap), seconds=_TOOL_SECONDS).stdout)
    _run(tap_cmd.bridged(tap, str(own[0]["address"]), found[0]))
    wanted = vlan.parse(nic.vlan)
    if not wanted.all:
        return
    if not tap_cmd.filters_vlans(found[0]):
        raise WrongInput(detail=f"bridge {nic.link} does not filter VLANs, but VLAN {wanted} is asked for")
    veths = [str(link["ifname"]) for link in _links("veth")]
    clash = tap_cmd.vlan_devices_in_use(wanted, _links("vlan"), veths)
    if clash:
        raise WrongInput(detail=f"VLAN {wanted} is used by the devices {', '.join(clash)} already")
    taps = {str(link["ifname"]) for link in _links("tun")}
    ports = [str(link["ifname"]) for link in _links("") if link.get("master") == nic.link]
    _run(tap_cmd.bridge_vlans(tap, wanted, [port for port in ports if port not in taps]))


def _routed(nic: VmNic, tap: str) -> None:
    if not nic.ip:
        raise WrongInput(detail="a routed network interface needs an IP address")
    _run([tap_cmd.link_up(tap)])
    _rules_gone(tap, nic.ip)
    _run(tap_cmd.routed(tap, nic.ip, nic.link))
    for name, value in tap_cmd.routed_settings(tap).items():
        file = Path("/proc/sys/net", name)
        if file.exists() or name.startswith("ipv4"):  # a kernel may be without IPv6
            file.write_text(value)


def _rules_gone(tap: str, ip: str) -> None:
    for _ in range(_MOST_RULES):
        if command.run(tap_cmd.rule_gone(tap, ip), seconds=_TOOL_SECONDS, may_fail=True).status != 0:
            return


def _links(kind: str) -> list[dict[str, object]]:
    argv = tap_cmd.links_show(kind) if kind else ["ip", "-json", "link", "show"]
    return tap_cmd.parse_links(command.run(argv, seconds=_TOOL_SECONDS).stdout)


def _run(commands: Iterable[tap_cmd.Argv]) -> None:
    for argv in commands:
        command.run(argv, seconds=_TOOL_SECONDS)


def _name_file(spec: VmSpec, index: int) -> Path:
    return paths.here().kvm / "nic" / spec.name / str(index)


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _failed(tap: str, reason: str, output: str = "") -> HypervisorError:
    return HypervisorError(detail=f"Failed to configure interface {tap}: {reason}; network configuration script "
                                  f"output: {output}")
