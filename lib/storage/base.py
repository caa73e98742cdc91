# SPDX-License-Identifier: BSD-2-Clause
"""What the node backend may ask of a disk template's driver."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from gantry.errors import NotFound, StorageError
from gantry.objects.instance import Disk

Progress = Callable[[float, str], None]
"""Called with the fraction done (0..1) and a message."""


@dataclass(frozen=True, kw_only=True)
class MirrorStatus:
    """One end of a mirrored disk, in DRBD's words: roles Primary, Secondary, Unknown; disks UpToDate, Inconsistent...

    `status`: ok (both copies whole, connected), sync (on the way there), degraded (this copy is whole, the other one
    not known to be), faulty (this copy is not usable by itself), down (no device here).  `problem` says what is wrong
    and what to do about it, empty when nothing is.  `out_of_sync` in KiB; `percent` of a running synchronisation.
    """

    minor: int
    role: str = "Unknown"
    peer_role: str = "Unknown"
    connection: str = "Unconfigured"
    disk: str = "Unknown"
    peer_disk: str = "Unknown"
    percent: float | None = None
    eta_seconds: int | None = None
    out_of_sync: int = 0
    status: str = "down"
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class DiskStatus:
    """`size` in MiB, 0 when it does not exist; `owner_epoch` of who opened it last; `open` on this node; `used` by
    a guest that runs, on whatever node, as far as the storage can tell.  `major` and `minor` of a block device.
    `remains`: it does not exist as it should, but data of it may be here."""

    path: str
    exists: bool
    size: int = 0
    owner_epoch: int = 0
    open: bool = False
    used: bool = False
    remains: bool = False
    major: int | None = None
    minor: int | None = None
    mirror: MirrorStatus | None = None


class Storage(ABC):
    """Every method may be repeated: the second time ends like the first.  Errors are StorageError sentences."""

    registry: ClassVar[dict[str, type["Storage"]]] = {}

    def __init_subclass__(cls, *, names: tuple[str, ...]) -> None:
        for name in names:
            Storage.registry[name] = cls

    @abstractmethod
    def create(self, disk: Disk, *, owner_epoch: int, wipe: bool, progress: Progress) -> None:
        """Make it, of its full size; leave nothing behind if that fails."""

    @abstractmethod
    def remove(self, disk: Disk) -> None:
        """Harmless when it is gone."""

    @abstractmethod
    def open(self, disk: Disk, *, instance: str, owner_epoch: int) -> str:
        """Path for the guest.  Raises StaleOwner when a newer epoch has opened it."""

    def assemble(self, disk: Disk, *, instance: str, owner_epoch: int) -> str:
        """Bring the device up without the right to write where that is another step.  Raises StaleOwner."""
        return self.open(disk, instance=instance, owner_epoch=owner_epoch)

    def force(self, disk: Disk, *, instance: str, owner_epoch: int) -> str:
        """Open it whatever better data there may be elsewhere.  Raises StaleOwner."""
        return self.open(disk, instance=instance, owner_epoch=owner_epoch)

    def demote(self, disk: Disk, *, instance: str) -> None:  # noqa: B027 - for most there is nothing to give up
        """Give up the right to write, where that is a step of its own."""

    @abstractmethod
    def close(self, disk: Disk, *, instance: str) -> None: ...

    @abstractmethod
    def status(self, disk: Disk) -> DiskStatus: ...

    def is_open(self, disk: Disk) -> bool:
        """`open` of its status, where that is known sooner."""
        return self.status(disk).open

    def statuses(self, disks: Sequence[Disk]) -> list[DiskStatus]:
        """Of several at once, in their order."""
        return [self.status(disk) for disk in disks]

    @abstractmethod
    def grow(self, disk: Disk, *, size: int) -> None:
        """Make it `size` MiB; harmless when it is that large already, never shrinks."""

    @abstractmethod
    def rename(self, disk: Disk, new: Disk) -> None: ...

    def snapshot(self, disk: Disk, new: Disk, *, size: int, progress: Progress) -> None:
        """Make `new` hold what `disk` holds now, with room for `size` MiB of changes where they share blocks."""
        raise StorageError(detail=f"disk {disk.uuid} of type {disk.dev_type} has no snapshots")


class Mirror(Storage, names=()):
    """A template whose disks have two ends, one on each of two nodes; what concerns both ends comes on top."""

    @abstractmethod
    def connect(self, disk: Disk, *, instance: str, dual_primary: bool) -> None:
        """Have the connection with exactly these settings; one that is up stays up."""

    @abstractmethod
    def disconnect(self, disk: Disk) -> None:
        """Stand alone."""

    @abstractmethod
    def wait_connected(self, disks: Sequence[Disk], *, progress: Progress) -> None: ...

    @abstractmethod
    def wait_synced(self, disks: Sequence[Disk], *, progress: Progress) -> None: ...

    @abstractmethod
    def replace_local(self, disk: Disk, new: Disk) -> None:
        """Exchange the volumes below this end for those of `new`, and fill them from the peer."""

    @abstractmethod
    def replace_peer(self, disk: Disk, new: Disk) -> None:
        """Leave the peer of `disk`, connect to the one of `new`."""

    @abstractmethod
    def resize(self, disk: Disk, *, size: int) -> None:
        """Make the device `size` MiB, where both ends have room for it."""

    @abstractmethod
    def discard(self, disk: Disk, *, instance: str) -> None:
        """After a split brain: give up what was written at this end alone."""


MODULES = {"file": "file", "sharedfile": "file", "plain": "lvm", "drbd": "drbd", "ext": "ext"}
"""Driver module of each template."""


def load(template: str) -> Storage:
    """The driver for a disk template; raises NotFound."""
    try:
        importlib.import_module(f"gantry.storage.{MODULES[template]}")
    except (KeyError, ModuleNotFoundError) as err:
        raise NotFound(kind="storage driver", name=template) from err
    return Storage.registry[template]()
