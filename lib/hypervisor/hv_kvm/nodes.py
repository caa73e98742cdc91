# SPDX-License-Identifier: BSD-2-Clause
"""Block nodes of guests that run: which one a disk is on, and bringing and taking away others.

A disk that was there at the start is on the nodes named after it.  One that came later, or took its place, is on nodes
whose names tell where it lies as well: QEMU itself may know its file by a descriptor only.
"""

import base64
import hashlib
import os
from contextlib import suppress
from typing import Any

from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import blockdev, cmdline, launch
from gantry.hypervisor.hv_kvm.devices import disk_id, disk_node, file_node, short
from gantry.hypervisor.hv_kvm.qmp import Qmp
from gantry.hypervisor.hv_kvm.runtime import Runtime
from gantry.objects.base import Params
from gantry.objects.instance import Disk
from gantry.utils import retry
from gantry.utils.clock import PATIENCE

DROP_SECONDS = 5.0 * PATIENCE
"""QEMU lets go of the nodes of a device a moment after the guest did."""


def names(uuid: str, path: str) -> tuple[str, str]:
    """(upper, lower) node of a disk at this place that was not there at the start."""
    place = base64.urlsafe_b64encode(hashlib.sha256(path.encode()).digest()).decode()[:6]
    return f"u-{short(uuid)}.{place}", f"l-{short(uuid)}.{place}"


def used(qmp: Qmp, uuid: str) -> str:
    """The node that the guest's disk is on (the filter, while it is copied); empty when it has no such disk."""
    for drive in qmp.execute("query-block"):
        if disk_id(uuid) in str(drive.get("qdev", "")).split("/"):
            return str(drive.get("inserted", {}).get("node-name", ""))
    return ""


def files(qmp: Qmp) -> dict[str, str]:
    """All nodes, with the file or device each ends in."""
    return {str(node["node-name"]): str(node.get("file", ""))
            for node in qmp.execute("query-named-block-nodes", flat=True)}


def is_on(qmp: Qmp, uuid: str, path: str) -> bool:
    """Whether the guest's disk is the one at this place."""
    node = used(qmp, uuid)
    return node == names(uuid, path)[0] or (node == disk_node(uuid) and files(qmp).get(node) == path)


def add(qmp: Qmp, record: Runtime, disk: Disk, path: str) -> str:
    """Open the disk in QEMU; the name of its upper node.  Harmless when it is open."""
    upper, lower = names(disk.uuid, path)
    file = launch.examine(record.spec, {disk.uuid: path}, disk.uuid)
    below, above = blockdev.node_options(disk, file, cmdline.params(record.spec), upper=upper, lower=lower)
    open_file(qmp, record, below)
    if upper not in files(qmp):
        qmp.execute("blockdev-add", **above)
    return upper


def open_file(qmp: Qmp, record: Runtime, options: dict[str, Any]) -> None:
    """Add a lower node, unless it is there.  A confined QEMU is handed the file: it cannot reach it by its name."""
    if options["node-name"] in files(qmp):
        return
    if not _confined(cmdline.params(record.spec)):
        qmp.execute("blockdev-add", **options)
        return
    fd = os.open(options["filename"], os.O_RDONLY if options["read-only"] else os.O_RDWR)
    try:
        number = qmp.give(fd, "add-fd", opaque=options["node-name"])["fdset-id"]
    finally:
        os.close(fd)
    try:
        qmp.execute("blockdev-add", **options | {"filename": f"/dev/fdset/{number}"})
    except HypervisorError:
        qmp.execute("remove-fd", fdset_id=number)
        raise


def drop(qmp: Qmp, uuid: str, *, keep: str = "") -> None:
    """Close all nodes of this disk but the upper one called `keep` and what lies below it.

    Raises HypervisorError when one is in use.
    """
    own = [name for name in files(qmp) if name.startswith(f"u-{short(uuid)}.")]
    for upper in [disk_node(uuid), *own]:
        if upper != keep:
            remove(qmp, upper)
            remove(qmp, file_node(uuid) if upper == disk_node(uuid) else f"l-{upper[2:]}")


def remove(qmp: Qmp, name: str) -> None:
    """Close one node; harmless when it is gone."""
    def gone() -> bool:
        if name not in files(qmp):
            return True
        with suppress(HypervisorError):
            qmp.execute("blockdev-del", node_name=name)
            return True
        return False
    if not retry.wait_for(gone, seconds=DROP_SECONDS, waits=retry.growing(0.01, most=0.2)):
        raise HypervisorError(detail=f"QEMU does not close the block node {name}, something uses it")
    for given in qmp.execute("query-fdsets"):
        if any(fd.get("opaque") == name for fd in given["fds"]):
            qmp.execute("remove-fd", fdset_id=given["fdset-id"])


def _confined(hv: Params) -> bool:
    return bool(hv["use_chroot"] or hv["security_model"] != "none")
