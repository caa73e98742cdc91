# SPDX-License-Identifier: BSD-2-Clause
"""The disks of a guest that moves to a node which has not got them.

The QEMU that waits on the target serves them over NBD, each by a block node of its own beside the one that the guest
will use: so nothing must be taken away at the moment the guest arrives.  The source copies them, then each write too,
until the guest has stopped to be handed over; what it has written is flushed on both sides then.

Who may write is known by the key of this one move (`movekey`).
"""

import logging
import socket
from contextlib import suppress
from dataclasses import replace

from gantry.errors import HypervisorError
from gantry.hypervisor.base import Progress
from gantry.hypervisor.hv_kvm import blockdev, cmdline, copying, files, launch, movekey, nodes, runtime
from gantry.hypervisor.hv_kvm.devices import file_node, short
from gantry.hypervisor.hv_kvm.qmp import Qmp
from gantry.hypervisor.hv_kvm.runtime import Runtime
from gantry.objects.vm import DiskTarget
from gantry.utils.clock import PATIENCE

_log = logging.getLogger(__name__)

PORTS = 100
"""How many ports from migration_port on are tried; the guest's memory comes in through one of the same."""
CONNECT_SECONDS = 10.0 * PATIENCE
LOST_SECONDS = 20.0 * PATIENCE
"""How long a target may leave what was sent to it unacknowledged."""


# --- the target ---------------------------------------------------------------------------------------------


def receive(record: Runtime, address: str) -> DiskTarget:
    """Serve the disks of a guest that is waited for.  The caller holds it."""
    if record.inbox is not None:
        return record.inbox
    with _listening(address, int(cmdline.params(record.spec)["migration_port"])) as door:
        inbox = DiskTarget(host=address, port=door.getsockname()[1], key=record.key)
        with launch.talk(record) as qmp:
            _close_inbox(qmp, record)
            qmp.give(door.fileno(), "getfd", fdname="door")
            qmp.execute("nbd-server-start", addr={"type": "fd", "data": {"str": "door"}}, tls_creds=movekey.NAME)
            for item in record.spec.disks:
                _export(qmp, record, item.disk.uuid)
    runtime.save(replace(record, inbox=inbox))
    return inbox


def close_inbox(record: Runtime) -> Runtime:
    """The guest is here: nobody writes its disks from outside any more."""
    if record.inbox is None:
        return record
    try:
        with launch.talk(record) as qmp:
            _close_inbox(qmp, record)
    except HypervisorError as err:
        _log.warning("guest %s: the way in for its disks stays open until its next start: %s", record.spec.name, err)
        return record
    return replace(record, inbox=None)


def _export(qmp: Qmp, record: Runtime, uuid: str) -> None:
    """A way to the disk that is not the guest's own.  It takes no locks: the guest's, which come later, tell others
    that the disk is in use."""
    disk = next(item.disk for item in record.spec.disks if item.disk.uuid == uuid)
    path = nodes.files(qmp)[file_node(uuid)]
    sparse = disk.params.get("preallocation", "off") == "off"  # what is empty takes no room, unless that is wanted
    common = {"locking": "off", "read-only": False, "discard": "unmap" if sparse else "ignore"}
    file = launch.examine(record.spec, {uuid: path}, uuid)
    options = blockdev.file_options(disk, file, cmdline.params(record.spec), node=_inbox_file(uuid))
    nodes.open_file(qmp, record, options | common)
    qmp.execute("blockdev-add", driver="raw", node_name=_inbox_node(uuid), file=_inbox_file(uuid),
                discard=common["discard"])
    qmp.execute("block-export-add", type="nbd", id=_inbox_node(uuid), node_name=_inbox_node(uuid), name=uuid,
                writable=True)


def _close_inbox(qmp: Qmp, record: Runtime) -> None:
    there = {item["id"] for item in qmp.execute("query-block-exports")}
    for item in record.spec.disks:
        name = _inbox_node(item.disk.uuid)
        if name in there:
            qmp.execute("block-export-del", id=name, mode="hard")
        nodes.remove(qmp, name)
        nodes.remove(qmp, _inbox_file(item.disk.uuid))
    with suppress(HypervisorError):  # it is not running
        qmp.execute("nbd-server-stop")


def _listening(address: str, first: int) -> socket.socket:
    """A socket on the first free port of the range for migrations."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in range(first, min(first + PORTS, 65536)):
        with suppress(OSError):  # a port may be lost to another one between its two system calls
            return socket.create_server((address, port), family=family, backlog=16)
    raise HypervisorError(detail=f"none of the {PORTS} ports from {first} on can be listened on at {address}")


# --- the source ---------------------------------------------------------------------------------------------


def mirror(record: Runtime, target: DiskTarget, *, bandwidth: int, progress: Progress) -> None:
    """Copy all disks; return when both sides are alike and stay so."""
    if not record.spec.disks:
        return
    abandon(record)
    uuids = tuple(item.disk.uuid for item in record.spec.disks)
    with files.held(record.spec.uuid):
        record = replace(runtime.load(record.spec.uuid) or record, mirrored=uuids)
        runtime.save(record)
    try:
        with launch.talk(record) as qmp:
            movekey.put(qmp, record, "client", target.key)
            for uuid in uuids:
                _connect(qmp, record, target, uuid)
                copying.begin(qmp, _peer(uuid), nodes.used(qmp, uuid), _peer(uuid), rate=bandwidth << 20)
        copying.wait_ready(record, [_peer(uuid) for uuid in uuids], progress)
    except BaseException:
        with suppress(HypervisorError):
            abandon(record)
        raise


def _connect(qmp: Qmp, record: Runtime, target: DiskTarget, uuid: str) -> None:
    """The guest's writes wait for the other side, so a node that vanishes must be missed before long."""
    try:
        with socket.create_connection((target.host, target.port), timeout=CONNECT_SECONDS) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(LOST_SECONDS * 1000))
            link.settimeout(None)
            qmp.give(link.fileno(), "getfd", fdname=_peer(uuid))
    except OSError as err:
        raise HypervisorError(detail=f"guest {record.spec.name}: its disks cannot be copied, nobody answers at "
                                     f"{target.host} port {target.port}: {err.strerror or err}") from err
    qmp.execute("blockdev-add", driver="nbd", node_name=_peer(uuid), export=uuid, tls_creds=movekey.NAME,
                discard="unmap", server={"type": "fd", "str": _peer(uuid)})


def require_mirrored(qmp: Qmp, record: Runtime) -> None:
    """Raises HypervisorError unless the target has everything that the guest has written."""
    found = copying.jobs(qmp)
    for uuid in record.mirrored:
        if copying.require(record, found, _peer(uuid)).state != "ready":
            raise HypervisorError(detail=f"guest {record.spec.name}: its disk {uuid} is not copied yet")


def hand_over(qmp: Qmp, record: Runtime) -> None:
    """End the copying while the guest stands still, its writes flushed.  Raises when a disk is not alike."""
    found = copying.jobs(qmp)
    for uuid in record.mirrored:
        job = copying.require(record, found, _peer(uuid))
        if job.state != "concluded":
            copying.end(qmp, record, job.name, "block-job-cancel", device=job.name)
    for uuid in record.mirrored:
        nodes.remove(qmp, _peer(uuid))


def abandon(record: Runtime) -> None:
    """End all copying, whatever it does; the guest stays on its disks.  Harmless when there is none."""
    with launch.talk(record, seconds=copying.END_SECONDS) as qmp:
        for uuid in record.mirrored:
            with suppress(HypervisorError):  # it is not there
                qmp.execute("yank", instances=[{"type": "block-node", "node-name": _peer(uuid)}])
            copying.abandon(qmp, _peer(uuid))
        for uuid in record.mirrored:
            nodes.remove(qmp, _peer(uuid))
        movekey.forget(qmp, record)
    if record.mirrored:
        with files.held(record.spec.uuid):
            runtime.save(replace(runtime.load(record.spec.uuid) or record, mirrored=()))


# --- both ---------------------------------------------------------------------------------------------------


def _inbox_node(uuid: str) -> str:
    return f"n-{short(uuid)}"


def _inbox_file(uuid: str) -> str:
    return f"i-{short(uuid)}"


def _peer(uuid: str) -> str:
    """The node of the other side's disk, and the job that writes to it."""
    return f"p-{short(uuid)}"
