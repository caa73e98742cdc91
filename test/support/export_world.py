# SPDX-License-Identifier: BSD-2-Clause
"""A model of exports: what is read from disks must be of one moment, and is there once it is finished."""

from gantry.errors import ExecError, NotFound, StorageError
from gantry.objects.node import OsDefinition
from support.disk_world import DiskWorld
from support.guest_world import File, cluster_config, instance


def export_world(*disks, active=True, nodes=None, cluster=None, **fields):
    """One instance, web1, with these disks; `active`: they are up."""
    template = disks[0].dev_type if disks else "diskless"
    one = instance(template=template, disks=tuple(item.uuid for item in disks), disks_active=active,
                   **{"admin_state": "down"} | fields)
    wide = {"enabled_disk_templates": ("drbd", "plain", "file", "sharedfile", "diskless"), "volume_group_name": "vg0"}
    world = ExportWorld(cluster_config(one, disks=disks, nodes=nodes, cluster=wide | (cluster or {})))
    if active:
        world.bring_up(one)
    return world


class ExportWorld(DiskWorld):
    """`exports`, `unfinished`: by (node, name), the dumps by name and, when finished, `config`."""

    def __init__(self, config):
        self.exports, self.unfinished, self.sent = {}, {}, {}
        super().__init__(config)

    def snapshot(self, *, without=()):
        found = super().snapshot(without=without)
        return found | {"exports": {place: sorted(dumps) for place, dumps in self.exports.items()},
                        "unfinished": sorted(self.unfinished)}

    def _quiet(self, disk):
        """Whether nobody writes on it."""
        return not any(self.running(uuid) and any(one.uuid == disk.uuid for one in disks)
                       for uuid, disks in self.using.items())

    def _os_list(self, node):
        return [OsDefinition(name="tiny", path="/os/tiny", api_versions=(20,))]

    def _instance_pause(self, node, instance, hypervisor, paused):
        self.guests[node][instance].state = "paused" if paused else "running"

    def _disk_snapshot(self, node, disk, snapshot, size):
        file, place = self.files[self._place(node, disk)], self._place(node, snapshot)
        if place in self.files:
            return
        assert size > 0
        if snapshot.file is not None:
            assert self._quiet(disk), "a file is copied while it is written"
        if disk.drbd is not None and not self._good(node, self._device(node, disk)):
            raise StorageError(detail="it is not up to date")
        self.files[place] = File(disk=snapshot.uuid, size=file.size, epoch=file.epoch, content=file.content)

    def _export_list(self, node):
        return sorted(name for place, name in self.exports if place == node)

    def _export_info(self, node, path):
        try:
            return self.exports[node, path.rpartition("/")[2]]["config"]
        except KeyError:
            raise NotFound(kind="Export", name=path) from None

    def _export_begin(self, node, name):
        self.unfinished[node, name] = {}

    def _export_drop(self, node, name):
        self.unfinished.pop((node, name), None)

    def _export_finish(self, node, name, config, dumps):
        if (node, name) not in self.unfinished:
            assert self.exports[node, name]["config"] == config
            return
        made = self.unfinished.pop((node, name))
        assert sorted(made) == sorted(dumps)
        self.exports[node, name] = made | {"config": config}

    def _export_remove(self, node, name):
        self.exports.pop((node, name), None)

    def _export_send(self, node, dump, target, compress):
        file = self.files[self._place(node, dump.disk)]
        assert self._quiet(dump.disk), "a disk is read while it is written"
        if node not in file.open_on and dump.disk.drbd is None:
            raise ExecError(detail=f"{dump.disk.uuid} is not open")
        assert target.host == self.config.nodes[target.peer].secondary_ip
        assert not dump.os or {"EXPORT_INDEX", "INSTANCE_NAME"} <= dump.env.keys()
        self.sent[target.port] = (node, dump.name, compress, file.content)
        return file.size

    def _export_receive(self, node, name, dump, size, source, compress):
        content = self._come(source, dump, compress)
        self.unfinished[node, name][dump] = content
        return len(content)

    def _import_send(self, node, path, dump, target, compress):
        self.sent[target.port] = (node, dump, compress, self.exports[node, path.rpartition("/")[2]][dump])

    def _import_receive(self, node, dump, source, compress):
        content = self._come(source, dump.name, compress)
        assert not dump.os or {"IMPORT_INDEX", "INSTANCE_NAME"} <= dump.env.keys()
        file = self.files[self._place(node, dump.disk)]
        if node not in file.open_on and dump.disk.drbd is None:
            raise ExecError(detail=f"{dump.disk.uuid} is not open")
        self.given_up.add(dump.disk.uuid)  # it is in the export
        self._scribble(node, dump.disk, content)

    def _come(self, source, dump, compress):
        if source.port not in self.sent:
            raise StorageError(detail="the other node did not call")
        peer, sent, tool, content = self.sent.pop(source.port)
        assert (peer, sent, tool) == (source.peer, dump, compress)
        return content
