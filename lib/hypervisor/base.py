# SPDX-License-Identifier: BSD-2-Clause
"""What the node backend may ask of a hypervisor."""

import builtins
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from gantry.errors import HypervisorError, NotFound
from gantry.objects.instance import Disk
from gantry.objects.vm import (
    Console,
    DeviceChange,
    DiskTarget,
    MigrationStatus,
    MigrationTarget,
    VmDisk,
    VmNic,
    VmSpec,
    VmStatus,
)

Progress = Callable[[float, str], None]
"""Called with the fraction done (0..1) and a message."""


class Hypervisor(ABC):
    """Guests are named by UUID.  Every method may be repeated: the second time ends like the first.

    `disks` are the paths of the opened disks by disk UUID.  Errors are HypervisorError sentences.
    """

    registry: ClassVar[dict[str, type["Hypervisor"]]] = {}

    def __init_subclass__(cls, *, name: str) -> None:
        Hypervisor.registry[name] = cls

    @abstractmethod
    def list(self) -> list[VmStatus]:
        """All guests that run or are paused here; those whose process is gone are not listed."""

    @abstractmethod
    def spec(self, guest: str) -> VmSpec | None:
        """What the guest was started with; None when nothing is known of it.  Kept until the guest is stopped,
        also when its process is gone."""

    def dead(self) -> builtins.list[str]:
        """Guests whose process is gone, but not what is remembered of them: of a crash, or before a power cut."""
        return []

    @abstractmethod
    def start(self, spec: VmSpec, disks: dict[str, str], *, paused: bool) -> VmStatus:
        """Return when the guest runs; leave nothing behind if it cannot."""

    @abstractmethod
    def stop(self, guest: str, *, seconds: float, progress: Progress) -> None:
        """Ask the guest to stop, end it after `seconds` (0: at once).  Harmless if it does not run."""

    @abstractmethod
    def reset(self, guest: str) -> None:
        """Reboot within the same process."""

    @abstractmethod
    def pause(self, guest: str, *, paused: bool) -> None: ...

    @abstractmethod
    def balloon(self, guest: str, *, memory: int) -> None: ...

    @abstractmethod
    def console(self, guest: str, *, name: str, host: str) -> Console: ...

    @abstractmethod
    def accept(self, spec: VmSpec, disks: dict[str, str], *, listen: str) -> MigrationTarget:
        """Target of a migration: wait for the guest; where the source must send it; asked again, the same."""

    @abstractmethod
    def receive_disks(self, guest: str, *, listen: str) -> DiskTarget:
        """Target of a migration, after `accept`: let the source write the guest's disks; asked again, the same."""

    @abstractmethod
    def mirror_disks(self, guest: str, target: DiskTarget, *, bandwidth: int, progress: Progress) -> None:
        """Source, before `send`: copy all disks there, and from then on each write as well, until `send` has handed
        the guest over.  When it fails or `progress` raises, nothing is left of it.  `bandwidth` in MiB/s, 0: any."""

    @abstractmethod
    def send(self, guest: str, target: MigrationTarget, *, live: bool, bandwidth: int, downtime: int,
             progress: Progress) -> MigrationStatus:
        """Source of a migration; raises when it failed, and then the guest runs here on, its disks copied no more."""

    @abstractmethod
    def finish_target(self, spec: VmSpec, *, success: bool) -> bool:
        """Whether the guest runs here now.  Without `success` the wait for it is ended, but a guest that has
        come in already stays."""

    @abstractmethod
    def finish_source(self, guest: str, *, success: bool) -> None:
        """End the guest's process here; without `success` let it run on, its disks copied no more.  Raises
        HypervisorError (`gone_over`) when it runs on the target by now.
        """

    # --- devices of a guest that runs ---

    def present(self, guest: str) -> VmSpec | None:
        """As `spec`, without the devices that the guest has let go of since it was last asked to."""
        return self.spec(guest)

    @abstractmethod
    def obstacle(self, guest: str, change: DeviceChange) -> str:
        """Why these devices cannot be changed while the guest runs, as a sentence; empty when they can."""

    @abstractmethod
    def plug_disk(self, guest: str, disk: VmDisk, path: str, *, index: int) -> None:
        """Give it the opened disk; what it is given and loses is remembered in its spec."""

    @abstractmethod
    def unplug_disk(self, guest: str, uuid: str) -> None:
        """Return when the guest has let go of the disk, or does not run; raises when it does not let go."""

    @abstractmethod
    def plug_nic(self, guest: str, nic: VmNic, *, index: int) -> None: ...

    @abstractmethod
    def unplug_nic(self, guest: str, uuid: str) -> None:
        """As `unplug_disk`."""

    @abstractmethod
    def resize_disk(self, guest: str, uuid: str, *, size: int) -> None:
        """Show the guest that its disk has grown to `size` MiB; harmless when it does not run or lacks the disk."""

    @abstractmethod
    def exchange_disk(self, guest: str, new: Disk, path: str, *, progress: Progress) -> None:
        """Copy the disk of the same UUID that the guest uses onto the opened `new`, and let it use that.

        When `progress` raises or something fails, the guest uses one of the two, the spec tells which, and nothing
        is left of the copying.  After a cut the same holds once this was called again, with either of the two.
        """

    @abstractmethod
    def validate(self, hvparams: dict[str, Any]) -> None:
        """Raise with the reason when this node cannot run a guest with these parameters."""

    @abstractmethod
    def verify(self) -> builtins.list[str]:
        """Sentences about what is wrong with this node's hypervisor; empty when all is well."""


def gone_over(guest: str) -> HypervisorError:
    """Of a guest that is to go on at the source, where only what it knew before is left."""
    return HypervisorError(detail=f"guest {guest} has gone over to the other node, where it may have written to its "
                                  "disks since; it does not go on here. When it does not run there any more, end what "
                                  "is left of it here and start it again")


def load(name: str) -> Hypervisor:
    """The driver `hv_<name>`; raises NotFound."""
    if not name.isidentifier():
        raise NotFound(kind="hypervisor", name=name)
    try:
        importlib.import_module(f"gantry.hypervisor.hv_{name}")
    except ModuleNotFoundError as err:
        raise NotFound(kind="hypervisor", name=name) from err
    return Hypervisor.registry[name]()
