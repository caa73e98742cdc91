# SPDX-License-Identifier: BSD-2-Clause
"""A model of plain and mirrored disks: volumes with what is on them, devices with their roles and connections.

A guest that runs writes on all of its disks each time a node is asked something.  After every call the newest data
of each disk must lie somewhere whole; `orphans` are volumes and devices that no record names.
"""

import itertools
from dataclasses import dataclass

from gantry.constants import DiskTemplate
from gantry.errors import HypervisorError, StaleOwner, StorageError
from gantry.objects.instance import Disk, DrbdEnd, DrbdLocation, LvmLocation
from support.guest_world import File, World, cluster_config, instance

GOOD, BAD = "UpToDate", "Inconsistent"
VG = "vg0"
META = 128


def end(node, minor, stem):
    return DrbdEnd(node=node, address=f"198.51.100.{node[1:]}", minor=minor,
                   data=LvmLocation(vg=VG, lv=f"{stem}_data"), meta=LvmLocation(vg=VG, lv=f"{stem}_meta"))


def mirrored(uuid="d1", *, index=0, nodes=("n1", "n2"), size=256, pci=12):
    ends = tuple(end(node, index, f"{uuid}-{node}.disk{index}") for node in nodes)
    return Disk(uuid=uuid, name="", dev_type=DiskTemplate.DRBD, size=size, pci=pci, nodes=nodes,
                drbd=DrbdLocation(port=11100 + index, secret="s" * 8, ends=ends))


def plain(uuid="d1", *, index=0, node="n1", size=256, pci=12):
    return Disk(uuid=uuid, name="", dev_type=DiskTemplate.PLAIN, size=size, pci=pci, nodes=(node,),
                lvm=LvmLocation(vg=VG, lv=f"{uuid}.disk{index}"))


def disk_world(*disks, nodes=None, cluster=None, active=True, **fields):
    """One instance, web1, with these disks; `active`: they are up."""
    one = instance(template=disks[0].dev_type, disks=tuple(item.uuid for item in disks), disks_active=active,
                   **{"admin_state": "down"} | fields)
    wide = {"enabled_disk_templates": ("drbd", "plain", "file", "sharedfile"), "volume_group_name": VG}
    world = DiskWorld(cluster_config(one, disks=disks, nodes=nodes, cluster=wide | (cluster or {})))
    if active:
        world.bring_up(one)
    return world


@dataclass
class Device:
    """A mirror's device on a node: its end, who may talk to it, `role`, whether it stands alone, its size."""

    disk: str
    end: DrbdEnd
    port: int
    secret: str
    peer: str
    size: int
    role: str = "Secondary"
    alone: bool = False


class DiskWorld(World):
    """`using`: by guest, the disks it has open; `newest`: by disk, what was written last; `seen`: sizes guests know;
    `given_up`: disks that are to be lost; `strange`: volumes with data that the primary does not know any more.
    """

    def __init__(self, config):
        self.devices, self.using, self.newest, self.seen = {}, {}, {}, {}
        self.given_up, self.incoming = set(), {}
        self.strange = set()
        self._writes = itertools.count(1)
        super().__init__(config)

    def _installed(self, item, one):
        for node in one.nodes or (item.primary_node,):
            self._make(node, one, item.owner_epoch, GOOD)
            self.files[self._place(node, one)].content = "installed"
        self.newest[one.uuid] = "installed"

    def run(self, item, node=None, **more):
        super().run(item, node, **more)
        self.using[item.uuid] = list(self.config.disks_of(item))
        return self

    def bring_up(self, one):
        for disk in self.config.disks_of(one):
            for node in disk.nodes or (one.primary_node,):
                self._assemble(node, disk, one.owner_epoch)
            if disk.drbd is not None:
                self.devices[one.primary_node, disk.drbd.end(one.primary_node).minor].role = "Primary"

    # --- places ----------------------------------------------------------------------------------------

    def _place(self, node, one):
        if one.drbd is not None:
            return self._volume(node, one.drbd.end(node).data)
        return super()._place(node, one)

    @staticmethod
    def _volume(node, where):
        return f"{node}:{where.vg}/{where.lv}"

    def _meta(self, node, side):
        return self._volume(node, side.meta)

    def _make(self, node, disk, epoch, state):
        self.files.setdefault(self._place(node, disk), File(disk=disk.uuid, size=disk.size, epoch=epoch))
        if disk.drbd is not None:
            meta = File(disk=disk.uuid, size=META, content=state)
            self.files.setdefault(self._meta(node, disk.drbd.end(node)), meta)

    def _device(self, node, disk):
        return self.devices.get((node, disk.drbd.end(node).minor))

    def _other(self, node, device):
        """(node, device) that it is connected to."""
        for (there, _), other in self.devices.items():
            if there != node and (other.port, other.secret) == (device.port, device.secret) and not (
                    device.alone or other.alone or {node, there} & self.down) and not (
                    {self._volume(node, device.end.data), self._volume(there, other.end.data)} & self.strange) and (
                    other.peer, device.peer) == (device.end.address, other.end.address):
                return there, other
        return None, None

    def _good(self, node, device):
        """Whether it has its volumes, and whole data on them."""
        meta = self.files.get(self._meta(node, device.end))
        return meta is not None and meta.content == GOOD and self._volume(node, device.end.data) in self.files

    def _set_good(self, node, device, content):
        self.files[self._volume(node, device.end.data)].content = content
        self.files[self._meta(node, device.end)].content = GOOD

    def settle(self):
        """What resyncs do if they are given time."""
        for (node, _), device in self.devices.items():
            there, other = self._other(node, device)
            if other is not None and self._good(node, device):
                content = self.files[self._volume(node, device.end.data)].content
                whole = self._volume(there, other.end.data) in self.files
                if whole and (not self._good(there, other) or content == self.newest.get(device.disk, "")):
                    self._set_good(there, other, content)

    def snapshot(self, *, without=()):
        self.settle()
        found = super().snapshot(without=without)
        found["files"] = {path: (file.disk, file.size, file.content in (GOOD, self.newest.get(file.disk)),
                                 tuple(sorted(file.open_on))) for path, file in self.files.items()}
        found["devices"] = {key: (device.disk, device.end, device.role, device.alone, device.size,
                                  self._other(key[0], device)[0]) for key, device in self.devices.items()}
        found["using"] = {uuid: sorted((disk.uuid, disk.dev_type) for disk in disks)
                          for uuid, disks in self.using.items()}
        return found

    def orphans(self):
        """Volumes and devices that no disk of the configuration names, and those that are missing."""
        wanted, devices = set(), set()
        for one in self.config.instances.values():
            for disk in self.config.disks_of(one):
                for node in disk.nodes or (one.primary_node,):
                    wanted.add(self._place(node, disk))
                    if disk.drbd is not None:
                        wanted.add(self._meta(node, disk.drbd.end(node)))
                        devices.add((node, disk.drbd.end(node).minor))
        return wanted ^ set(self.files), set(self.devices) - devices

    # --- what happens meanwhile ------------------------------------------------------------------------

    def ask(self, node, name, args):
        for uuid, disks in self.using.items():
            for place in self.running(uuid):
                for disk in disks:
                    self._scribble(place, disk, f"w{next(self._writes)}")
        answer = super().ask(node, name, args)
        for uuid, content in self.newest.items():
            if self.config.owner_of(uuid) is not None and uuid not in self.given_up:
                assert any(file.content == content for file in self.files.values() if file.disk == uuid), (
                    f"nobody has the newest data of {uuid} after {name} on {node}")
        return answer

    def _scribble(self, node, disk, content):
        self.newest[disk.uuid] = content
        if disk.drbd is None:
            self.files[self._place(node, disk)].content = content
            return
        device = self._device(node, disk)
        assert device is not None, f"the guest's device on {node} is gone"
        assert device.role == "Primary", f"the guest's device on {node} cannot be written"
        there, other = self._other(node, device)
        assert self._good(node, device) or (other is not None and self._good(there, other)), "I/O error"
        if self._good(node, device):
            self.files[self._volume(node, device.end.data)].content = content
        if other is not None and self._good(there, other):
            self.files[self._volume(there, other.end.data)].content = content

    def _used(self, place):
        """Whether a device or a guest holds the volume."""
        held = {self._volume(node, where) for (node, _), device in self.devices.items()
                for where in (device.end.data, device.end.meta)}
        held |= {self._place(node, disk) for uuid, disks in self.using.items() for node in self.running(uuid)
                 for disk in disks if disk.drbd is None}
        return place in held

    def _busy(self, node, device):
        return any(node in self.running(uuid) and any(disk.uuid == device.disk and disk.drbd is not None
                                                      for disk in disks) for uuid, disks in self.using.items())

    # --- calls -----------------------------------------------------------------------------------------

    def _disk_create(self, node, disk, owner_epoch, wipe):
        if disk.size > self.disk_free:
            raise StorageError(detail="no space left on device")
        self._make(node, disk, owner_epoch, BAD)

    def _disk_remove(self, node, disk):
        if disk.drbd is not None:
            device = self._device(node, disk)
            if device is not None and device.end == disk.drbd.end(node):
                self._down(node, disk)
            places = [self._place(node, disk), self._meta(node, disk.drbd.end(node))]
        else:
            places = [self._place(node, disk)]
        for place in places:
            if self._used(place):
                raise StorageError(detail=f"{place} is in use")
            self.files.pop(place, None)

    def _disk_grow(self, node, disk, size):
        file = self.files[self._place(node, disk)]
        file.size = max(file.size, size)

    def _disk_wipe(self, node, disk, start, size):
        assert self.files[self._place(node, disk)].size == start + size

    def _assemble(self, node, disk, epoch):
        file = self.files.get(self._place(node, disk))
        if file is None:
            raise StorageError(detail=f"{self._place(node, disk)} is not there")
        if file.epoch > epoch:
            raise StaleOwner(disk=disk.uuid, theirs=file.epoch, ours=epoch)
        file.epoch = epoch
        if disk.drbd is None:
            file.open_on.add(node)
            return
        side, location = disk.drbd.end(node), disk.drbd
        device = self.devices.get((node, side.minor))
        if device is None:
            device = self.devices[node, side.minor] = Device(
                disk=disk.uuid, end=side, port=location.port, secret=location.secret,
                peer=location.peer(node).address, size=disk.size)
        if device.disk != disk.uuid or device.end != side:
            raise StorageError(detail=f"minor {side.minor} on {node} is something else")
        device.port, device.secret, device.alone = location.port, location.secret, False
        device.peer = location.peer(node).address
        self._knock(node, device)

    def _knock(self, node, device):
        """Whoever waits at the port for somebody else parts with the one that comes."""
        for (there, _), other in self.devices.items():
            if there != node and (other.end.address, other.port) == (device.peer, device.port) and \
                    other.secret != device.secret and self._other(there, other)[1] is None:
                device.alone = other.alone = True

    def _disks_assemble(self, node, disks, instance, owner_epoch):
        for disk in disks:
            self._assemble(node, disk, owner_epoch)
        return [disk.uuid for disk in disks]

    def _disks_open(self, node, disks, instance, owner_epoch):
        for disk in disks:
            self._assemble(node, disk, owner_epoch)
            if disk.drbd is not None:
                self._promote(node, self._device(node, disk))
        return [disk.uuid for disk in disks]

    def _disks_force(self, node, disks, instance, owner_epoch):
        for disk in disks:
            self._assemble(node, disk, owner_epoch)
            if disk.drbd is not None:
                device = self._device(node, disk)
                self._set_good(node, device, self.files[self._place(node, disk)].content)
                self._promote(node, device)
        return [disk.uuid for disk in disks]

    def _promote(self, node, device):
        there, other = self._other(node, device)
        if not self._good(node, device) and not (other is not None and self._good(there, other)):
            raise StorageError(detail=f"minor {device.end.minor} on {node} is {BAD}")
        if other is not None and other.role == "Primary":
            raise StorageError(detail="Multiple primaries not allowed by config")
        device.role = "Primary"

    def _disks_demote(self, node, disks, instance):
        for disk in disks:
            if disk.drbd is not None and self._device(node, disk) is not None:
                assert not self._busy(node, self._device(node, disk))
                self._device(node, disk).role = "Secondary"

    def _disks_close(self, node, disks, instance):
        for disk in disks:
            if disk.drbd is not None:
                self._down(node, disk)
            elif self._place(node, disk) in self.files:
                self.files[self._place(node, disk)].open_on.discard(node)

    def _down(self, node, disk):
        device = self._device(node, disk)
        if device is not None and device.disk == disk.uuid:
            if self._busy(node, device):
                raise StorageError(detail=f"minor {device.end.minor} on {node} is held open")
            del self.devices[node, device.end.minor]

    def _disks_status(self, node, disks):
        found = []
        for disk in disks:
            file = self.files.get(self._place(node, disk))
            meta = disk.drbd is None or self._meta(node, disk.drbd.end(node)) in self.files
            state = {"path": self._place(node, disk), "exists": file is not None and meta,
                     "remains": file is not None and not meta, "size": self._size(node, disk, file),
                     "open": file is not None and node in file.open_on, "used": False, "mirror": None,
                     "owner_epoch": file.epoch if file else 0}
            found.append(state | ({"mirror": self._mirror(node, disk)} if disk.drbd is not None else {}))
        return found

    def _size(self, node, disk, file):
        """Of the device where there is one; of a mirror that is down what is recorded."""
        device = self._device(node, disk) if disk.drbd is not None else None
        size = file.size if file else 0
        return device.size if device is not None else size if disk.drbd is None else min(size, disk.size)

    def _mirror(self, node, disk):
        device = self._device(node, disk)
        if device is None:
            return {"status": "down", "disk": "", "problem": "it is not set up"}
        there, other = self._other(node, device)
        whole = self._meta(node, device.end) in self.files and self._volume(node, device.end.data) in self.files
        state = ("Diskless" if not whole else GOOD if self._good(node, device) else BAD)
        fine = state == GOOD and other is not None and self._good(there, other)
        return {"status": "ok" if fine else "sync" if other is not None and whole else "degraded", "disk": state,
                "role": device.role, "problem": "" if fine else "not in sync"}

    def _drbd_wait_connected(self, node, disks):
        for disk in disks:
            if self._other(node, self._device(node, disk))[1] is None:
                raise StorageError(detail=f"minor {disk.drbd.end(node).minor} on {node} has no peer")

    def _drbd_wait_synced(self, node, disks):
        self._drbd_wait_connected(node, disks)
        self.settle()
        for disk in disks:
            there, other = self._other(node, self._device(node, disk))
            assert self._good(there, other)
            assert self._good(node, self._device(node, disk))

    def _drbd_replace_local(self, node, disk, new):
        device, side = self._device(node, disk), new.drbd.end(node)
        if device is None:
            self._assemble(node, disk, self.files[self._place(node, disk)].epoch)
            device = self._device(node, disk)
        place = self._volume(node, side.data)
        if device.end == side and place not in self.strange:
            return
        self.strange.discard(place)
        there, other = self._other(node, device)
        if other is None or not self._good(there, other):
            self.strange |= {place} if device.end == side else set()
            raise StorageError(detail="the peer is not up to date")
        device.end = side
        self.files[self._meta(node, side)].content = BAD

    def _drbd_replace_peer(self, node, disk, new):
        device, former = self._device(node, disk), disk.drbd.peer(node)
        if device.peer == new.drbd.peer(node).address:
            return
        self.strange.add(self._volume(former.node, former.data))
        device.peer, device.port, device.secret = new.drbd.peer(node).address, new.drbd.port, new.drbd.secret
        device.alone = False

    def _drbd_resize(self, node, disk, size):
        device = self._device(node, disk)
        assert device.role == "Primary"
        there, other = self._other(node, device)
        for place, one in ((node, device), (there, other)):
            if self.files[self._volume(place, one.end.data)].size < size:
                raise StorageError(detail="the volumes are too small")
            one.size = size

    def _drbd_make_meta(self, node, disk):
        self.files.setdefault(self._meta(node, disk.drbd.end(node)), File(disk=disk.uuid, size=META, content=BAD))

    def _disk_copy(self, node, source, target):
        self.files[self._place(node, target)].content = self.files[self._place(node, source)].content
        if target.drbd is not None:
            self._scribble(node, target, self.newest[target.uuid])

    def _disk_receive(self, node, disk, source, listen, port, compress):
        self.incoming[port] = (node, disk, compress)

    def _disk_send(self, node, disk, target, host, port, compress):
        there, new, tool = self.incoming.pop(port)
        assert tool == compress
        assert (there, new.uuid, host) == (target, disk.uuid, self.config.nodes[there].secondary_ip)
        assert node in self.files[self._place(node, disk)].open_on
        assert there in self.files[self._place(there, new)].open_on
        self.files[self._place(there, new)].content = self.files[self._place(node, disk)].content

    # --- guests ----------------------------------------------------------------------------------------

    def _instance_disk_add(self, node, instance, hypervisor, disk, index, owner_epoch):
        answer = super()._instance_disk_add(node, instance, hypervisor, disk, index, owner_epoch)
        used = self.using.setdefault(instance, [])
        if disk.disk.uuid not in {one.uuid for one in used}:
            used.append(disk.disk)
            self.newest.setdefault(disk.disk.uuid, "")
        return answer

    def _instance_disk_remove(self, node, instance, hypervisor, disk):
        self.using[instance] = [one for one in self.using.get(instance, []) if one.uuid != disk.uuid]
        return super()._instance_disk_remove(node, instance, hypervisor, disk)

    def _instance_disk_resized(self, node, instance, hypervisor, disk, size):
        self.seen[disk.uuid] = size

    def _instance_disk_exchange(self, node, instance, hypervisor, old, new, owner_epoch):
        used = self.using.get(instance, [])
        if node not in self.running(instance):
            raise HypervisorError(detail="it does not run")
        for place, disk in enumerate(used):
            if disk.uuid == new.uuid and disk.dev_type != new.dev_type:
                self._disks_open(node, [new], instance, owner_epoch)
                self._scribble(node, new, self.newest[new.uuid])
                used[place] = new
                self._disks_close(node, [old], instance)

    def _instance_start(self, node, spec, paused):
        answer = super()._instance_start(node, spec, paused)
        self.using[spec.uuid] = [item.disk for item in spec.disks]
        return answer

    def _instance_stop(self, node, instance, hypervisor, timeout, force):
        super()._instance_stop(node, instance, hypervisor, timeout, force)
        self.using.pop(instance, None)


def without(world, *places):
    """Lose volumes."""
    for place in places:
        del world.files[place]
    return world
