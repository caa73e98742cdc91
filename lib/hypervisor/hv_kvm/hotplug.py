# SPDX-License-Identifier: BSD-2-Clause
"""Disks that come and go while a guest runs; whether devices can; and what disks and interfaces have in common.

What the guest has is asked of QEMU, never concluded.  The spec on record follows it: the target of a later migration is
made from the spec, and must have the same devices at the same places.  A device is let go of by the guest's own
operating system: one that has none, or is busy, does not.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import blockdev, cmdline, devices, hostfacts, launch, nodes, runtime
from gantry.hypervisor.hv_kvm.devices import FIXED, Slots, disk_id, nic_id
from gantry.hypervisor.hv_kvm.qmp import Qmp
from gantry.hypervisor.hv_kvm.runtime import Runtime
from gantry.objects.base import Params
from gantry.objects.vm import DeviceChange, VmDisk, VmSpec
from gantry.utils.clock import PATIENCE, SYSTEM

UNPLUG_SECONDS = 30.0 * PATIENCE
"""How long a guest is waited for to let go of a device."""
AGAIN_SECONDS = 8.0 * PATIENCE
"""How often it is asked: one that boots does not hear the first time.  On PCI Express asking is pressing a button, and
the guest waits 5 s for a second press, which takes the first one back."""
_UNDER_WAY = ("in the process of unplug", "guest is busy")
"""What QEMU says when the guest has been asked and has not answered yet."""

_Item = TypeVar("_Item")


# --- whether it can be done ---------------------------------------------------------------------------------


def obstacle(record: Runtime, change: DeviceChange) -> str:
    """Why the guest cannot get and lose these devices while it runs; empty when it can."""
    spec, hv = record.spec, cmdline.params(record.spec)
    after = changed(spec, change)
    why = _kinds(hv, change) or _places(record, after, hv) or _boot(spec, after, hv)
    return f"guest {spec.name}: {why}" if why else ""


def refuse(record: Runtime, change: DeviceChange) -> None:
    why = obstacle(record, change)
    if why:
        raise HypervisorError(detail=why)


def changed(spec: VmSpec, change: DeviceChange) -> VmSpec:
    """`spec` after the change.  A device that is exchanged keeps its place in the order, new ones come last."""
    return replace(
        spec, disks=_merged(spec.disks, change.disks_removed, change.disks_added, lambda item: item.disk.uuid),
        nics=_merged(spec.nics, change.nics_removed, change.nics_added, lambda item: item.uuid))


def _merged(old: tuple[_Item, ...], removed: tuple[str, ...], added: tuple[_Item, ...],
            uuid: Callable[[_Item], str]) -> tuple[_Item, ...]:
    fresh = {uuid(item): item for item in added}
    kept = [fresh.pop(uuid(item), item) for item in old if uuid(item) in fresh or uuid(item) not in removed]
    return (*kept, *fresh.values())


def _kinds(hv: Params, change: DeviceChange) -> str:
    if not hv["acpi"]:
        return "without acpi its devices cannot be changed while it runs"
    disks, nics = change.disks_added or change.disks_removed, change.nics_added or change.nics_removed
    return (disks and _fixed_disks(hv)) or (nics and _fixed_nics(hv)) or ""


def _fixed_disks(hv: Params) -> str:
    kind, controller = hv["disk_type"], hv["scsi_controller_type"]
    if kind != "paravirtual" and kind not in blockdev.SCSI_TYPES:
        return f"disks of type {kind} cannot be changed while it runs, those of type paravirtual or scsi can"
    if kind in blockdev.SCSI_TYPES and controller != "virtio-scsi-pci":
        return f"disks on the controller {controller} cannot be changed while it runs"
    return ""


def _fixed_nics(hv: Params) -> str:
    return "interfaces of type ne2k_isa cannot be changed while it runs" if hv["nic_type"] == "ne2k_isa" else ""


def _places(record: Runtime, after: VmSpec, hv: Params) -> str:
    """The devices that every guest has must stay where they are, or it could not be migrated any more."""
    try:
        old, new = slots(record, record.spec, hv), slots(record, after, hv)
        moved = [name for name in FIXED if old.fixed(name) != new.fixed(name)]
    except HypervisorError as err:
        return str(err.facts.get("detail", err))
    if moved or old.ports() != new.ports():
        return "a PCI slot of the emulator's part, below kvm_pci_reservations, is given or taken while it runs"
    return ""


def _boot(spec: VmSpec, after: VmSpec, hv: Params) -> str:
    """A card that the guest may boot from has a ROM, which the others lack."""
    first = [item.nics[0].uuid for item in (spec, after) if item.nics]
    if blockdev.boots_from(hv, "network") and len(set(first)) > 1:
        return "it boots from the network, so its first interface stays while it runs"
    return ""


def slots(record: Runtime, spec: VmSpec, hv: Params) -> Slots:
    return devices.slots(spec, first=hv["kvm_pci_reservations"], q35=hostfacts.is_q35(record.machine))


# --- what it has --------------------------------------------------------------------------------------------


def plugged(qmp: Qmp) -> set[str]:
    """Ids of all devices the guest has."""
    return {str(child["name"]) for child in qmp.execute("qom-list", path="/machine/peripheral")}


def settled(record: Runtime, drop_nic: Callable[[Qmp, Runtime, str], Runtime]) -> Runtime:
    """The record without devices that the guest let go of when nobody waited for it any more.  The caller holds it."""
    with launch.talk(record) as qmp:
        there = plugged(qmp)
        hv = cmdline.params(record.spec)
        for disk in record.spec.disks:
            if not _fixed_disks(hv) and disk_id(disk.disk.uuid) not in there:
                nodes.drop(qmp, disk.disk.uuid)
                record = without_disk(record, disk.disk.uuid)
        for nic in record.spec.nics:
            if not _fixed_nics(hv) and nic_id(nic.uuid) not in there:
                record = drop_nic(qmp, record, nic.uuid)
    return record


def without_disk(record: Runtime, uuid: str) -> Runtime:
    return remembered(record, disks=tuple(item for item in record.spec.disks if item.disk.uuid != uuid))


def remembered(record: Runtime, **fields: tuple[object, ...]) -> Runtime:
    """The record with other devices in its spec, stored."""
    later = replace(record, spec=replace(record.spec, **fields))  # type: ignore[arg-type]  # disks or nics
    if later != record:
        runtime.save(later)
    return later


def ask_back(record: Runtime, device: str, what: str) -> None:
    """Return when the guest has let go of a device; raises HypervisorError when it does not."""
    end, asked = SYSTEM.now() + UNPLUG_SECONDS, -AGAIN_SECONDS
    while True:
        with launch.talk(record) as qmp:
            if device not in plugged(qmp):
                return
            if not qmp.execute("query-status")["running"]:
                raise HypervisorError(detail=f"guest {record.spec.name} is paused, it cannot let go of {what}")
            now = SYSTEM.now()
            if now - asked >= AGAIN_SECONDS:
                asked = now
                _request(qmp, device)
        if now > end:
            raise HypervisorError(detail=f"guest {record.spec.name} does not let go of {what}: within "
                                         f"{UNPLUG_SECONDS:g} s its operating system has not answered")
        SYSTEM.sleep(0.05)


def _request(qmp: Qmp, device: str) -> None:
    try:
        qmp.execute("device_del", id=device)
    except HypervisorError as err:
        if not any(reason in str(err.facts.get("refused", "")) for reason in _UNDER_WAY):
            raise


# --- disks --------------------------------------------------------------------------------------------------


def plug_disk(record: Runtime, disk: VmDisk, path: str, *, index: int) -> None:
    """The caller holds the guest.  When it fails nothing is left."""
    uuid, spec, hv = disk.disk.uuid, record.spec, cmdline.params(record.spec)
    others = tuple(item for item in spec.disks if item.disk.uuid != uuid)
    with launch.talk(record) as qmp:
        if disk_id(uuid) in plugged(qmp):
            if not nodes.is_on(qmp, uuid, path):
                raise HypervisorError(detail=f"guest {spec.name} has another disk {uuid}, not the one at {path}")
        else:
            refuse(record, DeviceChange(disks_added=(disk,), disks_removed=(uuid,)))
            nodes.drop(qmp, uuid)
            place = slots(record, replace(spec, disks=(*others, disk)), hv)
            model, values = blockdev.disk_device(spec, disk, max(index, 1) if others else index, hv, place)
            try:
                qmp.execute("device_add", driver=model, **values | {"drive": nodes.add(qmp, record, disk.disk, path)})
            except BaseException:
                with suppress(HypervisorError):
                    nodes.drop(qmp, uuid)
                raise
    remembered(record, disks=(*others[:index], disk, *others[index:]))


def unplug_disk(record: Runtime, uuid: str) -> None:
    """The caller holds the guest."""
    ask_back(record, disk_id(uuid), f"disk {uuid}")
    with launch.talk(record) as qmp:
        nodes.drop(qmp, uuid)
    without_disk(record, uuid)


def resize_disk(record: Runtime, uuid: str, size: int) -> None:
    """The caller holds the guest.  A disk never shrinks."""
    with launch.talk(record) as qmp:
        node = nodes.used(qmp, uuid)
        if not node:
            return
        now = next(int(item["image"]["virtual-size"]) for item in qmp.execute("query-named-block-nodes", flat=True)
                   if item["node-name"] == node)
        if now < size << 20:
            qmp.execute("block_resize", node_name=node, size=size << 20)
    remembered(record, disks=tuple(
        replace(item, disk=replace(item.disk, size=max(size, item.disk.size))) if item.disk.uuid == uuid else item
        for item in record.spec.disks))
