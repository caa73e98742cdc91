# SPDX-License-Identifier: BSD-2-Clause
"""Names and places of a guest's devices: each has them for life.

Disks and NICs bring their PCI slot with them (12 to 31 by default); the low slots belong to the emulator and
to the devices every guest has.  On a pc machine a slot is one of the PCI bus.  On q35 it is a root port of its
own, there from the start, so that a device can be plugged in while the guest runs.
"""

import base64
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from gantry.errors import HypervisorError
from gantry.objects.vm import VmSpec

LAST_SLOT = 31
FIXED = {"vga": 2, "balloon": 3, "scsi": 4, "serial": 5, "rng": 6, "sound": 7, "sd": 8}
"""Preferred slots of devices that belong to every guest, or to a parameter."""

_FIRST_FREE, _FIRST_PORT_DEVICE, _FUNCTIONS = 3, 0x10, 8


def escape(value: object) -> str:
    """A value in QEMU's `key=value,...` lists."""
    return str(value).replace(",", ",,")


def option(head: str, **values: object) -> str:
    """`head,key=value,...`; underscores stand for dashes, None is left out, flags are on or off."""
    parts = [head]
    for name, value in values.items():
        if value is not None:
            text = ("on" if value else "off") if isinstance(value, bool) else escape(value)
            parts.append(f"{name.replace('_', '-')}={text}")
    return ",".join(parts)


def short(identity: str) -> str:
    """A UUID in 22 characters: QEMU's block node names may have 31."""
    return base64.urlsafe_b64encode(uuid.UUID(identity).bytes).decode().rstrip("=")


def disk_node(identity: str) -> str:
    """The block node the guest's device uses; it stays when what lies below it is exchanged."""
    return f"d-{short(identity)}"


def file_node(identity: str) -> str:
    """The block node of the file or device below."""
    return f"f-{short(identity)}"


def disk_id(identity: str) -> str:
    return f"disk-{identity}"


def nic_id(identity: str) -> str:
    return f"nic-{identity}"


def net_id(identity: str) -> str:
    return f"net-{identity}"


@dataclass(frozen=True)
class Slots:
    """Where PCI devices go in one guest.  `used` are the slots of its disks and NICs."""

    q35: bool
    first: int
    used: frozenset[int]

    def at(self, slot: int) -> dict[str, str]:
        """Bus and address of a disk or NIC."""
        return {"bus": f"port-{slot}", "addr": "0x0"} if self.q35 else {"bus": "pci.0", "addr": f"{slot:#x}"}

    def fixed(self, name: str) -> dict[str, str]:
        """Bus and address of a device of the emulator's part: always the same while its slot is free."""
        taken = frozenset() if self.q35 else self.used
        slot = FIXED[name]
        if slot in taken:
            others = set(FIXED.values()) | taken
            slot = next((free for free in range(_FIRST_FREE, LAST_SLOT) if free not in others), -1)
        if slot < 0:
            raise HypervisorError(detail=f"no PCI slot is left for the {name} device; raise kvm_pci_reservations")
        return {"bus": "pcie.0" if self.q35 else "pci.0", "addr": f"{slot:#x}"}

    def ports(self) -> list[str]:
        """The root ports of a q35 machine, several to a device of bus 0, its function 0 always there."""
        if not self.q35:
            return []
        lowest = min([self.first, *self.used]) // _FUNCTIONS * _FUNCTIONS
        return [option("pcie-root-port", id=f"port-{slot}", bus="pcie.0", multifunction=True, chassis=slot + 1,
                       slot=slot + 1, addr=f"{_FIRST_PORT_DEVICE + slot // _FUNCTIONS:#x}.{slot % _FUNCTIONS}")
                for slot in range(lowest, LAST_SLOT + 1)]


def slots(spec: VmSpec, *, first: int, q35: bool) -> Slots:
    """Raises HypervisorError when two devices claim one slot."""
    wanted = [disk.pci for disk in spec.disks] + [nic.pci for nic in spec.nics]
    twice = _repeated(wanted)
    if twice is not None or any(not 0 < slot <= LAST_SLOT for slot in wanted):
        raise HypervisorError(detail=f"guest {spec.name}: " + (
            f"two devices claim PCI slot {twice}" if twice is not None
            else f"PCI slots must be between 1 and {LAST_SLOT}"))
    return Slots(q35=q35, first=first, used=frozenset(wanted))


def _repeated(slots: Iterable[int]) -> int | None:
    seen: set[int] = set()
    for slot in slots:
        if slot in seen:
            return slot
        seen.add(slot)
    return None
