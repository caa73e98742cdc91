# SPDX-License-Identifier: BSD-2-Clause
"""What is running here: the records, checked against the processes."""

import logging
from contextlib import suppress
from dataclasses import replace

from gantry.errors import ConfigurationError, HypervisorError
from gantry.hypervisor.hv_kvm import files, launch, process, runtime
from gantry.hypervisor.hv_kvm.process import ProcessId
from gantry.hypervisor.hv_kvm.qmp import Qmp, monitor
from gantry.hypervisor.hv_kvm.runtime import Phase, Runtime
from gantry.objects.vm import VmStatus
from gantry.utils.clock import PATIENCE

_log = logging.getLogger(__name__)
QUICK = 3.0 * PATIENCE
"""Seconds a guest's QEMU may take to answer before it is taken to be busy."""

GONE = frozenset({"postmigrate", "inmigrate"})
"""States of a process whose guest runs elsewhere."""


def everything() -> list[VmStatus]:
    """All guests that run here; what cannot be read is found by its process and logged."""
    process.reap()
    here = {file: found for found, file in process.started()}
    reports = []
    for guest in runtime.known():
        own = here.pop(str(files.of(guest).pid), None)
        try:
            record = runtime.load(guest)
        except ConfigurationError as err:
            _log.error("the record of a guest is damaged: %s", err)
            reports.append(unrecorded(guest, own))
        else:
            reports.append(report(record, own) if record else None)
    folder = str(files.of("").pid.parent)
    for file, found in here.items():
        if file.rpartition("/")[0] == folder:
            reports.append(unrecorded(file.rpartition("/")[2], found))
    return [item for item in reports if item is not None]


def report(record: Runtime, own: ProcessId | None) -> VmStatus | None:
    """A guest with its record; None when it does not run here."""
    files.of(record.spec.uuid).trim()
    if record.phase is Phase.USER_DOWN:
        return of(record, "user_down")
    if own is None:
        return None
    state, memory = "running", record.spec.memory
    with suppress(HypervisorError), launch.talk(record, seconds=QUICK) as qmp:
        status = qmp.execute("query-status")["status"]
        if status in GONE or (status == "prelaunch" and record.phase is Phase.STARTING):
            return None
        if status == "shutdown":
            return _powered_off(record, qmp)
        state = "running" if status in ("running", "finish-migrate") else "paused"
        memory = balloon_size(qmp, memory)
    return of(record, state, memory=memory, own=own)


def of(record: Runtime, state: str, *, memory: int = 0, own: ProcessId | None = None) -> VmStatus:
    spec = record.spec
    return VmStatus(name=spec.name, uuid=spec.uuid, hypervisor="kvm", state=state, memory=memory, vcpus=spec.vcpus,
                    cpu_seconds=process.cpu_seconds(own) if own else 0.0, owner_epoch=spec.owner_epoch,
                    machine=record.machine)


def balloon_size(qmp: Qmp, memory: int) -> int:
    """MiB the guest has at present."""
    try:
        return int(qmp.execute("query-balloon")["actual"]) >> 20
    except HypervisorError:
        return memory


def unrecorded(guest: str, own: ProcessId | None) -> VmStatus | None:
    """A guest whose record is lost, from its command line; None when it does not run."""
    if own is None:
        return None
    argv = process.arguments(own.pid)
    values = {name: argv[index + 1] for index, name in enumerate(argv[:-1]) if name in ("-name", "-m", "-smp")}
    name = values.get("-name", guest).partition(",")[0].removeprefix("guest=")
    state = "running"
    with suppress(HypervisorError), monitor(files.of(guest).socket("qmp"), name, seconds=QUICK) as qmp:
        state = "running" if qmp.execute("query-status")["running"] else "paused"
    return VmStatus(name=name, uuid=guest, hypervisor="kvm", state=state, memory=_number(values.get("-m", "")),
                    vcpus=_number(values.get("-smp", "")), cpu_seconds=process.cpu_seconds(own))


def _number(text: str) -> int:
    digits = text.partition(",")[0]
    return int(digits) if digits.isdecimal() else 0


def _powered_off(record: Runtime, qmp: Qmp) -> VmStatus | None:
    """The guest switched itself off and its QEMU waits: keep the fact, free the memory."""
    runtime.save(replace(record, phase=Phase.USER_DOWN))
    with suppress(HypervisorError):
        qmp.execute("quit")
    return of(record, "user_down")
