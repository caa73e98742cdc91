# SPDX-License-Identifier: BSD-2-Clause
"""Volumes of external providers: template `ext`.  Programs of the administrator do everything; all nodes see a volume.

Programs need not bear being run twice, so what was done before is found out by attaching, which must.  Where a volume
is attached on this node is kept until the next reboot.
"""

import logging
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from gantry import paths
from gantry.constants import OF_INSTANCE
from gantry.errors import CommandFailed, StorageError
from gantry.objects.instance import Disk, ExtLocation
from gantry.storage import ext_providers, lvm_volumes, owner
from gantry.storage.base import DiskStatus, Progress, Storage
from gantry.utils import clock, command
from gantry.utils.files import write_atomic

SECONDS = 3600.0
MIB = 1 << 20
OWN_PARAMETERS = frozenset({"access", "exclusive_storage", OF_INSTANCE})
"""Disk parameters of the template that are not the provider's."""
_LAST_LINES = 20

log = logging.getLogger(__name__)


class ExtStorage(Storage, names=("ext",)):
    """See the base class; `disk.ext` says where."""

    def create(self, disk: Disk, *, owner_epoch: int, wipe: bool, progress: Progress) -> None:
        begun = owner.read_local(disk).epoch > 0
        owner.claim_local(disk, epoch=owner_epoch)
        progress(0.0, f"making a volume of {disk.size} MiB")
        try:
            _run(disk, "create", {"VOL_SIZE": str(disk.size)})
        except StorageError:
            if not (begun and _is_there(disk)):  # else an earlier attempt has made it
                owner.forget_local(disk)
                raise
        progress(1.0, f"disk of {disk.size} MiB made")

    def remove(self, disk: Disk) -> None:
        if _attached(disk):
            self.close(disk, instance="")
        try:
            _run(disk, "remove", {})
        except StorageError as err:
            if _is_there(disk):
                _run(disk, "detach", {})
                raise
            log.warning("volume %s is taken for gone, it cannot be attached: %s", _name(disk), err)
        owner.forget_local(disk)

    def open(self, disk: Disk, *, instance: str, owner_epoch: int) -> str:
        before = owner.read_local(disk)
        owner.claim_local(disk, epoch=owner_epoch, instance=instance, opened=True)
        path = _attach(disk)
        if before.instance != instance:
            _tell(disk)
        _run_if_there(disk, "open", {"VOL_OPEN_EXCLUSIVE": "True"})
        return path

    def close(self, disk: Disk, *, instance: str) -> None:
        if _attached(disk):
            _run_if_there(disk, "close", {})
            _run(disk, "detach", {})
            _note(disk).unlink(missing_ok=True)
        owner.release_local(disk)

    def status(self, disk: Disk) -> DiskStatus:
        """Whether a volume that is not attached here is there, nobody can tell."""
        record, path = owner.read_local(disk), _attached(disk)
        major, minor = lvm_volumes.node_number(path)
        return DiskStatus(path=path, exists=not path or os.path.exists(path), size=_size(path) or disk.size,
                          owner_epoch=record.epoch, open=bool(path) and record.open, major=major, minor=minor)

    def grow(self, disk: Disk, *, size: int) -> None:
        was_attached = bool(_attached(disk))
        path = _attach(disk)
        try:
            if _size(path) < size:
                _run(disk, "grow", {"VOL_SIZE": str(disk.size), "VOL_NEW_SIZE": str(size)})
        finally:
            if not was_attached:
                _run(disk, "detach", {})
                _note(disk).unlink(missing_ok=True)

    def rename(self, disk: Disk, new: Disk) -> None:
        if disk.ext != new.ext:
            raise StorageError(detail=f"volume {_name(disk)} cannot be renamed: providers have no program for it")
        _tell(new)

    def snapshot(self, disk: Disk, new: Disk, *, size: int, progress: Progress) -> None:
        progress(0.0, f"making a snapshot of volume {_name(disk)}")
        try:
            _run(disk, "snapshot", {"VOL_SNAPSHOT_NAME": _place(new).volume, "VOL_SNAPSHOT_SIZE": str(size)})
        except StorageError:
            if not _is_there(new):  # else an earlier attempt has made it
                raise


def _tell(disk: Disk) -> None:
    """Let the provider keep whose volume it is."""
    _run(disk, "setinfo", {"VOL_METADATA": f"originstname+{disk.params.get(OF_INSTANCE, '')}"})


def _place(disk: Disk) -> ExtLocation:
    if disk.ext is None:
        raise StorageError(detail=f"disk {disk.uuid} of type {disk.dev_type} has no provider in the configuration")
    return disk.ext


def _name(disk: Disk) -> str:
    return f"{_place(disk).volume} of provider {_place(disk).provider}"


def _note(disk: Disk) -> Path:
    """Names the device while the volume is attached."""
    return paths.here().ext_attached / disk.uuid


def _attached(disk: Disk) -> str:
    try:
        return _note(disk).read_text()
    except FileNotFoundError:
        return ""


def _attach(disk: Disk) -> str:
    said = _run(disk, "attach", {}).splitlines()
    path = said[0].strip() if said else ""
    if not path:
        raise StorageError(detail=f"volume {_name(disk)} has no block device: its provider offers it to hypervisors "
                                  "only, which is not possible here")
    write_atomic(_note(disk), path, mode=0o600)
    return path


def _is_there(disk: Disk) -> bool:
    try:
        _run(disk, "attach", {})
    except StorageError:
        return False
    return True


def _size(path: str) -> int:
    """MiB, 0 when it cannot be told."""
    try:
        with open(path, "rb") as file:
            return file.seek(0, os.SEEK_END) // MIB
    except OSError:
        return 0


def _run_if_there(disk: Disk, action: str, more: Mapping[str, str]) -> None:
    if (Path(ext_providers.usable(_place(disk).provider).path) / action).exists():
        _run(disk, action, more)


def _run(disk: Disk, action: str, more: Mapping[str, str]) -> str:
    """What the program printed; raises StorageError with its last lines."""
    provider = ext_providers.usable(_place(disk).provider)
    program = Path(provider.path) / action
    if not program.exists():
        raise StorageError(detail=f"volume {_name(disk)}: the provider has no program '{action}'")
    known = {"VOL_NAME": _place(disk).volume, "VOL_UUID": disk.uuid, **({"VOL_CNAME": disk.name} if disk.name else {})}
    own = {"EXTP_" + _variable(name): str(value) for name, value in disk.params.items() if name not in OWN_PARAMETERS}
    try:
        done = command.run([str(program)], seconds=SECONDS, env={**os.environ, **known, **own, **more},
                           cwd=program.parent, may_fail=True)
    except CommandFailed as err:
        raise StorageError(detail=f"volume {_name(disk)}: {err}") from err
    said = (done.stdout + done.stderr).splitlines()
    if action != "attach":
        _keep_log(disk, action, said)
    if done.status != 0:
        last = "\n".join(said[-_LAST_LINES:]) or "(no output)"
        raise StorageError(detail=f"volume {_name(disk)}: '{action}' failed with exit status {done.status}:\n{last}")
    return done.stdout


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _keep_log(disk: Disk, action: str, lines: list[str]) -> None:
    folder = paths.here().ext_log
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    when = datetime.fromtimestamp(clock.epoch()).strftime("%Y-%m-%d_%H_%M_%S")
    place = _place(disk)
    with (folder / f"{action}-{place.provider}-{place.volume.replace('/', '_')}-{when}.log").open("a") as out:
        out.writelines(line + "\n" for line in lines)
