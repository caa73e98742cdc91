# SPDX-License-Identifier: BSD-2-Clause
"""What the node backend may ask of a disk template's driver."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from gantry.errors import NotFound
from gantry.objects.instance import Disk

Progress = Callable[[float, str], None]
"""Called with the fraction done (0..1) and a message."""


@dataclass(frozen=True, kw_only=True)
class DiskStatus:
    """`size` in MiB, 0 when it does not exist; `owner_epoch` of who opened it last; `open` on this node; `used` by
    a guest that runs, on whatever node, as far as the storage can tell."""

    path: str
    exists: bool
    size: int = 0
    owner_epoch: int = 0
    open: bool = False
    used: bool = False


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

    @abstractmethod
    def close(self, disk: Disk, *, instance: str) -> None: ...

    @abstractmethod
    def status(self, disk: Disk) -> DiskStatus: ...

    @abstractmethod
    def grow(self, disk: Disk, *, size: int) -> None:
        """Make it `size` MiB; harmless when it is that large already, never shrinks."""

    @abstractmethod
    def rename(self, disk: Disk, new: Disk) -> None: ...


MODULES = {"file": "file", "sharedfile": "file", "plain": "lvm", "drbd": "drbd", "ext": "ext"}
"""Driver module of each template."""


def load(template: str) -> Storage:
    """The driver for a disk template; raises NotFound."""
    try:
        importlib.import_module(f"gantry.storage.{MODULES[template]}")
    except (KeyError, ModuleNotFoundError) as err:
        raise NotFound(kind="storage driver", name=template) from err
    return Storage.registry[template]()
