# SPDX-License-Identifier: BSD-2-Clause
"""Which disk a guest went over to when one was exchanged under it: durable, for as long as only this node knows it.

From the moment the guest writes to its new disk until the master has recorded that, a guest that dies (or its whole
node) must not be started from the old one.  The next start, or arrival, of a guest with the disk ends it.

    {"disk": the disk that counts, "instead": the one that it counts instead of, or null}
"""

import json
from dataclasses import dataclass
from pathlib import Path

from gantry import paths
from gantry.errors import ConfigurationError, HypervisorError
from gantry.objects import codec
from gantry.objects.instance import Disk
from gantry.utils.files import write_atomic


@dataclass(frozen=True, kw_only=True)
class _Exchange:
    disk: Disk
    instead: Disk | None = None


def remember(disk: Disk, *, instead: Disk | None = None) -> None:
    """`disk` is the one of its UUID that counts, where known `instead` of another; on the disk when this returns."""
    file = _file(disk.uuid)
    file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_atomic(file, json.dumps(codec.encode(_Exchange(disk=disk, instead=instead))))


def known(uuid: str) -> Disk | None:
    """None when no exchange is remembered; raises ConfigurationError when what is remembered is damaged."""
    found = _read(uuid)
    return found.disk if found is not None else None


def require_current(disk: Disk) -> None:
    """Refuse a disk that a guest has left for another one, which has what it wrote since: the configuration was not
    told, when the node could not be reached at that time.
    """
    found = _read(disk.uuid)
    if found is None or found.instead is None or _place(found.instead) != _place(disk):
        return
    raise HypervisorError(detail=f"disk {disk.uuid} is out of date: its guest went over from {_shown(disk)} to "
                                 f"{_shown(found.disk)}, which has all that was written since, and the configuration "
                                 f"does not say so. Copy that to this one by hand, then remove {_file(disk.uuid)}")


def _read(uuid: str) -> _Exchange | None:
    file = _file(uuid)
    try:
        return codec.decode(_Exchange, json.loads(file.read_text()), str(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise ConfigurationError(detail=f"{file}: {err}") from err


def _place(disk: Disk) -> tuple[object, ...]:
    volumes = {(end.node, end.data) for end in disk.drbd.ends} if disk.drbd is not None else None
    return disk.dev_type, disk.file, disk.lvm, disk.ext, volumes


def _shown(disk: Disk) -> str:
    if disk.drbd is not None:
        return "the mirrored volumes " + " and ".join(f"{end.data.vg}/{end.data.lv}" for end in disk.drbd.ends)
    if disk.lvm is not None:
        return f"the volume {disk.lvm.vg}/{disk.lvm.lv}"
    return disk.file.path if disk.file is not None else str(disk.dev_type)


def forget(uuid: str) -> None:
    _file(uuid).unlink(missing_ok=True)


def _file(uuid: str) -> Path:
    return paths.here().exchanged / f"{uuid}.json"
