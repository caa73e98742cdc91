# SPDX-License-Identifier: BSD-2-Clause
"""Logical volumes: what the drivers of plain and mirrored disks do with them.

A volume carries the tag `gantry-new` until it is whole; one that is found with it was left by a crash and is made anew.
Then it is tagged `originstname+INSTANCE`, for people who look at it with lvs.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gantry import paths
from gantry.errors import CommandFailed, StorageError
from gantry.objects.instance import LvmLocation
from gantry.storage import lvm_commands
from gantry.storage.base import Progress
from gantry.storage.lvm_commands import MIB, Volume
from gantry.utils import command, retry

NEW = "gantry-new"
ORIGIN = "originstname+"
SECONDS = 120.0
"""A change of LVM's metadata may take as long: others hold the group's lock."""
CHUNK, EDGE = 512 * MIB, 4 * MIB
"""Bytes cleared by one command, and at each end of a disk that is not wiped: what would be taken for old contents."""
APPEAR_SECONDS = 10.0
REMOVE_SECONDS = 5.0
"""What looks at new devices (udev) lets go of them within this time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A volume to be made: `size` in MiB; `exclusive`: on physical volumes of its own, as many as `spindles`; `origin`:
    the name of its instance.
    """

    where: LvmLocation
    size: int
    stripes: int = 1
    exclusive: bool = False
    spindles: int | None = None
    origin: str = ""


def device(where: LvmLocation) -> Path:
    return paths.here().devices / where.vg / where.lv


def find() -> dict[LvmLocation, Volume]:
    """All volumes of this node."""
    return lvm_commands.volumes(_ask(lvm_commands.list_volumes()))


def groups() -> dict[str, lvm_commands.Group]:
    return lvm_commands.groups(_ask(lvm_commands.list_groups()))


def physical() -> list[lvm_commands.Physical]:
    return lvm_commands.physical(_ask(lvm_commands.list_physical()))


def make(wanted: Wanted, *, wipe: bool, progress: Progress) -> None:
    """Make an active volume without old contents; harmless when it is there, whole and large enough."""
    where, present = wanted.where, find().get(wanted.where)
    if present is not None and NEW not in present.tags:
        if present.size < wanted.size * MIB:
            raise StorageError(detail=f"{_shown(where)} is there already with "
                                      f"{present.size // MIB} MiB instead of {wanted.size} MiB")
        _bring_up(present)
        return
    if present is not None:
        _take_away(present)
    try:
        _change(lvm_commands.create(where, wanted.size, stripes=_stripes(wanted), tag=NEW, devices=_devices(wanted)))
        _appeared(where)
        clear(where, wanted.size * MIB, whole=wipe, progress=progress)
        _change(lvm_commands.tag(where, drop=[NEW], add=_tags(wanted.origin)))
    except CommandFailed as err:
        _drop_half_made(where)
        raise _no_room_or(err, wanted) from err
    except BaseException:
        _drop_half_made(where)
        raise


def belong(origin: str, *places: LvmLocation) -> None:
    """Tag the volumes as those of this instance, or of none when its name is empty."""
    present, wanted = find(), _tags(origin)
    for where in places:
        own = {tag for tag in present[where].tags if tag.startswith(ORIGIN)} if where in present else wanted
        if own != wanted:
            _change(lvm_commands.tag(where, drop=own - wanted, add=wanted - own))


def _tags(origin: str) -> set[str]:
    return {ORIGIN + origin} if origin else set()


def clear(where: LvmLocation, size: int, *, whole: bool, progress: Progress) -> None:
    """Fill with zeros: all `size` bytes, or both edges."""
    if whole or size <= 2 * EDGE:
        pieces = [(start, min(CHUNK, size - start)) for start in range(0, size, CHUNK)]
    else:
        pieces = [(0, EDGE), (size - EDGE, EDGE)]
    for start, length in pieces:
        progress(start / size, f"wiping, {start // MIB} of {size // MIB} MiB")
        command.run(lvm_commands.zero(str(device(where)), start, length), seconds=3600)


def remove(*places: LvmLocation) -> None:
    """Harmless when they are gone; raises StorageError while something has one open."""
    present = find()
    for where in places:
        if where in present:
            _take_away(present[where])


def _take_away(present: Volume) -> None:
    where = present.location
    if present.open and not retry.wait_for(lambda: not _is_open(where), seconds=REMOVE_SECONDS,
                                              waits=retry.growing(0.2)):
        raise StorageError(detail=f"{_shown(where)} cannot be removed: it is in use; stop what "
                                  "uses it first")
    _change(lvm_commands.remove(where))


def activate(*places: LvmLocation) -> list[Path]:
    """Their devices, which are there then; raises StorageError when there is no such volume."""
    present = find()
    for where in places:
        if where not in present:
            raise StorageError(detail=f"{_shown(where)} is not there")
    return [_bring_up(present[where]) for where in places]


def _bring_up(present: Volume) -> Path:
    where = present.location
    if not present.active or not device(where).exists():
        _change(lvm_commands.activate(where))
    return _appeared(where)


def grow(where: LvmLocation, size: int, *, exclusive: bool) -> None:
    """Make it `size` MiB, if it is smaller."""
    present = find().get(where)
    if present is None:
        raise StorageError(detail=f"{_shown(where)} is not there")
    if present.size >= size * MIB:
        return
    own: Sequence[str] = ()
    if exclusive:
        known = {item.name: item for item in physical()}
        own = present.devices
        lack = size - (present.size + sum(known[name].free for name in own if name in known)) // MIB
        if lack > 0:
            own = (*own, *lvm_commands.own_devices(list(known.values()), where.vg, lack, None))
    try:
        _change(lvm_commands.extend(where, size, own))
    except CommandFailed as err:
        raise StorageError(detail=f"{_shown(where)} cannot grow from {present.size // MIB} to "
                                  f"{size} MiB: {_free(where.vg)}; LVM says: {err.facts['output']}") from err


def rename(where: LvmLocation, new: LvmLocation) -> None:
    """Harmless when it has the new name already."""
    if where == new:
        return
    present = find()
    if where.vg != new.vg:
        raise StorageError(detail=f"{_shown(where)} cannot move to volume group {new.vg}")
    if where in present and new in present:
        raise StorageError(detail=f"{_shown(where)} cannot be renamed: "
                                  f"{_shown(new)} is there already")
    if where not in present and new not in present:
        raise StorageError(detail=f"{_shown(where)} is not there, it cannot be renamed")
    if where in present:
        _change(lvm_commands.rename(where, new.lv))


def snapshot(origin: LvmLocation, new: LvmLocation, size: int) -> None:
    """Make the active volume `new` a snapshot of `origin`; harmless when it is there."""
    present = find()
    if origin.vg != new.vg:
        raise StorageError(detail=f"{_shown(origin)} has no snapshot in volume group {new.vg}")
    if origin not in present:
        raise StorageError(detail=f"{_shown(origin)} is not there")
    if new in present and present[new].origin != origin.lv:
        raise StorageError(detail=f"{_shown(new)} is there already and no snapshot of {origin.lv}")
    if new not in present:
        try:
            _change(lvm_commands.snapshot(origin, new.lv, size))
        except CommandFailed as err:
            raise StorageError(detail=f"{_shown(origin)} has no snapshot: {_free(origin.vg)}; "
                                      f"LVM says: {err.facts['output']}") from err
    _appeared(new)


def _shown(where: LvmLocation) -> str:
    return f"logical volume {lvm_commands.path(where)}"


def _ask(argv: list[str]) -> str:
    """A report; one that comes with complaints (a physical volume is missing) tells of the rest all the same."""
    done = command.run(argv, seconds=SECONDS, may_fail=True)
    if done.status != 0:
        if not done.stdout.strip().startswith("{"):
            raise CommandFailed(command=argv[0], status=done.status, output=done.stderr.strip() or "(no output)")
        log.warning("%s complains: %s", argv[0], done.stderr.strip())
    return done.stdout


def _change(argv: list[str]) -> None:
    command.run(argv, seconds=SECONDS)


def _stripes(wanted: Wanted) -> int:
    if wanted.stripes < 2 or wanted.exclusive:
        return 1
    count = lvm_commands.stripes(physical(), wanted.where.vg, wanted.size, wanted.stripes)
    if count < wanted.stripes:
        log.warning("%s gets %s stripes instead of %s: not enough physical volumes have room",
                    _shown(wanted.where), count, wanted.stripes)
    return count


def _devices(wanted: Wanted) -> list[str]:
    if not wanted.exclusive:
        return []
    return lvm_commands.own_devices(physical(), wanted.where.vg, wanted.size, wanted.spindles)


def _appeared(where: LvmLocation) -> Path:
    """The device; without udev LVM makes it, with udev it takes a moment."""
    if not retry.wait_for(device(where).exists, seconds=APPEAR_SECONDS, waits=retry.growing(0.02)):
        raise StorageError(detail=f"{_shown(where)} has no device {device(where)}; look at udev")
    return device(where)


def _is_open(where: LvmLocation) -> bool:
    present = find().get(where)
    return present is not None and present.open


def _drop_half_made(where: LvmLocation) -> None:
    try:
        present = find().get(where)
        if present is not None and NEW in present.tags:
            _change(lvm_commands.remove(where))
    except (CommandFailed, StorageError) as err:
        log.warning("half-made %s stays: %s", _shown(where), err)


def _no_room_or(err: CommandFailed, wanted: Wanted) -> StorageError:
    return StorageError(detail=f"{_shown(wanted.where)} of {wanted.size} MiB cannot be made: "
                               f"{_free(wanted.where.vg)}; {err.facts['command']} says: {err.facts['output']}")


def _free(vg: str) -> str:
    """What there is to say about the room in a group."""
    try:
        group = groups().get(vg)
    except (CommandFailed, StorageError) as err:
        return str(err)
    if group is None:
        return f"there is no volume group {vg}"
    return f"volume group {vg} has {group.free // MIB} MiB free"


def node_number(path: str | os.PathLike[str]) -> tuple[int | None, int | None]:
    """Major and minor number of a block device, None twice for what is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None, None
    number = facts.st_rdev
    return (os.major(number), os.minor(number)) if number else (None, None)
