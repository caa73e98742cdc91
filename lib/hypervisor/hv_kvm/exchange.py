# SPDX-License-Identifier: BSD-2-Clause
"""Exchanging the disk under a running guest for another one.

The new one is filled while the guest goes on.  Then the guest stands still for some milliseconds, in which three things
happen: what it has written is flushed to both disks, the new one is recorded as the one that counts, and QEMU goes over
to it.  So whenever everything is cut off, the disk on record is complete: until then the guest has written to the old
one whatever it wrote, and while it stands still both are the same.
"""

from dataclasses import replace

from gantry.errors import HypervisorError
from gantry.hypervisor import exchanged
from gantry.hypervisor.base import Progress
from gantry.hypervisor.hv_kvm import copying, files, hotplug, launch, nodes, runtime
from gantry.hypervisor.hv_kvm.devices import short
from gantry.hypervisor.hv_kvm.qmp import Qmp
from gantry.hypervisor.hv_kvm.runtime import Pivot, Runtime
from gantry.objects.instance import Disk
from gantry.utils import faults
from gantry.utils.clock import PATIENCE

FLUSH_SECONDS = 120.0 * PATIENCE
"""How long the disks may take to write out what they hold."""


def exchange(record: Runtime, new: Disk, path: str, progress: Progress) -> None:
    """Let the guest use `new`, with all that its disk of that UUID holds."""
    guest, job = record.spec.uuid, nodes.names(new.uuid, path)[0]
    if not any(item.disk.uuid == new.uuid for item in record.spec.disks):
        raise HypervisorError(detail=f"guest {record.spec.name} has no disk {new.uuid}")
    with launch.talk(record) as qmp:
        goes_on = record.pivot is None and job in copying.jobs(qmp)
    if not goes_on and settled(record, new.uuid) == job:
        return
    try:
        if not goes_on:
            with launch.talk(record) as qmp:
                source = nodes.used(qmp, new.uuid)
                if not source:
                    raise HypervisorError(detail=f"guest {record.spec.name} cannot exchange disk {new.uuid}: it is of "
                                                 "a type that stays while it runs")
                if nodes.is_on(qmp, new.uuid, path):
                    return
                writable = replace(new, mode="rw")  # for us, whatever the guest may do
                copying.begin(qmp, job, source, nodes.add(qmp, record, writable, path))
        faults.point("exchange:begun")
        copying.wait_ready(record, [job], progress)
        faults.point("exchange:copied")
        with files.held(guest), launch.talk(record, seconds=FLUSH_SECONDS) as qmp:
            _go_over(qmp, _stored(record), new, job)
    finally:
        settled(record, new.uuid)


def settled(record: Runtime, uuid: str) -> str:
    """End whatever is left of an exchange: the guest goes on with what it uses, and the record says what that is.

    The node of the disk it uses.
    """
    with files.held(record.spec.uuid), launch.talk(record) as qmp:
        for job in copying.jobs(qmp):
            if job.startswith(f"u-{short(uuid)}."):
                copying.abandon(qmp, job)
        record, node = _stored(record), nodes.used(qmp, uuid)
        pivot = record.pivot
        if pivot is not None and pivot.old.uuid == uuid:
            if node != pivot.node:
                record = _with(record, pivot.old)
                exchanged.remember(pivot.old)
            if pivot.runs:
                qmp.execute("cont")
            runtime.save(replace(record, pivot=None))
        if node:
            nodes.drop(qmp, uuid, keep=node)
    return node


def _go_over(qmp: Qmp, record: Runtime, new: Disk, job: str) -> None:
    old = next(item.disk for item in record.spec.disks if item.disk.uuid == new.uuid)
    pivot = Pivot(old=old, node=job, runs=bool(qmp.execute("query-status")["running"]))
    record = replace(record, pivot=pivot)
    runtime.save(record)
    qmp.execute("stop")  # QEMU flushes all disks with it, also when the guest stood still before
    faults.point("exchange:halted")
    copying.require(record, copying.jobs(qmp), job)
    exchanged.remember(new, instead=old)
    _with(record, new)
    faults.point("exchange:recorded")
    copying.end(qmp, record, job, "job-complete", id=job)
    faults.point("exchange:over")


def _with(record: Runtime, disk: Disk) -> Runtime:
    """The record with another disk of this UUID, stored."""
    return hotplug.remembered(record, disks=tuple(
        replace(item, disk=disk) if item.disk.uuid == disk.uuid else item for item in record.spec.disks))


def _stored(record: Runtime) -> Runtime:
    return runtime.load(record.spec.uuid) or record
