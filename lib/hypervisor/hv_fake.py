# SPDX-License-Identifier: BSD-2-Clause
"""Guests that are files: for tests of everything above a hypervisor, and for clusters where QEMU is missing.

Layout below `paths.here().fake_vms`::

    UUID.json       the guest: spec, state, how often it was started here; gone when it does not run
    starts/UUID     how often it was started on this node, ever
    lock            held by whoever changes one of them

A migration writes into the target's folder, so both nodes must be on one machine.
"""

import builtins
import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.errors import ConfigurationError, HypervisorError
from gantry.hypervisor import exchanged
from gantry.hypervisor.base import Hypervisor, Progress, gone_over
from gantry.objects import codec
from gantry.objects.hvparams import check
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
from gantry.utils.files import write_atomic

MACHINE = "fake-1.0"
_URI = "fake:"


@dataclass(frozen=True, kw_only=True)
class Guest:
    """`state`: running, paused, incoming (waits for a migration), postmigrate (was sent away)."""

    spec: VmSpec
    state: str
    memory: int
    resets: int = 0
    disks: dict[str, str] = field(default_factory=dict)


_LISTED: dict[Path, tuple[tuple[int, int], VmStatus | None]] = {}
"""What files said when they were last listed, by inode and time of change."""


class Fake(Hypervisor, name="fake"):
    """It asks of guests what real ones would refuse: disks must be there, one owner, one start."""

    def list(self) -> builtins.list[VmStatus]:
        """A file that has not changed since the last time is not read again: there may be thousands."""
        found: builtins.list[VmStatus] = []
        listed: dict[Path, tuple[tuple[int, int], VmStatus | None]] = {}
        for file in sorted(_folder().glob("*.json")):
            with contextlib.suppress(ConfigurationError, FileNotFoundError):
                stamp = (file.stat().st_ino, file.stat().st_mtime_ns)
                known = _LISTED.get(file)
                if known is None or known[0] != stamp:
                    guest = _read(file)
                    runs = guest is not None and guest.state in ("running", "paused")
                    known = (stamp, _status(guest) if guest is not None and runs else None)
                listed[file] = known
                if known[1] is not None:
                    found.append(known[1])
        _LISTED.clear()
        _LISTED.update(listed)
        return found

    def spec(self, guest: str) -> VmSpec | None:
        found = _read(_file(guest))
        return found.spec if found else None

    def start(self, spec: VmSpec, disks: dict[str, str], *, paused: bool) -> VmStatus:
        with _locked():
            there = _running(spec)
            if there is not None:
                if there.state == "incoming":
                    raise HypervisorError(detail=f"guest {spec.name} is about to arrive here by migration; "
                                                 "end the migration first")
                return _status(there)
            _check_disks(spec, disks)
            guest = Guest(spec=spec, state="paused" if paused else "running", memory=spec.memory,
                          disks=disks)
            _write(guest)
            _count(spec.uuid)
        return _status(guest)

    def stop(self, guest: str, *, seconds: float, progress: Progress) -> None:
        with _locked():
            progress(0.5, "the guest was asked to shut down")
            _file(guest).unlink(missing_ok=True)

    def reset(self, guest: str) -> None:
        with _locked():
            found = _present(guest)
            _write(replace(found, resets=found.resets + 1))

    def pause(self, guest: str, *, paused: bool) -> None:
        with _locked():
            _write(replace(_present(guest), state="paused" if paused else "running"))

    def balloon(self, guest: str, *, memory: int) -> None:
        with _locked():
            found = _present(guest)
            if not 0 < memory <= found.spec.memory:
                raise HypervisorError(detail=f"guest {found.spec.name} was started with {found.spec.memory} MiB, it "
                                             f"cannot have {memory} MiB now")
            _write(replace(found, memory=memory))

    def console(self, guest: str, *, name: str, host: str) -> Console:
        _present(guest)
        return Console(instance=name, kind="msg", host=host, message=f"Console not available for fake guest {name}")

    def accept(self, spec: VmSpec, disks: dict[str, str], *, listen: str) -> MigrationTarget:
        with _locked():
            if _running(spec) is None:
                _check_disks(spec, disks)
                _write(Guest(spec=spec, state="incoming", memory=spec.memory, disks=disks))
        return MigrationTarget(uri=f"{_URI}{_file(spec.uuid)}", key="")

    def receive_disks(self, guest: str, *, listen: str) -> DiskTarget:
        found = _read(_file(guest))
        if found is None or found.state != "incoming":
            raise HypervisorError(detail=f"guest {guest} is not expected on this node")
        return DiskTarget(host=f"{_URI}{_file(guest)}", port=0, key="")

    def mirror_disks(self, guest: str, target: DiskTarget, *, bandwidth: int, progress: Progress) -> None:
        with _locked():
            source, there = _present(guest), _read(Path(target.host.removeprefix(_URI)))
            if there is None or there.state != "incoming":
                raise HypervisorError(detail=f"guest {source.spec.name}: its disks cannot be copied, nobody waits for "
                                             f"them at {target.host}")
            for number, (uuid, path) in enumerate(source.disks.items()):
                progress(number / len(source.disks), f"copying disk/{number}")
                _copy(path, there.disks[uuid])

    def send(self, guest: str, target: MigrationTarget, *, live: bool, bandwidth: int, downtime: int,
             progress: Progress) -> MigrationStatus:
        with _locked():
            found = _read(_file(guest))
            size = found.memory << 20 if found else 0
            done = MigrationStatus(status="completed", transferred=size, total=size, downtime_ms=1, total_ms=2)
            if found is not None and found.state == "postmigrate":
                return done
            found = _present(guest)
            place = Path(target.uri.removeprefix(_URI))
            waiting = _read(place) if target.uri.startswith(_URI) else None
            if waiting is None or waiting.state != "incoming":
                raise HypervisorError(detail=f"guest {found.spec.name}: migration failed, it runs on here: nobody "
                                             f"waits for it at {target.uri}")
            progress(0.5, "memory transfer progress: 50.00 %")
            _write(replace(found, state="postmigrate"))
            arrived = replace(waiting, state=found.state, memory=found.memory, resets=found.resets)
            write_atomic(place, json.dumps(codec.encode(arrived)))
        return done

    def finish_target(self, spec: VmSpec, *, success: bool) -> bool:
        with _locked():
            guest = _read(_file(spec.uuid))
            if guest is not None and guest.state == "incoming" and not success:
                _file(spec.uuid).unlink()
            return guest is not None and guest.state in ("running", "paused")

    def finish_source(self, guest: str, *, success: bool) -> None:
        with _locked():
            found = _read(_file(guest))
            if found is None:
                return
            if success:
                _file(guest).unlink()
            elif found.state == "postmigrate":
                raise gone_over(found.spec.name)

    # --- devices of a guest that runs ---

    def obstacle(self, guest: str, change: DeviceChange) -> str:
        try:
            found = _present(guest)
        except HypervisorError as err:
            return str(err)
        gone = {*change.disks_removed, *change.nics_removed}
        taken = {item.pci for item in found.spec.disks if item.disk.uuid not in gone}
        taken |= {nic.pci for nic in found.spec.nics if nic.uuid not in gone}
        wanted = [disk.pci for disk in change.disks_added] + [nic.pci for nic in change.nics_added]
        clash = next((slot for slot in wanted if slot in taken), None)
        return "" if clash is None else f"PCI slot {clash} of guest {found.spec.name} is in use"

    def _refuse(self, guest: str, change: DeviceChange) -> None:
        why = self.obstacle(guest, change)
        if why:
            raise HypervisorError(detail=why)

    def plug_disk(self, guest: str, disk: VmDisk, path: str, *, index: int) -> None:
        with _locked():
            found = _present(guest)
            self._refuse(guest, DeviceChange(disks_added=(disk,), disks_removed=(disk.disk.uuid,)))
            others = tuple(item for item in found.spec.disks if item.disk.uuid != disk.disk.uuid)
            spec = replace(found.spec, disks=(*others[:index], disk, *others[index:]))
            _check_disks(spec, later := found.disks | {disk.disk.uuid: path})
            _write(replace(found, spec=spec, disks=later))

    def unplug_disk(self, guest: str, uuid: str) -> None:
        with _locked():
            found = _read(_file(guest))
            if found is not None:
                left = tuple(item for item in found.spec.disks if item.disk.uuid != uuid)
                paths_left = {name: path for name, path in found.disks.items() if name != uuid}
                _write(replace(found, spec=replace(found.spec, disks=left), disks=paths_left))

    def plug_nic(self, guest: str, nic: VmNic, *, index: int) -> None:
        with _locked():
            found = _present(guest)
            if any(item.uuid == nic.uuid and item != nic for item in found.spec.nics):
                raise HypervisorError(detail=f"guest {found.spec.name} has the interface {nic.uuid} still as it was")
            self._refuse(guest, DeviceChange(nics_added=(nic,), nics_removed=(nic.uuid,)))
            others = tuple(item for item in found.spec.nics if item.uuid != nic.uuid)
            _write(replace(found, spec=replace(found.spec, nics=(*others[:index], nic, *others[index:]))))

    def unplug_nic(self, guest: str, uuid: str) -> None:
        with _locked():
            found = _read(_file(guest))
            if found is not None:
                left = tuple(nic for nic in found.spec.nics if nic.uuid != uuid)
                _write(replace(found, spec=replace(found.spec, nics=left)))

    def resize_disk(self, guest: str, uuid: str, *, size: int) -> None:
        with _locked():
            found = _read(_file(guest))
            if found is not None:
                grown = tuple(replace(item, disk=replace(item.disk, size=max(size, item.disk.size)))
                              if item.disk.uuid == uuid else item for item in found.spec.disks)
                _write(replace(found, spec=replace(found.spec, disks=grown)))

    def exchange_disk(self, guest: str, new: Disk, path: str, *, progress: Progress) -> None:
        with _locked():
            found = _present(guest)
            if found.disks.get(new.uuid) == path:
                return
            old = next((item for item in found.spec.disks if item.disk.uuid == new.uuid), None)
            if old is None:
                raise HypervisorError(detail=f"guest {found.spec.name} has no disk {new.uuid}")
            progress(0.5, f"copying disk {new.uuid}")
            _copy(found.disks[new.uuid], path)
            exchanged.remember(new, instead=old.disk)
            later = tuple(replace(item, disk=new) if item is old else item for item in found.spec.disks)
            _write(replace(found, spec=replace(found.spec, disks=later), disks=found.disks | {new.uuid: path}))

    def validate(self, hvparams: dict[str, Any]) -> None:
        check("fake", hvparams)

    def verify(self) -> builtins.list[str]:
        problems = []
        for file in sorted(_folder().glob("*.json")):
            try:
                _read(file)
            except ConfigurationError as err:
                problems.append(f"the record of a guest is damaged: {err}")
        return problems


def starts(guest: str) -> int:
    """How often a guest was started on this node; arriving by migration is no start."""
    try:
        return int((_folder() / "starts" / guest).read_text())
    except FileNotFoundError:
        return 0


def _folder() -> Path:
    return paths.here().fake_vms


def _file(guest: str) -> Path:
    return _folder() / f"{guest}.json"


def _read(file: Path) -> Guest | None:
    try:
        return codec.decode(Guest, json.loads(file.read_text()), str(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise ConfigurationError(detail=f"{file}: {err}") from err


def _write(guest: Guest) -> None:
    write_atomic(_file(guest.spec.uuid), json.dumps(codec.encode(guest)))


def _count(guest: str) -> None:
    write_atomic(_folder() / "starts" / guest, str(starts(guest) + 1))


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    _folder().mkdir(parents=True, exist_ok=True)
    with (_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _running(spec: VmSpec) -> Guest | None:
    """The guest if it is here already; raises HypervisorError when it is for another owner."""
    try:
        guest = _read(_file(spec.uuid))
    except ConfigurationError:  # as after the loss of a node: nothing runs, and the file is replaced
        return None
    if guest is None:
        return None
    theirs, ours = guest.spec.owner_epoch, spec.owner_epoch
    if ours > theirs and guest.state in ("incoming", "postmigrate"):  # rests of an older attempt
        return None
    if ours < theirs:
        raise HypervisorError(detail=f"guest {spec.name} runs here for the owner of epoch {theirs}, this call is of "
                                     f"epoch {ours}; it is out of date")
    if guest.state == "postmigrate":
        raise HypervisorError(detail=f"guest {spec.name} was sent away from here; end the migration first")
    if ours > theirs:
        guest = replace(guest, spec=replace(guest.spec, owner_epoch=ours))
        _write(guest)
    return guest


def _present(guest: str) -> Guest:
    found = _read(_file(guest))
    if found is None or found.state not in ("running", "paused"):
        raise HypervisorError(detail=f"guest {guest} does not run on this node")
    return found


def _check_disks(spec: VmSpec, disks: dict[str, str]) -> None:
    for disk in spec.disks:
        path = disks.get(disk.disk.uuid, "")
        if not path or not Path(path).exists():
            raise HypervisorError(detail=f"guest {spec.name}: disk {disk.disk.uuid} cannot be used: "
                                         f"{path or 'no path'} does not exist")


def _copy(old: str, new: str) -> None:
    with open(old, "rb") as source, open(new, "r+b") as target:
        shutil.copyfileobj(source, target)


def _status(guest: Guest) -> VmStatus:
    spec = guest.spec
    state = guest.state if guest.state in ("running", "paused") else "running"
    return VmStatus(name=spec.name, uuid=spec.uuid, hypervisor="fake", state=state, memory=guest.memory,
                    vcpus=spec.vcpus, owner_epoch=spec.owner_epoch, machine=spec.machine or MACHINE)
