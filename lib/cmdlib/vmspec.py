# SPDX-License-Identifier: BSD-2-Clause
"""From the configuration to what a hypervisor is given; PCI slots, which devices keep for life."""

from collections.abc import Iterable, Sequence

from gantry.cmdlib import disks as disk_records
from gantry.cmdlib import nics
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import HypervisorName
from gantry.errors import NoResources
from gantry.objects.base import Params
from gantry.objects.instance import Disk, Instance, Nic
from gantry.objects.vm import VmDisk, VmNic, VmSpec

LAST_SLOT = 31
RESERVED_SLOTS = 12
"""Low slots left to the emulator where the hypervisor has no `kvm_pci_reservations`."""


def free_slots(hvparams: Params, used: Iterable[int | None], count: int) -> list[int]:
    """The `count` lowest PCI slots that no device has; raises NoResources."""
    first = int(hvparams.get("kvm_pci_reservations", RESERVED_SLOTS))
    taken = set(used)
    free = [slot for slot in range(first, LAST_SLOT + 1) if slot not in taken]
    if len(free) < count:
        raise NoResources(detail=f"no PCI slot is free for another device: {len(free)} of slots {first} to "
                                 f"{LAST_SLOT} are free, {count} are needed; lower kvm_pci_reservations")
    return free[:count]


def used_slots(instance: Instance, disks: Iterable[Disk]) -> list[int | None]:
    return [disk.pci for disk in disks] + [nic.pci for nic in instance.nics]


def build(config: Config, instance: Instance, disks: Sequence[Disk], *, node: str = "",
          hvparams: Params | None = None, beparams: Params | None = None) -> VmSpec:
    """The spec of `instance` on `node` (its primary node if empty).

    `hvparams` and `beparams` are overrides for one start.  A device of older data without a slot gets a free one.
    """
    hv = effective.hvparams(config, instance) | (hvparams or {})
    be = effective.beparams(config, instance) | (beparams or {})
    slots = iter(_slots(hv, instance, disks))
    group = config.nodes[node or instance.primary_node].group
    return VmSpec(
        uuid=instance.uuid, name=instance.name, hypervisor=HypervisorName(instance.hypervisor),
        owner_epoch=instance.owner_epoch, memory=be["maxmem"], vcpus=be["vcpus"],
        machine=hv.get("machine_version") or instance.machine, hvparams=hv,
        disks=tuple(VmDisk(disk=disk, pci=next(slots)) for disk in disk_records.annotated(config, instance, disks)),
        nics=tuple(_nic(config, nic, group, next(slots)) for nic in instance.nics),
        tags=tuple(sorted(instance.tags)), network_port=instance.network_port)


def _slots(hv: Params, instance: Instance, disks: Sequence[Disk]) -> list[int]:
    """Slots of all disks, then of all NICs."""
    known = used_slots(instance, disks)
    fresh = iter(free_slots(hv, known, known.count(None)))
    return [next(fresh) if slot is None else slot for slot in known]


def _nic(config: Config, nic: Nic, group: str, slot: int) -> VmNic:
    params = effective.nicparams(config, nic, group)
    return VmNic(uuid=nic.uuid, mac=nic.mac, mode=params["mode"], link=params["link"], vlan=params.get("vlan") or "",
                 ip=nic.ip, name=nic.name, pci=slot, network=nics.network_values(config, nic))
