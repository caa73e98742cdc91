# SPDX-License-Identifier: BSD-2-Clause
"""From a VmSpec, and what the node provides, to QEMU's argument list.  Pure."""

import shlex

from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import blockdev, devices, display, hostfacts
from gantry.hypervisor.hv_kvm.blockdev import boots_from
from gantry.hypervisor.hv_kvm.devices import Slots, net_id, nic_id, option
from gantry.hypervisor.hv_kvm.place import Place
from gantry.net.base import Backend
from gantry.objects.base import Params
from gantry.objects.hvparams import DEFAULTS
from gantry.objects.vm import VmNic, VmSpec

Argv = list[str]


def params(spec: VmSpec) -> Params:
    """The effective parameters, those a stored older spec lacks at their defaults."""
    return DEFAULTS["kvm"] | spec.hvparams


_EMULATION = ["-accel", "tcg,tb-size=128", "-global", "migration.store-global-state=off"]
"""Without its state a guest that is stopped for its migration runs when it has arrived, see `migration.py`."""


def arguments(spec: VmSpec, place: Place) -> Argv:
    """The whole command; raises HypervisorError when the parameters cannot be had on such a machine."""
    hv = params(spec)
    slots = devices.slots(spec, first=hv["kvm_pci_reservations"], q35=hostfacts.is_q35(place.machine))
    argv = [hv["kvm_path"], "-name", option(f"guest={devices.escape(spec.name)}", debug_threads=True),
            "-uuid", spec.uuid, "-pidfile", str(place.files.pid), "-nodefaults", "-no-user-config",
            "-msg", "timestamp=on"]
    argv += _machine(spec, hv, place) + _cpu_and_memory(spec, hv) + _confinement(hv, place)
    argv += _control(hv, place)
    for port in slots.ports():
        argv += ["-device", port]
    argv += ["-device", option("virtio-balloon-pci", id="balloon", **slots.fixed("balloon")),
             "-object", "rng-random,id=rng0,filename=/dev/urandom",
             "-device", option("virtio-rng-pci", id="rng", rng="rng0", **slots.fixed("rng"))]
    argv += blockdev.arguments(spec, hv, place, slots)
    for index, nic in enumerate(spec.nics):
        argv += _nic(nic, index, hv, place, slots)
    argv += display.arguments(spec, hv, place, slots) + display.ports(hv, place, slots)
    argv += _kernel(hv) + _life(hv)
    argv += ["-incoming", "defer"] if place.incoming else ["-S"]
    return argv + shlex.split(hv["kvm_extra"])


def accelerator(hv: Params, *, works: bool) -> str:
    """Raises HypervisorError when KVM is asked for and does not work."""
    if hv["kvm_flag"] == "disabled":
        return "tcg"
    if not works and hv["kvm_flag"] == "enabled":
        raise HypervisorError(detail="kvm_flag is enabled, but KVM does not work on this node: /dev/kvm is missing, "
                                     "not ours, or cannot run a guest; clear kvm_flag to allow software emulation")
    return "kvm" if works else "tcg"


def _machine(spec: VmSpec, hv: Params, place: Place) -> Argv:
    kind = accelerator(hv, works=bool(place.facts.kvm))
    return ["-machine", option(place.machine, acpi=None if hv["acpi"] else False, dump_guest_core=False,
                               **blockdev.machine_flash(spec, hv)),
            *(["-accel", "kvm"] if kind == "kvm" else _EMULATION)]


def _cpu_and_memory(spec: VmSpec, hv: Params) -> Argv:
    topology = {name: hv[f"cpu_{name}"] or None for name in ("cores", "threads", "sockets")}
    argv = ["-cpu", hv["cpu_type"]] if hv["cpu_type"] else []
    argv += ["-smp", option(str(spec.vcpus), **topology), "-m", str(spec.memory)]
    if hv["mem_path"]:
        argv += ["-mem-path", hv["mem_path"], "-mem-prealloc"]
    return [*argv, "-rtc", "base=localtime" if hv["use_localtime"] else "base=utc"]


def _confinement(hv: Params, place: Place) -> Argv:
    """Changing the user or root needs privileges that the sandbox would take away before they are used."""
    gives_up = bool(place.run_as or hv["use_chroot"])
    argv = ["-sandbox", option("on", obsolete="deny", elevateprivileges="allow" if gives_up else "deny",
                               spawn="deny", resourcecontrol="deny")]
    argv += ["-runas", place.run_as] if place.run_as else []
    return argv + (["-chroot", str(place.files.chroot)] if hv["use_chroot"] else [])


def _control(hv: Params, place: Place) -> Argv:
    """Monitors for us and for people, the serial port.  What the guest prints is kept while nobody listens."""
    files = place.files
    argv: Argv = []
    for name, mode in (("qmp", "control"), ("monitor", "readline")):
        argv += ["-chardev", option("socket", id=name, path=files.relative(name), server=True, wait=False),
                 "-mon", option(f"chardev={name}", mode=mode)]
    if hv["serial_console"]:
        argv += ["-chardev", option("socket", id="serial0", path=files.relative("serial"), server=True, wait=False,
                                    logfile=str(files.serial_log), logappend=True),
                 "-serial", "chardev:serial0"]
    return argv


def _nic(nic: VmNic, index: int, hv: Params, place: Place, slots: Slots) -> Argv:
    backend = place.nics[nic.uuid]
    netdev = netdev_options(backend, vhost=place.facts.vhost)
    queues = len(backend.fds)
    if queues:
        netdev["fd" if queues == 1 else "fds"] = ":".join(map(str, backend.fds))
    model, values = nic_device(nic, hv, slots, queues=queues, boots=index == 0 and boots_from(hv, "network"))
    return ["-netdev", option(str(backend.netdev["type"]), id=net_id(nic.uuid), **netdev),
            "-device", option(model, **values)]


def netdev_options(backend: Backend, *, vhost: bool) -> dict[str, object]:
    """Options of the host's side of an interface, without its type, id and descriptors."""
    left = {name: value for name, value in backend.netdev.items() if name != "type"}
    if left.get("vhost") and not vhost:
        left.pop("vhost")
    return left


def nic_device(nic: VmNic, hv: Params, slots: Slots, *, queues: int, boots: bool) -> tuple[str, dict[str, object]]:
    """Model and properties of what the guest sees of an interface."""
    model = "virtio-net-pci" if hv["nic_type"] == "paravirtual" else hv["nic_type"]
    where = {} if model == "ne2k_isa" else slots.at(nic.pci)
    values: dict[str, object] = {"id": nic_id(nic.uuid), "netdev": net_id(nic.uuid), "mac": nic.mac, **where}
    if boots:
        values["bootindex"] = 1
    elif where:
        values["romfile"] = ""  # only a card that boots needs its ROM, and Debian has ROMs in another package
    if model == "virtio-net-pci" and queues > 1:
        values |= {"mq": True, "vectors": 2 * queues + 2}
    return model, values


def _kernel(hv: Params) -> Argv:
    if not hv["kernel_path"]:
        return []
    words = [f"root={hv['root_path']}" if hv["root_path"] else "", hv["kernel_args"],
             f"console=ttyS0,{hv['serial_speed']}" if hv["serial_console"] else ""]
    argv = ["-kernel", hv["kernel_path"]]
    argv += ["-initrd", hv["initrd_path"]] if hv["initrd_path"] else []
    return [*argv, "-append", " ".join(word for word in words if word)]


def _life(hv: Params) -> Argv:
    argv = ["-no-reboot"] if hv["reboot_behavior"] == "exit" else []
    return argv + (["-no-shutdown"] if hv["user_shutdown"] else [])
