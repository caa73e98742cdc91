# SPDX-License-Identifier: BSD-2-Clause
"""A model of mirrored disks: two ends, a connection with the settings of both, and who has the newest data.

It refuses what DRBD refuses, and it notices what must never be: a disk that is primary at both ends without having
been told that this is wanted, and data that is overwritten by older data.
"""

from dataclasses import dataclass

from gantry.constants import DiskTemplate
from gantry.errors import ExecError, StaleOwner, StorageError
from gantry.objects.instance import Disk, DrbdEnd, DrbdLocation, LvmLocation
from support.guest_world import World

PRIMARY, SECONDARY = "Primary", "Secondary"


def mirrored(uuid="d1", *, nodes=("n1", "n2"), size=256, pci=12, port=11001, minor=0, index=0):
    """A disk with ends on two nodes."""
    ends = tuple(DrbdEnd(node=node, address=f"198.51.100.{node[1:]}", minor=minor,
                         data=LvmLocation(vg="xenvg", lv=f"{uuid}.disk{index}_data"),
                         meta=LvmLocation(vg="xenvg", lv=f"{uuid}.disk{index}_meta")) for node in nodes)
    return Disk(uuid=uuid, name="", dev_type=DiskTemplate.DRBD, size=size, pci=pci, nodes=nodes,
                drbd=DrbdLocation(port=port, secret="s", ends=ends))


@dataclass
class End:
    """`net`: None stands alone, single or dual.  `gen`: generation of the data, 0 before the first synchronisation."""

    minor: int
    size: int
    epoch: int
    volumes: tuple
    up: bool = False
    role: str = SECONDARY
    net: str | None = None
    gen: int = 0
    content: str = ""


class MirrorWorld(World):
    """`ends` by (node, disk)."""

    def __init__(self, config):
        self.ends = {}
        super().__init__(config)

    def _installed(self, item, one):
        if one.drbd is None:
            super()._installed(item, one)
            return
        up = item.disks_active
        for end in one.drbd.ends:
            role = PRIMARY if up and end.node == item.primary_node else SECONDARY
            self.ends[end.node, one.uuid] = End(
                minor=end.minor, size=one.size, epoch=item.owner_epoch, volumes=(end.data.lv, end.meta.lv), gen=1,
                content="installed", up=up, role=role, net="single" if up else None)

    def snapshot(self, *, without=()):
        ends = {key: (end.minor, end.size, end.volumes, end.up, end.role, end.net, end.gen > 0, end.content)
                for key, end in self.ends.items()}
        return super().snapshot(without=without) | {"ends": ends}

    def ask(self, node, name, args):
        answer = super().ask(node, name, args)
        for disk in {disk for _, disk in self.ends}:
            roles = [end for (_, other), end in self.ends.items() if other == disk and end.role == PRIMARY]
            assert len(roles) < 2 or all(end.net == "dual" for end in roles), f"{disk} is primary twice after {name}"
        return answer

    def fail(self, node):
        """The node is dead: its peers lose their connections, and what they write from now on it does not have."""
        self.down.add(node)
        self.guests[node].clear()
        for (where, disk), end in self.ends.items():
            if where == node:
                end.up, end.role, end.net = False, SECONDARY, None
                other = self._other(node, disk)
                if other is not None and other.role == PRIMARY:
                    other.gen += 1

    # --- helpers -----------------------------------------------------------------------------------------

    def _end(self, node, one):
        found = self.ends.get((node, one.uuid))
        if found is None or found.volumes != self._volumes(node, one):
            raise StorageError(detail=f"the volumes of disk {one.uuid} are not there")
        return found

    def _volumes(self, node, one):
        end = one.drbd.end(node)
        return (end.data.lv, end.meta.lv)

    def _other(self, node, disk):
        return next((end for (where, found), end in self.ends.items() if found == disk and where != node), None)

    def _talks(self, node, disk):
        """The other end, when they are connected."""
        mine, other = self.ends[node, disk], self._other(node, disk)
        return other if mine.up and other is not None and other.up and mine.net and mine.net == other.net else None

    def _whole(self, node, disk):
        """Whether the end has the newest data, as far as it can know."""
        mine, other = self.ends[node, disk], self._talks(node, disk)
        return mine.gen > 0 and (other is None or mine.gen >= other.gen)

    def _used(self, node, instance):
        guest = self.guests[node].get(instance)
        return guest is not None and guest.state != "sent"

    def _meet(self, node, disk):
        """Two ends whose settings do not fit drop the connection for good."""
        mine, other = self.ends[node, disk], self._other(node, disk)
        if other is not None and other.up and mine.net and other.net and mine.net != other.net:
            mine.net = other.net = None

    # --- calls -------------------------------------------------------------------------------------------

    def _disk_create(self, node, disk, owner_epoch, wipe):
        if disk.drbd is None:
            super()._disk_create(node, disk, owner_epoch, wipe)
            return
        if disk.size > self.disk_free:
            raise StorageError(detail="no space left in the volume group")
        self.ends.setdefault((node, disk.uuid), End(minor=disk.drbd.end(node).minor, size=disk.size,
                                                    epoch=owner_epoch, volumes=self._volumes(node, disk)))

    def _disk_remove(self, node, disk):
        if disk.drbd is None:
            super()._disk_remove(node, disk)
            return
        found = self.ends.get((node, disk.uuid))
        if found is not None and found.volumes == self._volumes(node, disk):
            owner = self.config.owner_of(disk.uuid)
            if owner is not None and self._used(node, owner.uuid):
                raise StorageError(detail="the device is in use")
            del self.ends[node, disk.uuid]

    def _disks_assemble(self, node, disks, instance, owner_epoch):
        for one in disks:
            if one.drbd is None:
                super()._disks_open(node, [one], instance, owner_epoch)
                continue
            end = self._end(node, one)
            if end.epoch > owner_epoch:
                raise StaleOwner(disk=one.uuid, theirs=end.epoch, ours=owner_epoch)
            end.epoch, end.up = owner_epoch, True
            end.net = end.net or "single"
            self._meet(node, one.uuid)
        return [self._device(node, one) for one in disks]

    def _device(self, node, one):
        return self._path(one) if one.drbd is None else f"/dev/drbd{one.drbd.end(node).minor}"

    def _disks_open(self, node, disks, instance, owner_epoch):
        found = self._disks_assemble(node, disks, instance, owner_epoch)
        for one in disks:
            if one.drbd is not None:
                if not self._whole(node, one.uuid):
                    raise StorageError(detail=f"the data of disk {one.uuid} is not UpToDate")
                self._promote(node, one)
        return found

    def _disks_force(self, node, disks, instance, owner_epoch):
        found = self._disks_assemble(node, disks, instance, owner_epoch)
        for one in disks:
            if one.drbd is not None:
                end = self.ends[node, one.uuid]
                end.gen = max(end.gen, 1)
                self._promote(node, one)
        return found

    def _promote(self, node, one):
        end, other = self.ends[node, one.uuid], self._talks(node, one.uuid)
        if other is not None and other.role == PRIMARY and end.net != "dual":
            raise StorageError(detail="Multiple primaries not allowed by config")
        end.role = PRIMARY
        if other is None:
            end.gen += 1

    def _disks_demote(self, node, disks, instance):
        for one in disks:
            if one.drbd is not None and (node, one.uuid) in self.ends:
                if self._used(node, instance):
                    raise StorageError(detail="the device is in use")
                self.ends[node, one.uuid].role = SECONDARY

    def _disks_close(self, node, disks, instance):
        super()._disks_close(node, [one for one in disks if one.drbd is None], instance)
        self._disks_demote(node, disks, instance)
        for one in disks:
            if one.drbd is not None and (node, one.uuid) in self.ends:
                self._lose(node, one.uuid)
                end = self.ends[node, one.uuid]
                end.up, end.net = False, None

    def _lose(self, node, disk):
        """The connection ends: who is primary goes on alone."""
        other = self._talks(node, disk)
        for end in (self.ends[node, disk], other):
            if other is not None and end.role == PRIMARY:
                end.gen += 1

    def _drbd_connect(self, node, disks, instance, dual_primary):
        for one in disks:
            end, wanted = self._end(node, one), "dual" if dual_primary else "single"
            if not end.up:
                raise StorageError(detail=f"disk {one.uuid} is not assembled")
            other = self._talks(node, one.uuid)
            if other is not None:  # the peer follows, the connection stays
                if wanted == "single" and end.role == other.role == PRIMARY:
                    raise StorageError(detail=f"disk {one.uuid} is primary on both nodes")
                end.net = other.net = wanted
                continue
            end.net = wanted
            self._meet(node, one.uuid)

    def _drbd_disconnect(self, node, disks):
        for one in disks:
            if (node, one.uuid) in self.ends:
                self._lose(node, one.uuid)
                self.ends[node, one.uuid].net = None

    def _drbd_wait_connected(self, node, disks):
        for one in disks:
            if self._talks(node, one.uuid) is None:
                raise StorageError(detail=f"disk {one.uuid} is not connected")

    def _drbd_wait_synced(self, node, disks):
        self._drbd_wait_connected(node, disks)
        for one in disks:
            mine, other = self.ends[node, one.uuid], self._other(node, one.uuid)
            newer, older = (mine, other) if mine.gen >= other.gen else (other, mine)
            assert older.role != PRIMARY or newer.gen == older.gen, "older data is in use"
            older.gen, older.content = newer.gen, newer.content

    def _volumes_list(self, node):
        found = [{"vg": "xenvg", "name": name, "size": end.size, "devices": ["sda2"], "online": end.up}
                 for (where, _), end in self.ends.items() if where == node for name in end.volumes]
        return super()._volumes_list(node) + found

    def _disks_status(self, node, disks):
        return [super(MirrorWorld, self)._disks_status(node, [one])[0] if one.drbd is None else self._status(node, one)
                for one in disks]

    def _status(self, node, one):
        end, found = one.drbd.end(node), self.ends.get((node, one.uuid))
        state = {"path": f"/dev/drbd{end.minor}", "exists": found is not None, "size": found.size if found else 0,
                 "open": bool(found and found.role == PRIMARY), "owner_epoch": found.epoch if found else 0,
                 "remains": False,
                 "used": any(uuid in guests for guests in self.guests.values()
                             for uuid in [getattr(self.config.owner_of(one.uuid), "uuid", "")]),
                 "major": 147, "minor": end.minor}
        mirror = {"minor": end.minor, "role": "Unknown", "peer_role": "Unknown", "connection": "Unconfigured",
                  "disk": "Unknown", "peer_disk": "Unknown", "percent": None, "eta_seconds": None, "out_of_sync": 0,
                  "status": "down", "problem": ""}
        if found is not None and found.up:
            mirror |= self._mirror(node, one.uuid, found)
        return state | {"mirror": mirror}

    def _mirror(self, node, disk, end):
        other = self._talks(node, disk)
        whole = self._whole(node, disk)
        seen = {"role": end.role, "disk": "UpToDate" if whole else "Inconsistent"}
        if other is None:
            return seen | {"connection": "WFConnection" if end.net else "StandAlone", "peer_disk": "DUnknown",
                           "status": "degraded" if whole else "faulty", "problem": "the peer is not connected"}
        synced = end.gen == other.gen > 0
        there = "UpToDate" if other.gen >= end.gen > 0 else "Inconsistent"
        connection = "Connected" if synced else "SyncSource" if whole else "SyncTarget"
        return seen | {"connection": connection, "peer_role": other.role, "peer_disk": there,
                       "status": "ok" if synced else "sync", "percent": None if synced else 50.0,
                       "eta_seconds": None if synced else 5, "out_of_sync": 0 if synced else 131072}

    def _script(self, node, disks, content):
        for one in disks:
            if one.drbd is None:
                super()._script(node, [one], content)
                continue
            end = self.ends[node, one.uuid]
            if end.role != PRIMARY:
                raise ExecError(detail=f"disk {one.uuid} is not open")
            end.content = content
            other = self._talks(node, one.uuid)
            if other is not None and other.gen == end.gen:
                other.content = content
