# SPDX-License-Identifier: BSD-2-Clause
"""Disks mirrored between two nodes: template `drbd`.  On each node a data and a metadata volume under one device.

What is done here is done to the end on this node; the master sees to both ends.  An end becomes primary only with the
newest data that are known, unless it is forced.
"""

from collections.abc import Sequence

from gantry.constants import DRBD_META_SIZE
from gantry.errors import Error, StorageError
from gantry.objects.instance import Disk, LvmLocation
from gantry.storage import drbd_commands as commands
from gantry.storage import drbd_device as device
from gantry.storage import drbd_status, drbd_watch, lvm, lvm_volumes, owner
from gantry.storage.base import DiskStatus, Mirror, MirrorStatus, Progress
from gantry.storage.drbd_device import Side
from gantry.storage.drbd_status import End, Module, Table
from gantry.storage.lvm_commands import MIB, Volume
from gantry.storage.lvm_volumes import Wanted

PEER_SECONDS = 5.0
"""A peer that is up answers within this time; who becomes primary waits as long to hear of better data."""


class DrbdStorage(Mirror, names=("drbd",)):
    """See the base classes; `disk.drbd` says where."""

    def create(self, disk: Disk, *, owner_epoch: int, wipe: bool, progress: Progress) -> None:
        one, before = device.side(disk), lvm_volumes.find()
        data = Wanted(where=one.data, size=disk.size, stripes=disk.params.get("data-stripes", 1),
                      exclusive=lvm.is_exclusive(disk), spindles=disk.spindles, origin=lvm.origin(disk))
        meta = Wanted(where=one.meta, size=DRBD_META_SIZE, stripes=disk.params.get("meta-stripes", 1),
                      exclusive=lvm.is_exclusive(disk), origin=lvm.origin(disk))
        try:
            if one.data not in before and one.meta in before:  # metadata of lost data would vouch for the new ones
                lvm_volumes.remove(one.meta)
            lvm_volumes.make(data, wipe=wipe, progress=progress)
            lvm_volumes.make(meta, wipe=True, progress=lambda _fraction, _message: progress(0.99, "making metadata"))
            device.make_meta(one)
            owner.claim_local(disk, epoch=owner_epoch)
        except BaseException:
            for where in (one.data, one.meta):
                if where not in before:
                    _drop(where)
            raise
        progress(1.0, f"one end of a disk of {disk.size} MiB made")

    def remove(self, disk: Disk) -> None:
        one = device.side(disk)
        end = device.look().ends.get(one.minor)
        if end is not None and not _is_on(one, end):  # it has got other volumes: these ones are left over
            lvm_volumes.remove(one.data, one.meta)
            return
        device.down(one)
        lvm_volumes.remove(one.data, one.meta)
        owner.forget_local(disk)

    def assemble(self, disk: Disk, *, instance: str, owner_epoch: int) -> str:
        return str(self._assembled(disk, instance, owner_epoch).path)

    def open(self, disk: Disk, *, instance: str, owner_epoch: int) -> str:
        one = self._assembled(disk, instance, owner_epoch)
        end = device.settled(one, PEER_SECONDS)
        objection = drbd_status.objection(end, reason=device.reason(end))
        if objection:
            raise StorageError(detail=f"{one.shown} cannot become primary on this node: {objection}")
        if end.role != "Primary":
            device.do(one, commands.primary(one.minor, force=False), "cannot become primary on this node")
        return self._opened(disk, str(one.path), instance, owner_epoch)

    def force(self, disk: Disk, *, instance: str, owner_epoch: int) -> str:
        one = self._assembled(disk, instance, owner_epoch)
        if device.settled(one, PEER_SECONDS).role != "Primary":
            device.do(one, commands.primary(one.minor, force=True), "cannot be forced to be primary on this node")
        return self._opened(disk, str(one.path), instance, owner_epoch)

    def demote(self, disk: Disk, *, instance: str) -> None:
        one = device.side(disk)
        if not _is_foreign(one):
            device.demote(one)
        owner.release_local(disk)

    def close(self, disk: Disk, *, instance: str) -> None:
        one = device.side(disk)
        if not _is_foreign(one):
            device.down(one)
        owner.release_local(disk)

    def status(self, disk: Disk) -> DiskStatus:
        return self.statuses([disk])[0]

    def is_open(self, disk: Disk) -> bool:
        end = device.look().ends.get(device.side(disk).minor)
        return end is not None and end.role == "Primary"

    def statuses(self, disks: Sequence[Disk]) -> list[DiskStatus]:
        volumes, table, module = lvm_volumes.find(), device.look(), device.module()
        log = device.kernel_log() if any(not end.connected for end in table.ends.values()) else []
        return [_status(disk, volumes, _mirror(device.side(disk), table, module, log)) for disk in disks]

    def grow(self, disk: Disk, *, size: int) -> None:
        lvm_volumes.grow(device.side(disk).data, size, exclusive=lvm.is_exclusive(disk))

    def rename(self, disk: Disk, new: Disk) -> None:
        one, two = device.side(disk), device.side(new)
        if one.data != two.data or one.meta != two.meta:
            end = device.look().ends.get(one.minor)
            if end is not None and _is_on(one, end):
                raise StorageError(detail=f"the volumes of {one.shown} cannot be renamed while it is up")
            lvm_volumes.rename(one.data, two.data)
            lvm_volumes.rename(one.meta, two.meta)
        lvm_volumes.belong(lvm.origin(new), two.data, two.meta)
        owner.move_local(disk, new)

    def snapshot(self, disk: Disk, new: Disk, *, size: int, progress: Progress) -> None:
        """Of the data at this end."""
        one = device.side(disk)
        state = _up(one).disk
        if state != "UpToDate":
            raise StorageError(detail=f"{one.shown} has no snapshot: its data on this node are {state}; wait until "
                                      "they are synchronised")
        lvm.snapshot(one.data, new, size, progress)

    def connect(self, disk: Disk, *, instance: str, dual_primary: bool) -> None:
        device.connect(device.side(disk), dual_primary=dual_primary)

    def disconnect(self, disk: Disk) -> None:
        device.disconnect(device.side(disk))

    def wait_connected(self, disks: Sequence[Disk], *, progress: Progress) -> None:
        drbd_watch.until_connected([device.side(disk) for disk in disks], progress)

    def wait_synced(self, disks: Sequence[Disk], *, progress: Progress) -> None:
        drbd_watch.until_synced([device.side(disk) for disk in disks], progress)

    def replace_local(self, disk: Disk, new: Disk) -> None:
        """Also back to volumes it had before: with new metadata, or changes that went to other volumes meanwhile would
        be taken for done.  To the very volumes it has, when a peer that was with others meanwhile does not know any
        more what is on them.
        """
        one, two = device.side(disk), device.side(new)
        if one.minor != two.minor:
            raise StorageError(detail=f"{one.shown} keeps its minor when its volumes are replaced, it cannot become "
                                      f"{two.minor}")
        lvm_volumes.activate(two.data, two.meta)
        end = _within_reach(one)
        if end.disk != "Diskless" and device.shown(one.minor).data == str(lvm_volumes.device(two.data)):
            if end.connected or one.data != two.data:
                return
            device.down(one)
            end = _within_reach(one)
        if not end.connected or end.peer_disk != "UpToDate":
            problem = drbd_status.judge(end, one.minor, reason=device.reason(end)).problem
            raise StorageError(detail=f"the volumes of {one.shown} cannot be replaced, the peer has no complete "
                                      f"data to fill new ones from: {problem or end.peer_disk}")
        if end.disk != "Diskless":
            device.do(one, commands.detach(one.minor), "cannot let go of its volumes")
        if one.data != two.data:
            _give_up(one)
        device.renew_meta(two)
        device.attach(two)

    def replace_peer(self, disk: Disk, new: Disk) -> None:
        """The data become a new generation: what was sent to other peers meanwhile is not known to be missing on a
        former one that comes back later.  So that is filled wholly, or refused (see `replace_local`): only the last
        few generations are remembered.
        """
        one, two = device.side(disk), device.side(new)
        end = _up(one)
        if end.disk != "UpToDate":
            raise StorageError(detail=f"{one.shown} cannot be given another peer: its own data are {end.disk}")
        present = device.shown(one.minor)
        if not end.alone:
            if device.is_linked(two, present):
                return
            device.disconnect(one)
        device.do(one, commands.new_generation(one.minor), "cannot be given another peer")
        device.tune(two, present)
        device.connect(two, dual_primary=False)

    def resize(self, disk: Disk, *, size: int) -> None:
        one = device.side(disk)
        end = _up(one)
        if end.size >= size * 1024:
            return
        if not end.connected:
            raise StorageError(detail=f"{one.shown} cannot grow: {drbd_status.judge(end, one.minor).problem}")
        device.do(one, commands.resize(one.minor, size), f"cannot grow to {size} MiB")

    def discard(self, disk: Disk, *, instance: str) -> None:
        one = device.side(disk)
        end = _up(one)
        if end.role == "Primary":
            raise StorageError(detail=f"the data of {one.shown} cannot be given up: it is primary on this node")
        if end.connected:
            return
        if end.disk != "Diskless" and device.reason(end) == drbd_status.UNRELATED:
            device.down(one)  # with the data there would be no connection
            _within_reach(one)
            return
        device.disconnect(one)
        device.connect(one, dual_primary=False, discard=True)

    def _assembled(self, disk: Disk, instance: str, epoch: int) -> Side:
        """Up and connected, or looking for its peer; little is asked when it is so already."""
        one = device.side(disk)
        owner.claim_local(disk, epoch=epoch, instance=instance)
        device.load_module()
        table = device.look()
        end = table.ends.get(one.minor)
        if end is None or end.disk == "Diskless":
            lvm_volumes.activate(one.data, one.meta)
            device.bring_up(one, table)
            device.connect(one, dual_primary=None)
        else:
            present = device.check_volumes(one)
            device.tune(one, present)
            if end.alone or not device.is_linked(one, present):
                device.connect(one, dual_primary=None)
        return one

    def _opened(self, disk: Disk, path: str, instance: str, epoch: int) -> str:
        owner.claim_local(disk, epoch=epoch, instance=instance, opened=True)
        return path


def _up(one: Side) -> End:
    end = device.look().ends.get(one.minor)
    if end is None:
        raise StorageError(detail=f"{one.shown} is not up on this node; run gnt-instance activate-disks")
    return end


def _within_reach(one: Side) -> End:
    """The device, made without a disk and connected where there is none: its volumes may be lost."""
    table = device.look()
    if one.minor in table.ends:
        return table.ends[one.minor]
    device.load_module()
    device.begin(one, table)
    device.connect(one, dual_primary=None)
    return device.settled(one, PEER_SECONDS)


def _is_on(one: Side, end: End) -> bool:
    """Whether the device is that of these volumes, and not one that has got others since.

    Without a disk it is taken for theirs, unless it is in use.
    """
    if end.disk == "Diskless":
        return end.role != "Primary"
    return device.shown(one.minor).data == str(lvm_volumes.device(one.data))


def _is_foreign(one: Side) -> bool:
    """Whether the minor is in use with volumes of something else, which is to be left alone."""
    end = device.look().ends.get(one.minor)
    return end is not None and end.disk != "Diskless" and \
        device.shown(one.minor).data != str(lvm_volumes.device(one.data))


def _give_up(one: Side) -> None:
    """What lies on volumes that get no more changes never counts as whole again.  The peer forgets what they lack as
    the new ones are filled: should nobody hear that these ones were left, they would be taken for up to date.
    """
    try:
        if one.meta in lvm_volumes.find():
            lvm_volumes.activate(one.meta)
            device.renew_meta(one)
    except Error as err:
        lvm_volumes.log.warning("%s: what was said of its old volumes cannot be taken back: %s", one.shown, err)


def _drop(where: LvmLocation) -> None:
    try:
        lvm_volumes.remove(where)
    except Error as err:
        lvm_volumes.log.warning("logical volume %s/%s stays: %s", where.vg, where.lv, err)


def _mirror(one: Side, table: Table, module: Module, log: Sequence[str]) -> tuple[End | None, MirrorStatus]:
    end = table.ends.get(one.minor)
    reason = "" if end is None or end.connected else drbd_status.why_alone(log, end.minor, end.resource)
    return end, drbd_status.judge(end, one.minor, eta=module.eta.get(one.minor), reason=reason)


def _status(disk: Disk, volumes: dict[LvmLocation, Volume], seen: tuple[End | None, MirrorStatus]) -> DiskStatus:
    one, (end, mirror) = device.side(disk), seen
    found = [volumes[where] for where in (one.data, one.meta) if where in volumes]
    whole = len(found) == 2 and not any(item.partial or lvm_volumes.NEW in item.tags for item in found)
    size = end.size // 1024 if end is not None and end.size else min(disk.size, found[0].size // MIB) if whole else 0
    remains = not whole and one.data in volumes and lvm_volumes.NEW not in volumes[one.data].tags
    major, minor = lvm_volumes.node_number(one.path) if end is not None else (None, None)
    return DiskStatus(path=str(one.path), exists=whole, remains=remains, size=size,
                      owner_epoch=owner.read_local(disk).epoch, open=end is not None and end.role == "Primary",
                      used=end is not None and "Primary" in (end.role, end.peer_role),
                      major=major, minor=minor, mirror=mirror)
