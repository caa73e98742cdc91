# SPDX-License-Identifier: BSD-2-Clause
"""One end of a mirrored disk: what is done to it on this node, one thing a function.

Whether something *may* be done is decided in drbd.py.
"""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry import paths
from gantry.errors import CommandFailed, StorageError
from gantry.objects.base import Params
from gantry.objects.instance import Disk, LvmLocation
from gantry.storage import drbd_commands as commands
from gantry.storage import drbd_config, drbd_status, lvm_volumes
from gantry.storage.drbd_status import End, Table
from gantry.utils import clock, command, retry, x509

SECONDS = 60.0
"""Longest that a command may take: changing a role asks the peer, which may be dead."""
LEAVE_SECONDS = 20.0
HANDSHAKE_SECONDS = 10.0
"""Two ends that have found each other agree within this time, or part for good."""
_SECTORS_OF_MIB = 2048
_SUPERBLOCK = struct.Struct(">Q52xI")
"""Of a metadata volume: sectors of the device as both ends agreed on last; at byte 60 what kind of metadata it is."""
_KINDS = frozenset({0x8374026B, 0x8374026C, 0x8374026D})

_asked: dict[int, float] = {}
"""When this process told a minor to look for its peer."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """What is configured for the end of a disk on this node; `size` in MiB."""

    disk: str
    minor: int
    size: int
    data: LvmLocation
    meta: LvmLocation
    link: commands.Link
    params: Params

    @property
    def shown(self) -> str:
        return f"mirrored disk {self.disk} (minor {self.minor})"

    @property
    def path(self) -> Path:
        return paths.here().devices / f"drbd{self.minor}"


def side(disk: Disk) -> Side:
    """Raises StorageError when the disk has no end here."""
    if disk.drbd is None:
        raise StorageError(detail=f"disk {disk.uuid} of type {disk.dev_type} is not mirrored in the configuration")
    node = x509.own_uuid()
    end, peer = disk.drbd.end(node), disk.drbd.peer(node)
    if end is None or peer is None:
        raise StorageError(detail=f"mirrored disk {disk.uuid} has no end on this node ({node})")
    link = commands.Link(local=end.address, remote=peer.address, port=disk.drbd.port, secret=disk.drbd.secret)
    return Side(disk=disk.uuid, minor=end.minor, size=disk.size, data=end.data, meta=end.meta, link=link,
                params=disk.params)


# --- looking ---

def is_loaded() -> bool:
    return paths.here().drbd_status.exists()


def look() -> Table:
    """All devices of this node; none while the kernel module is not loaded."""
    if not is_loaded():
        return Table(ends={}, bare=frozenset())
    return drbd_status.events(command.run(commands.events_now(), seconds=SECONDS).stdout)


def module() -> drbd_status.Module:
    try:
        return drbd_status.module(paths.here().drbd_status.read_text())
    except FileNotFoundError:
        return drbd_status.Module(version="", eta={})


def reason(end: End) -> str:
    """Why it has no connection, as far as the kernel's log still tells."""
    return "" if end.connected else drbd_status.why_alone(kernel_log(), end.minor, end.resource)


def shown(minor: int) -> drbd_config.Shown:
    return drbd_config.parse(command.run(commands.show(minor), seconds=SECONDS).stdout)


def agreed_size(meta: LvmLocation) -> int | None:
    """Sectors of the device by its metadata, 0 before the first use; None when there are no metadata."""
    with lvm_volumes.device(meta).open("rb", buffering=0) as file:
        block = file.read(_SUPERBLOCK.size)
    if len(block) < _SUPERBLOCK.size:
        return None
    size, kind = _SUPERBLOCK.unpack(block)
    return int(size) if kind in _KINDS else None


# --- making ---

def load_module() -> None:
    """Raises StorageError when the kernel has none, or one of a version that does not understand us."""
    try:
        if not is_loaded():
            command.run(commands.load_module(), seconds=SECONDS)
    except CommandFailed as err:
        raise StorageError(detail=f"this node's kernel has no DRBD: {err.facts['output']}; install the module, or give "
                                  "the instance another disk template") from err
    version = module().version
    if not version.startswith(commands.VERSIONS):
        raise StorageError(detail=f"this node's kernel has version {version} of DRBD, but 8.4 is needed; load that one")


def make_meta(one: Side) -> None:
    """Metadata of a device that was never used; harmless when there are some."""
    if agreed_size(one.meta) is None:
        renew_meta(one)


def renew_meta(one: Side) -> None:
    """Metadata as of a device that was never used: what lies on the data volume is worth nothing."""
    load_module()
    used = look().ends  # drbdmeta refuses a minor that is in use, even for other volumes
    spare = next(minor for minor in range(one.minor, one.minor + len(used) + 1) if minor not in used)
    do(one, commands.create_meta(spare, str(lvm_volumes.device(one.meta))), "has no metadata")


def bring_up(one: Side, table: Table) -> None:
    """The device, which has no disk yet, with its disk; not connected if it was not; its volumes must be active."""
    if one.minor not in table.ends:
        begin(one, table)
    attach(one)


def check_volumes(one: Side) -> drbd_config.Shown:
    """How the device is configured; raises StorageError when it is on other volumes."""
    present = shown(one.minor)
    if present.data != str(lvm_volumes.device(one.data)):
        raise StorageError(detail=f"{one.shown} cannot come up: its minor is in use with {present.data}; see "
                                  "gnt-cluster verify")
    return present


def tune(one: Side, present: drbd_config.Shown) -> None:
    """Have it synchronise as fast as is configured now.  To be done before it connects: each end takes over what the
    other one has.
    """
    wanted = commands.steering(one.params)
    if present.data and any(present.disk.get(name, commands.STEERING[name]) != value for name, value in wanted.items()):
        do(one, commands.disk_options(one.minor, commands.as_options(wanted)), "cannot be told how fast to synchronise")


def begin(one: Side, table: Table) -> None:
    """A device without a disk, where there is none yet."""
    if commands.resource(one.minor) in table.bare:
        do(one, commands.down(one.minor), "cannot be cleared away")
    do(one, commands.new_resource(one.minor), "cannot be made")
    do(one, commands.new_minor(one.minor), "cannot be made")


def attach(one: Side) -> None:
    data, meta = str(lvm_volumes.device(one.data)), str(lvm_volumes.device(one.meta))
    agreed = agreed_size(one.meta)
    if agreed is None:
        raise StorageError(detail=f"{one.shown} cannot come up: its metadata volume {meta} holds no metadata; make the "
                                  "copy anew with gnt-instance replace-disks")
    do(one, commands.apply_activity_log(one.minor, meta), "has metadata that cannot be used")
    size = max(agreed, one.size * _SECTORS_OF_MIB)  # it may have grown without the configuration knowing yet
    do(one, commands.attach(one.minor, data, meta, size=f"{size}s", options=commands.of_disk(one.params)),
       f"cannot use its volumes {data} and {meta}")


# --- the connection ---

def connect(one: Side, *, dual_primary: bool | None, discard: bool = False) -> None:
    """Have the connection; `dual_primary` None leaves that as it is."""
    end = _present(one)
    if end.connection == "Disconnecting":
        end = _left(one)
    if not end.alone:
        present = shown(one.minor)
        if is_linked(one, present):
            if dual_primary is not None:
                _change(one, present, dual_primary=dual_primary)
            return
        disconnect(one)
    options = commands.of_net(one.params, one.link.secret, dual_primary=bool(dual_primary))
    do(one, commands.connect(one.minor, one.link, options, discard=discard), "cannot be connected")
    _asked[one.minor] = clock.SYSTEM.now()


def is_linked(one: Side, present: drbd_config.Shown) -> bool:
    """Whether the connection is the one that is configured."""
    return [present.local, present.remote] == one.link.ends() and \
        present.net.get("shared-secret", "") == one.link.secret


def _change(one: Side, present: drbd_config.Shown, *, dual_primary: bool) -> None:
    """Change the options of a connection without ending it."""
    has = (present.net.get("protocol", "C"), present.net.get("allow-two-primaries", "no") == "yes")
    wanted = (commands.protocol(one.params, dual_primary=dual_primary), dual_primary)
    if has != wanted:
        do(one, commands.net_options(one.link, commands.changeable(one.params, dual_primary=dual_primary)),
           f"cannot be {'allowed' if dual_primary else 'forbidden'} to be primary on both nodes")


def disconnect(one: Side) -> None:
    """Harmless when it stands alone, or is not up."""
    end = look().ends.get(one.minor)
    if end is None or end.alone:
        return
    present = shown(one.minor)
    if present.local:
        do(one, commands.disconnect(present.local, present.remote), "cannot be disconnected")
    _left(one)


def settled(one: Side, seconds: float) -> End:
    """The device once its peer has answered, or has had `seconds` for it since it was told to look for it."""
    end = _present(one)
    deadline = _asked.get(one.minor, clock.SYSTEM.now() - seconds) + seconds
    for pause in retry.growing(0.05, most=0.5):
        late = clock.SYSTEM.now() - deadline
        if end.connected or end.alone or late >= (0.0 if end.connection == "Connecting" else HANDSHAKE_SECONDS):
            break
        clock.SYSTEM.sleep(pause)
        end = _present(one)
    return end


# --- ending ---

def demote(one: Side) -> None:
    end = look().ends.get(one.minor)
    if end is not None and end.role == "Primary":
        do(one, commands.secondary(one.minor), "cannot give up the primary role")


def down(one: Side) -> None:
    """No device afterwards; refused while something uses it."""
    table = look()
    if one.minor in table.ends:
        demote(one)
    if one.minor in table.ends or commands.resource(one.minor) in table.bare:
        do(one, commands.down(one.minor), "cannot be taken down")
    _asked.pop(one.minor, None)


def do(one: Side, argv: Sequence[str], failing: str) -> None:
    """Run it; raises StorageError, in which the disk `failing`."""
    try:
        command.run(argv, seconds=SECONDS)
    except CommandFailed as err:
        said = " ".join(str(err.facts["output"]).split())
        for sign, meaning in _MEANINGS.items():
            if sign in said:
                raise StorageError(detail=f"{one.shown} {failing}: {meaning}") from err
        raise StorageError(detail=f"{one.shown} {failing}: {said or err}") from err


_MEANINGS = {
    "Device is held open": "something uses it; stop the instance, or what else has it open, first",
    "Multiple primaries not allowed": "the other node is primary: the instance runs there, or its disks are active",
    "Need access to UpToDate data": "neither end has complete data at hand; bring the other node back",
    "there a primaries on both sides": "both nodes are primary; demote one of them first",
    "Wrong medium type": "this end is not primary",
}


def _present(one: Side) -> End:
    end = look().ends.get(one.minor)
    if end is None:
        raise StorageError(detail=f"{one.shown} is not up on this node; run gnt-instance activate-disks")
    return end


def _left(one: Side) -> End:
    """The device once its connection has come to its end."""
    retry.wait_for(lambda: _present(one).alone, seconds=LEAVE_SECONDS, waits=retry.growing(0.05, most=0.5))
    return _present(one)


def kernel_log() -> list[str]:
    """All that the kernel's ring still holds; nothing where it may not be read."""
    try:
        handle = os.open(paths.here().devices / "kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    lines = []
    try:
        while True:
            try:
                record = os.read(handle, 1 << 13)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # records were overwritten while we read; the next read goes on behind them
            if not record:
                break
            lines += record.decode(errors="replace").splitlines()
    finally:
        os.close(handle)
    return lines
