# SPDX-License-Identifier: BSD-2-Clause
"""Network interfaces that come and go while a guest runs; see `hotplug`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from gantry.errors import Error, HypervisorError
from gantry.hypervisor.hv_kvm import cmdline, hostfacts, hotplug, launch, runtime
from gantry.hypervisor.hv_kvm.blockdev import boots_from
from gantry.hypervisor.hv_kvm.devices import net_id, nic_id
from gantry.hypervisor.hv_kvm.qmp import Qmp
from gantry.hypervisor.hv_kvm.runtime import Runtime
from gantry.net import base as net
from gantry.net.base import Backend
from gantry.objects.vm import DeviceChange, VmNic

_VHOST = "/dev/vhost-net"


def plug(record: Runtime, nic: VmNic, *, index: int) -> None:
    """The caller holds the guest.  When it fails nothing is left."""
    others = tuple(item for item in record.spec.nics if item.uuid != nic.uuid)
    with launch.talk(record) as qmp:
        there = hotplug.plugged(qmp)
        if nic_id(nic.uuid) in there:
            if any(item.uuid == nic.uuid and item != nic for item in record.spec.nics):
                raise HypervisorError(detail=f"guest {record.spec.name} has the interface {nic.uuid} still as it was")
        else:
            hotplug.refuse(record, DeviceChange(nics_added=(nic,), nics_removed=(nic.uuid,)))
            boots = index == 0 and boots_from(cmdline.params(record.spec), "network")
            if boots and any(_boots(qmp, other) for other in others if nic_id(other.uuid) in there):
                raise HypervisorError(detail=f"guest {record.spec.name} boots from another interface, so nic/0 cannot "
                                             "be another while it runs")
            record = drop(qmp, record, nic.uuid)
            record = _plug(qmp, record, nic, index, boots=boots)
    later = hotplug.remembered(record, nics=(*others[:index], nic, *others[index:]))
    net.load().renumber(later.spec, later.taps)


def unplug(record: Runtime, uuid: str) -> None:
    """The caller holds the guest."""
    nic = next((item for item in record.spec.nics if item.uuid == uuid), None)
    hotplug.ask_back(record, nic_id(uuid), f"interface {nic.mac if nic else uuid}")
    with launch.talk(record) as qmp:
        drop(qmp, record, uuid)


def drop(qmp: Qmp, record: Runtime, uuid: str) -> Runtime:
    """Take away the host's side of an interface that the guest no longer has; the new record.  Harmless when gone."""
    with suppress(HypervisorError):
        qmp.execute("netdev_del", id=net_id(uuid))
    index = next((number for number, item in enumerate(record.spec.nics) if item.uuid == uuid), None)
    if uuid in record.taps and index is not None:
        net.load().down(record.spec, record.spec.nics[index], index, record.taps[uuid])
    later = replace(record, taps={name: tap for name, tap in record.taps.items() if name != uuid}, spec=replace(
        record.spec, nics=tuple(item for item in record.spec.nics if item.uuid != uuid)))
    if later != record:
        runtime.save(later)
        net.load().renumber(later.spec, later.taps)
    return later


def _plug(qmp: Qmp, record: Runtime, nic: VmNic, index: int, *, boots: bool) -> Runtime:
    spec, hv = replace(record.spec, nics=(*record.spec.nics, nic)), cmdline.params(record.spec)
    backend = net.load().prepare(spec, nic, index, incoming=False)
    record = replace(record, spec=spec, taps={**record.taps, nic.uuid: backend.tap})
    try:
        runtime.save(record)
        facts = hostfacts.gather(hv["kvm_path"], kvm=False)
        netdev = cmdline.netdev_options(backend, vhost=facts.vhost)
        with _vhost(backend, wanted=bool(netdev.get("vhost"))) as vhost:
            netdev |= _handed(qmp, "fd", backend.fds) | _handed(qmp, "vhostfd", vhost)
            qmp.execute("netdev_add", type=backend.netdev["type"], id=net_id(nic.uuid), **netdev)
        model, values = cmdline.nic_device(nic, hv, hotplug.slots(record, spec, hv), queues=len(backend.fds),
                                           boots=boots)
        qmp.execute("device_add", driver=model, **values)
    except BaseException:
        with suppress(Error):
            drop(qmp, record, nic.uuid)
        raise
    finally:
        for fd in backend.fds:
            os.close(fd)
    return record


def _handed(qmp: Qmp, option: str, fds: tuple[int, ...]) -> dict[str, object]:
    """Hand descriptors to QEMU; the option of a netdev that names them."""
    names = [f"{option}{number}" for number, _ in enumerate(fds)]
    for name, fd in zip(names, fds, strict=True):
        qmp.give(fd, "getfd", fdname=name)
    return {} if not names else {option if len(names) == 1 else f"{option}s": ":".join(names)}


@contextmanager
def _vhost(backend: Backend, *, wanted: bool) -> Iterator[tuple[int, ...]]:
    """A descriptor of the kernel's virtio-net for each queue: a confined QEMU cannot open it."""
    fds = tuple(os.open(_VHOST, os.O_RDWR | os.O_CLOEXEC) for _ in backend.fds if wanted)
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


def _boots(qmp: Qmp, nic: VmNic) -> bool:
    return int(qmp.execute("qom-get", path=f"/machine/peripheral/{nic_id(nic.uuid)}", property="bootindex")) >= 0
