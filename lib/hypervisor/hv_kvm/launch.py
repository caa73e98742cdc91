# SPDX-License-Identifier: BSD-2-Clause
"""Bringing a QEMU up, and clearing away what one leaves."""

import logging
import os
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from stat import S_ISBLK

import psutil

from gantry import paths
from gantry.errors import CommandFailed, Error, HypervisorError
from gantry.hypervisor.hv_kvm import cmdline, files, hostfacts, pinning, process, runtime, security
from gantry.hypervisor.hv_kvm.place import DiskFile, Place
from gantry.hypervisor.hv_kvm.process import ProcessId
from gantry.hypervisor.hv_kvm.qmp import SECONDS, Qmp, monitor
from gantry.hypervisor.hv_kvm.runtime import Phase, Runtime
from gantry.net import base as net
from gantry.net.base import Backend
from gantry.objects.base import Params
from gantry.objects.vm import VmSpec
from gantry.utils import retry
from gantry.utils.clock import PATIENCE

_log = logging.getLogger(__name__)

READY_SECONDS = 40.0 * PATIENCE
"""How long QEMU may take until its monitor answers: memory of huge pages is touched before."""


def launch(spec: VmSpec, disks: dict[str, str], *, incoming: bool) -> Runtime:
    """Start QEMU up to its monitor, the guest not running yet.  The caller holds the guest.

    On any failure nothing is left, and the error has QEMU's last words.
    """
    hv = cmdline.params(spec)
    own = files.of(spec.uuid)
    facts = hostfacts.gather(hv["kvm_path"], kvm=hv["kvm_flag"] != "disabled", again=hv["kvm_flag"] == "enabled")
    record = Runtime(spec=spec, phase=Phase.INCOMING if incoming else Phase.STARTING,
                     machine=hostfacts.machine(hv["machine_version"], spec.machine, facts))
    own.make()
    own.name_log(spec.name)
    backends: dict[str, Backend] = {}
    try:
        runas, uid = security.run_as(hv, taken=_uids())
        record = replace(record, uid=uid)
        runtime.save(record)
        for index, nic in enumerate(spec.nics):
            backends[nic.uuid] = net.load().prepare(spec, nic, index, incoming=incoming)
            record = replace(record, taps={**record.taps, nic.uuid: backends[nic.uuid].tap})
            runtime.save(record)
        place = Place(facts=facts, files=own, machine=record.machine, nics=backends, incoming=incoming,
                      disks={disk.disk.uuid: examine(spec, disks, disk.disk.uuid) for disk in spec.disks},
                      run_as=runas, bind=_bind(hv), certificates=_certificates())
        record = _run(record, place)
    except BaseException as err:
        clear(record)
        if isinstance(err, CommandFailed):
            raise HypervisorError(detail=f"guest {spec.name} cannot be started: {err}") from err
        raise
    finally:
        for backend in backends.values():
            _close(backend)
    return record


def begin(record: Runtime, *, paused: bool) -> Runtime:
    """Let a launched guest run (or leave it before its first instruction); clears it away when that fails."""
    hv = cmdline.params(record.spec)
    try:
        with talk(record) as qmp:
            prepare(qmp, record, hv)
            if not paused:
                qmp.execute("cont")
                status = qmp.execute("query-status")["status"]
                if status != "running":
                    raise HypervisorError(detail=f"guest {record.spec.name} does not run after its start, it is "
                                                 f"{status}: {files.of(record.spec.uuid).said()}")
        record = replace(record, phase=Phase.RUNNING)
        runtime.save(record)
    except BaseException:
        clear(record)
        raise
    return record


def prepare(qmp: Qmp, record: Runtime, hv: Params) -> None:
    """What must be set before the first instruction: passwords of the screen, pinning."""
    for protocol in ("spice", "vnc"):
        file = hv[f"{protocol}_password_file"]
        if file and hv["spice_bind" if protocol == "spice" else "vnc_bind_address"]:
            try:
                password = Path(file).read_text().strip()
            except OSError as err:
                raise HypervisorError(detail=f"guest {record.spec.name}: {protocol}_password_file {file} cannot be "
                                             f"read: {err.strerror}") from err
            qmp.execute("set_password", protocol=protocol, password=password)
    if record.process is not None:
        pinning.apply(qmp, record.process.pid, hv["cpu_mask"], record.spec.vcpus)


def talk(record: Runtime, *, seconds: float = SECONDS) -> AbstractContextManager[Qmp]:
    return monitor(files.of(record.spec.uuid).socket("qmp"), record.spec.name, seconds=seconds)


def find(record: Runtime) -> ProcessId | None:
    """The living process of a guest, also where its start was cut off."""
    if record.process is not None:
        return record.process if process.lives(record.process) else None
    return process.find(files.of(record.spec.uuid).pid)


def clear(record: Runtime) -> None:
    """End the process if it lives; remove sockets, NIC configuration and the record.  Harmless when repeated."""
    process.end(find(record))
    for index, nic in enumerate(record.spec.nics):
        if nic.uuid in record.taps:
            try:
                net.load().down(record.spec, nic, index, record.taps[nic.uuid])
            except Error as err:
                _log.warning("guest %s: NIC %d was not taken down: %s", record.spec.name, index, err)
    files.of(record.spec.uuid).remove()
    runtime.forget(record.spec.uuid)


def examine(spec: VmSpec, disks: dict[str, str], uuid: str) -> DiskFile:
    """What kind of file a disk is; raises HypervisorError when it is not there."""
    path = disks.get(uuid, "")
    try:
        block = S_ISBLK(os.stat(path).st_mode)
    except OSError as err:
        raise HypervisorError(detail=f"guest {spec.name}: disk {uuid} cannot be used: {path or 'no path'}: "
                                     f"{err.strerror}") from err
    direct = True
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        direct = False
    return DiskFile(path=path, block=block, direct=direct)


def _run(record: Runtime, place: Place) -> Runtime:
    argv = cmdline.arguments(record.spec, place)
    if cmdline.params(record.spec)["use_chroot"]:
        place.files.chroot.mkdir(parents=True, exist_ok=True)
    keep = [fd for backend in place.nics.values() for fd in backend.fds]
    own = process.start(argv, log=place.files.emulator_log, cwd=place.files.folder, keep_fds=keep)
    record = replace(record, process=own)
    runtime.save(record)
    ended = False

    def settled() -> bool:
        nonlocal ended
        ended = not process.lives(own)
        return ended or _answers(record)

    settled_in_time = retry.wait_for(settled, seconds=READY_SECONDS, waits=retry.growing(0.01, most=0.2))
    if settled_in_time and not ended and not process.wait(own, 0.0):
        return record
    raise HypervisorError(detail=f"guest {record.spec.name} cannot be started: "
                                 f"{place.files.said() or 'QEMU gave no reason'}")


def _answers(record: Runtime) -> bool:
    """Whether QEMU is past its initialisation: its socket is there earlier."""
    if not files.of(record.spec.uuid).socket("qmp").exists():
        return False
    with suppress(HypervisorError), talk(record, seconds=READY_SECONDS) as qmp:
        qmp.execute("query-status")
        return True
    return False


def _uids() -> set[int]:
    """Users that guests of this node have taken from the pool."""
    found = set()
    for guest in runtime.known():
        with suppress(Error):
            other = runtime.load(guest)
            if other is not None and other.uid is not None:
                found.add(other.uid)
    return found


def _bind(hv: Params) -> str:
    """The address VNC or SPICE listens on: given, or the first of the interface given."""
    wanted = str(hv["spice_bind"] or hv["vnc_bind_address"])
    if not wanted or wanted.startswith("/"):
        return ""
    found = psutil.net_if_addrs().get(wanted)
    if found is None:
        return wanted
    version = hv["spice_ip_version"] if hv["spice_bind"] else 0
    families = {4: ("AF_INET",), 6: ("AF_INET6",)}.get(version, ("AF_INET", "AF_INET6"))
    for family in families:
        for address in found:
            if address.family.name == family:
                return str(address.address).partition("%")[0]
    raise HypervisorError(detail=f"interface {wanted} has no address to listen on")


def _certificates() -> tuple[str, str]:
    here = paths.here()
    return str(here.spice_certificate), str(here.spice_ca_certificate)


def _close(backend: Backend) -> None:
    for fd in backend.fds:
        with suppress(OSError):
            os.close(fd)
