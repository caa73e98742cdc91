# SPDX-License-Identifier: BSD-2-Clause
"""The run-time files of one guest's QEMU.

Layout below `paths.here().kvm`::

    pid/UUID                    process number, written by QEMU
    ctrl/UUID.qmp               its monitor for us (QMP), .monitor for people, .serial, .qga, .vnc
    chroot/UUID/                the empty folder of a confined QEMU
    key/UUID/                   its key, while it moves

A socket's path must fit into 107 bytes, and the root of a virtual cluster may be deep.  So QEMU starts in the
`kvm` folder and is given relative names, and we reach a socket through a descriptor of its folder.
"""

import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gantry import paths
from gantry.errors import HypervisorError
from gantry.utils import retry

MOST_LOG = 4 << 20
"""Bytes of a serial log before it is cut."""

SOCKETS = ("qmp", "monitor", "serial", "qga", "vnc")


@dataclass(frozen=True)
class GuestFiles:
    """Where one guest's files are; `folder` is the working directory of its QEMU."""

    uuid: str
    folder: Path
    log: Path

    @property
    def pid(self) -> Path:
        return self.folder / "pid" / self.uuid

    @property
    def chroot(self) -> Path:
        return self.folder / "chroot" / self.uuid

    @property
    def key_folder(self) -> Path:
        return self.folder / "key" / self.uuid

    @property
    def serial_log(self) -> Path:
        """What the guest printed since its start; that of the start before has `.1`."""
        return self.log / f"{self.uuid}-serial.log"

    @property
    def emulator_log(self) -> Path:
        """What QEMU itself said."""
        return self.log / f"{self.uuid}-qemu.log"

    def relative(self, kind: str) -> str:
        """A socket's name as QEMU is given it."""
        return f"ctrl/{self.uuid}.{kind}"

    def socket(self, kind: str) -> Path:
        return self.folder / self.relative(kind)

    def make(self) -> None:
        """Folders, and fresh logs: the old ones are kept for one more start."""
        for folder in (self.folder, self.pid.parent, self.folder / "ctrl", self.log):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        for log in (self.serial_log, self.emulator_log):
            if log.exists() and log.stat().st_size:
                log.replace(log.with_name(log.name + ".1"))

    def name_log(self, name: str) -> None:
        """Let people find the serial log by the guest's name."""
        link = self.log / f"{name}-serial.log"
        with contextlib.suppress(OSError):
            link.unlink(missing_ok=True)
            link.symlink_to(self.serial_log.name)

    def trim(self) -> None:
        """Bound the serial log of a guest that prints without end.  QEMU appends, so it may be cut."""
        with contextlib.suppress(OSError):
            if self.serial_log.stat().st_size > MOST_LOG:
                shutil.copyfile(self.serial_log, self.serial_log.with_name(self.serial_log.name + ".1"))
                os.truncate(self.serial_log, 0)

    def remove(self) -> None:
        """All but the logs."""
        for kind in SOCKETS:
            self.socket(kind).unlink(missing_ok=True)
        self.pid.unlink(missing_ok=True)
        for folder in (self.chroot, self.key_folder):
            shutil.rmtree(folder, ignore_errors=True)

    def said(self) -> str:
        """The last lines of QEMU's own output."""
        try:
            text = self.emulator_log.read_text(errors="replace")
        except OSError:
            return ""
        return " ".join(text.split("\n")[-12:]).strip()[-1500:]


def of(uuid: str) -> GuestFiles:
    here = paths.here()
    return GuestFiles(uuid, here.kvm, here.log / "kvm")


@contextlib.contextmanager
def held(uuid: str, *, seconds: float = 90.0) -> Iterator[None]:
    """One caller at a time, of all processes, starts or clears away this guest; raises HypervisorError.

    The lock's file goes with its last holder, so that none are left of guests that are gone.
    """
    path = paths.here().kvm / "lock" / uuid
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    locks: list[int] = []
    try:
        if not retry.wait_for(lambda: _locked(path, locks), seconds=seconds, waits=retry.growing(0.01, most=0.3)):
            raise HypervisorError(detail=f"guest {uuid}: another call has been starting or ending it for "
                                         f"{seconds:g} s")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        for lock in locks:
            os.close(lock)


def _locked(path: Path, locks: list[int]) -> bool:
    """Whether the file is ours now; its descriptor is in `locks` then.  One that its holder removed meanwhile does not
    count."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            locks.append(lock)
            return True
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return False


@contextlib.contextmanager
def connected(path: Path, seconds: float) -> Iterator[socket.socket]:
    """A connection to a unix socket however long its path is; raises OSError."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as link:
        link.settimeout(seconds)
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            link.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
        yield link
