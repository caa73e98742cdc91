# SPDX-License-Identifier: BSD-2-Clause
"""A model of a cluster with guests: the configuration, disk files, what runs where.  It does what node calls do,
and refuses what real nodes refuse.
"""

import asyncio
from dataclasses import dataclass, field, replace

from gantry.config.change import ConfigWriter
from gantry.config.config import Config
from gantry.constants import AdminState, DiskTemplate
from gantry.errors import Error, ExecError, HypervisorError, NodeUnreachable, StaleOwner, StorageError, WrongInput
from gantry.objects import codec, hvparams, params
from gantry.objects.cluster import Cluster, Network, Node, NodeGroup
from gantry.objects.instance import Disk, FileLocation, Instance, Nic
from gantry.objects.node import NodeInfo, StorageUnit
from gantry.objects.plan import Call, Delete, Master, Put, Say, Several, Sleep, Submit, Task, Update, fill
from gantry.objects.vm import Console, DiskTarget, MigrationStatus, MigrationTarget, VmStatus
from gantry.rpc.registry import CALLS
from support.small_cluster import MemoryStore

SHARED, LOCAL = "/srv/shared", "/srv/file"
NODES = ("n1", "n2", "n3")


def disk(uuid="d1", *, instance="web1", index=0, template=DiskTemplate.SHAREDFILE, node="n1", size=256, pci=12):
    base = SHARED if template is DiskTemplate.SHAREDFILE else LOCAL
    return Disk(uuid=uuid, name="", dev_type=template, size=size, pci=pci,
                file=FileLocation(path=f"{base}/{instance}/{uuid}.{template.value}.disk{index}"),
                nodes=(node,) if template is DiskTemplate.FILE else ())


def instance(name="web1", uuid="i1", *, disks=("d1",), template=DiskTemplate.SHAREDFILE, **more):
    nics = (Nic(uuid=f"{uuid}-c0", mac=f"aa:00:00:00:00:{len(uuid):02x}", pci=13),)
    return Instance(**{"uuid": uuid, "name": name, "primary_node": "n1", "os": "tiny", "hypervisor": "fake",
                       "disk_template": template, "disks": tuple(disks), "nics": nics, "network_port": 11000,
                       "machine": "q35", **more})


def cluster_config(*instances, disks=(), cluster=None, group=None, nodes=None):
    made = Cluster(uuid="c0", name="cluster", master_node="n1", master_ip="192.0.2.100",
                   shared_file_storage_dir=SHARED, file_storage_dir=LOCAL, enabled_hypervisors=("fake", "kvm"),
                   enabled_disk_templates=("sharedfile", "file", "diskless"),
                   hvparams={name: dict(values) for name, values in hvparams.DEFAULTS.items()},
                   beparams={"default": dict(params.BE_DEFAULTS)},
                   nicparams={"default": {"mode": "bridged", "link": "br0", "vlan": ""}},
                   ipolicy={"minmax": [{
                       "min": {"memory-size": 1, "cpu-count": 1, "disk-count": 0, "disk-size": 1, "nic-count": 0,
                               "spindle-use": 0},
                       "max": {"memory-size": 32768, "cpu-count": 8, "disk-count": 16, "disk-size": 100000,
                               "nic-count": 8, "spindle-use": 12}}]})
    made = replace(made, **(cluster or {}))
    rows = {f"n{index}": Node(uuid=f"n{index}", name=f"node{index}", primary_ip=f"192.0.2.{index}",
                              secondary_ip=f"198.51.100.{index}", group="g1") for index in (1, 2, 3)}
    for uuid, fields in (nodes or {}).items():
        rows[uuid] = replace(rows[uuid], **fields)
    net = Network(uuid="w1", name="office", network="203.0.113.0/29", gateway="203.0.113.1")
    default = NodeGroup(uuid="g1", name="default", networks={"w1": {"mode": "bridged", "link": "br7", "vlan": ""}})
    return Config({
        "cluster": {"c0": made}, "nodegroups": {"g1": replace(default, **(group or {}))},
        "nodes": rows, "networks": {"w1": net}, "disks": {item.uuid: item for item in disks},
        "instances": {item.uuid: item for item in instances}})


@dataclass
class File:
    disk: str
    size: int
    epoch: int = 1
    open_on: set = field(default_factory=set)
    content: str = ""


@dataclass
class Process:
    """`state`: running, incoming (waits for memory), sent (its memory is gone to the target).  `mirrored`: its disks
    are copied to the target."""

    epoch: int
    state: str = "running"
    memory: int = 128
    spec: object = None
    mirrored: bool = False
    nics: dict = field(default_factory=dict)


def filled(changes, results):
    """Changes of the configuration with the results they name filled in."""
    return [replace(item, fields=fill(item.fields, results)) if isinstance(item, Update) else item
            for item in changes]


class World:
    """`obstacle`: why no guest can be changed while it runs.

    `down`: nodes that do not answer.  `refuse`: call name to the error it raises."""

    def __init__(self, config):
        self.config = config
        self.store = MemoryStore()
        self.writer = ConfigWriter(config, self.store, now=lambda: 1000.0)
        self.files = {}
        self.guests = {node: {} for node in NODES}
        self.down, self.refuse, self.asked = set(), {}, []
        self.obstacle = ""
        self.memory_free, self.disk_free = 4096, 50000
        self.starts = 0
        self.said, self.jobs = [], []
        for item in config.instances.values():
            for one in config.disks_of(item):
                self._installed(item, one)

    def _installed(self, item, one):
        """A disk as it is when the test begins."""
        self.files[self._place(item.primary_node, one)] = File(
            disk=one.uuid, size=one.size, epoch=item.owner_epoch, content="installed")

    def run(self, item, node=None, **more):
        """Let the guest of an instance run."""
        node = node or item.primary_node
        self._disks_open(node, self.config.disks_of(item), item.uuid, item.owner_epoch)
        self.guests[node][item.uuid] = Process(epoch=item.owner_epoch, **more)
        return self

    def running(self, uuid):
        return [node for node, guests in self.guests.items() if uuid in guests and guests[uuid].state == "running"]

    def snapshot(self, *, without=()):
        """Everything that counts; `without`: names of an instance's fields that do not."""
        def plain(value):
            data = codec.encode(value)
            for name in ("serial_no", "ctime", "mtime", *without):
                data.pop(name, None)
            return data
        return {
            "config": {table: {uuid: plain(value) for uuid, value in objects.items()}
                       for table, objects in self.config.tables.items()},
            "files": {path: (file.disk, file.size, file.content, tuple(sorted(file.open_on)))
                      for path, file in self.files.items()},
            "guests": {(node, uuid): (guest.state, tuple(sorted(guest.nics.items())))
                       for node, guests in self.guests.items() for uuid, guest in guests.items()}}

    # --- actions ---------------------------------------------------------------------------------------

    def act(self, action, results):
        """Do an action of a plan; its result as JSON."""
        match action:
            case Put() | Update() | Delete():
                self._change([action], results)
            case Several():
                return self._several(action.actions, results)
            case Call() | Task():
                kind = CALLS[action.call]
                assert kind.task == isinstance(action, Task), action.call
                args = kind.decode_args(fill(action.args, results))
                return codec.encode(self.ask(action.node, action.call, args))
            case Say():
                self.said += fill(action.lines, results)
            case Submit():
                self.jobs += action.jobs
                return [[True, index] for index, _ in enumerate(action.jobs)]
            case Sleep() | Master():
                pass
        return None

    def _several(self, actions, results):
        """Changes of the configuration first; of the others all are done, then the first failure is raised."""
        changes = [item for item in actions if isinstance(item, (Put, Update, Delete))]
        if changes:
            self._change(changes, results)
        found, failed = [], []
        for item in actions:
            try:
                found.append(None if item in changes else self.act(item, results))
            except Error as err:
                found.append(None)
                failed.append(err)
        if failed:
            raise failed[0]
        return found

    def _change(self, actions, results):
        asyncio.run(self._write(filled(actions, results)))

    async def _write(self, changes):
        await self.writer.change(changes, who="job 1", why="test")

    def ask(self, node, name, args):
        self.asked.append((node, name))
        known = self.config.nodes[node]
        assert not known.offline, f"{name} was asked of {known.name}, which is offline"
        if node in self.down:
            raise NodeUnreachable(node=known.name, call=name, detail="no route to host")
        if name in self.refuse:
            raise self.refuse[name]
        answer = getattr(self, f"_{name}")(node, **args)
        for uuid in {uuid for guests in self.guests.values() for uuid in guests}:
            assert len(self.running(uuid)) < 2, f"{uuid} runs on {self.running(uuid)} after {name}"
        return answer

    # --- nodes -----------------------------------------------------------------------------------------

    def _version(self, node):
        return None

    def _node_info(self, node, storage):
        return NodeInfo(boot_id="b", memory_total=8192, memory_free=self.memory_free, memory_node=1, cpu_total=8,
                        cpu_sockets=1, cpu_nodes=1, storage=tuple(
                            StorageUnit(kind=kind, name=name, total=200000, free=self.disk_free)
                            for kind, name in storage))

    def _os_verify(self, node, os, params, force_variant):
        if not os.startswith("tiny"):
            raise WrongInput(detail=f"OS '{os}' is not there")

    def _hypervisor_validate(self, node, hypervisor, hvparams):
        pass

    def _instances_info(self, node, hypervisors):
        return [VmStatus(name=uuid, uuid=uuid, hypervisor="fake", memory=guest.memory, vcpus=1, machine="q35",
                         state="running" if guest.state == "running" else "paused", owner_epoch=guest.epoch)
                for uuid, guest in self.guests[node].items()]

    # --- disks -----------------------------------------------------------------------------------------

    def _place(self, node, one):
        if one.lvm is not None:
            return f"{node}:{one.lvm.vg}/{one.lvm.lv}"
        return one.file.path if one.dev_type is DiskTemplate.SHAREDFILE else f"{node}:{one.file.path}"

    def _disk_create(self, node, disk, owner_epoch, wipe):
        if disk.size > self.disk_free:
            raise StorageError(detail="no space left on device")
        self.files.setdefault(self._place(node, disk), File(disk=disk.uuid, size=disk.size, epoch=owner_epoch))

    def _disk_remove(self, node, disk):
        self.files.pop(self._place(node, disk), None)

    def _disk_grow(self, node, disk, size):
        file = self.files[self._place(node, disk)]
        file.size = max(file.size, size)

    def _disks_open(self, node, disks, instance, owner_epoch):
        for one in disks:
            file = self.files.get(self._place(node, one))
            if file is None:
                raise StorageError(detail=f"the disk {self._path(one)} is not there")
            if file.epoch > owner_epoch:
                raise StaleOwner(disk=self._path(one), theirs=file.epoch, ours=owner_epoch)
            file.epoch = owner_epoch
            file.open_on.add(node)
        return [self._path(one) for one in disks]

    def _path(self, one):
        return one.file.path if one.file is not None else f"/dev/{one.lvm.vg}/{one.lvm.lv}"

    def _disks_close(self, node, disks, instance):
        for one in disks:
            if self._place(node, one) in self.files:
                self.files[self._place(node, one)].open_on.discard(node)

    def _disks_status(self, node, disks):
        found = [(one, self.files.get(self._place(node, one))) for one in disks]
        return [{"path": self._path(one), "exists": file is not None, "size": file.size if file else 0,
                 "remains": False, "open": file is not None and node in file.open_on,
                 "used": node in file.open_on if one.lvm and file else any(self.guests.values()),
                 "owner_epoch": file.epoch if file else 0, "major": None, "minor": None, "mirror": None}
                for one, file in found]

    def _storage_list(self, node, kind, name):
        return [{"name": name, "size": 200000, "used": 200000 - self.disk_free, "free": self.disk_free,
                 "allocatable": True}]

    def _volumes_list(self, node):
        volumes = {place.partition(":")[2]: file for place, file in self.files.items()
                   if place.startswith(f"{node}:") and not place.startswith(f"{node}:/")}
        return [{"vg": place.split("/")[0], "name": place.split("/")[1], "size": file.size, "devices": ["sda2"],
                 "online": node in file.open_on} for place, file in volumes.items()]

    def _disks_rename(self, node, disks, new):
        for old, later in zip(disks, new, strict=True):
            if old.drbd is None and self._place(node, old) in self.files:
                self.files[self._place(node, later)] = self.files.pop(self._place(node, old))

    def _script(self, node, disks, content):
        for one in disks:
            file = self.files[self._place(node, one)]
            if node not in file.open_on:
                raise ExecError(detail=f"{self._path(one)} is not open")
            file.content = content

    def _os_create(self, node, os, disks, env):
        assert all(isinstance(value, str) for value in env.values())
        self._script(node, disks, "installed")

    def _os_rename(self, node, os, disks, env):
        self._script(node, disks, f"renamed from {env['OLD_INSTANCE_NAME']}")

    # --- guests ----------------------------------------------------------------------------------------

    def _instance_start(self, node, spec, paused):
        guest = self.guests[node].get(spec.uuid)
        if guest is None:
            self._disks_open(node, [item.disk for item in spec.disks], spec.uuid, spec.owner_epoch)
            guest = self.guests[node][spec.uuid] = Process(epoch=spec.owner_epoch, memory=spec.memory, spec=spec)
            self.starts += 1
        elif guest.epoch != spec.owner_epoch:
            raise HypervisorError(detail=f"{spec.name} runs already, for owner {guest.epoch}")
        return VmStatus(name=spec.name, uuid=spec.uuid, hypervisor="fake", state="running", memory=guest.memory,
                        vcpus=1, machine="pc-q35-7.2")

    def _instance_spec(self, node, instance):
        return self.guests[node][instance].spec

    def _instance_stop(self, node, instance, hypervisor, timeout, force):
        self.guests[node].pop(instance, None)

    def _instance_reset(self, node, instance, hypervisor):
        if instance not in self.guests[node]:
            raise HypervisorError(detail="it does not run")

    def _instance_balloon(self, node, instance, hypervisor, memory):
        self.guests[node][instance].memory = memory

    def _instance_disk_resized(self, node, instance, hypervisor, disk, size):
        if instance not in self.guests[node]:
            raise HypervisorError(detail="it does not run")

    def _instance_hotplug_obstacle(self, node, instance, hypervisor, change):
        return self.obstacle

    def _instance_disk_add(self, node, instance, hypervisor, disk, index, owner_epoch):
        if instance not in self.guests[node]:
            raise HypervisorError(detail="it does not run")
        self._disks_open(node, [disk.disk], instance, owner_epoch)
        return {"outcome": "hotplug:done"}

    def _instance_disk_remove(self, node, instance, hypervisor, disk):
        self._disks_close(node, [disk], instance)
        return {"outcome": "hotplug:done"}

    def _instance_nic_add(self, node, instance, hypervisor, nic, index):
        guest = self.guests[node].get(instance)
        if guest is None:
            raise HypervisorError(detail="it does not run")
        guest.nics[nic.uuid] = nic.mac
        return {"outcome": "hotplug:done"}

    def _instance_nic_remove(self, node, instance, hypervisor, nic):
        if instance in self.guests[node]:
            self.guests[node][instance].nics.pop(nic, None)
        return {"outcome": "hotplug:done"}

    def _instance_console(self, node, instance, hypervisor, name, host):
        return Console(instance=name, kind="ssh", host=host, command=("socat", "x"))

    def _migration_accept(self, node, spec, listen):
        if spec.uuid not in self.guests[node]:
            self._disks_open(node, [item.disk for item in spec.disks], spec.uuid, spec.owner_epoch)
            self.guests[node][spec.uuid] = Process(epoch=spec.owner_epoch, state="incoming", memory=spec.memory,
                                                   spec=spec)
        return MigrationTarget(uri=f"tcp:{listen}:8102", key="secret")

    def _migration_receive_disks(self, node, spec, listen):
        assert self.guests[node][spec.uuid].state == "incoming"
        return DiskTarget(host=node, port=1, key="secret")

    def _migration_mirror_disks(self, node, instance, hypervisor, target, bandwidth):
        guest, there = self.guests[node][instance], self.guests[target.host].get(instance)
        if there is None:
            raise HypervisorError(detail="connection refused")
        for old, new in zip(self.config.disks_of(self.config.instances[instance]), there.spec.disks, strict=True):
            self.files[self._place(target.host, new.disk)].content = self.files[self._place(node, old)].content
        guest.mirrored = True

    def _migration_send(self, node, instance, hypervisor, target, live, bandwidth, downtime):
        guest = self.guests[node][instance]
        target = next(uuid for uuid, known in self.config.nodes.items() if f":{known.secondary_ip}:" in target.uri)
        if guest.state == "running":
            there = self.guests[target].get(instance)
            if there is None or target in self.down:
                raise HypervisorError(detail="connection refused")
            assert guest.mirrored or not any(one.nodes for one in self.config.disks_of(
                self.config.instances[instance]) if one.drbd is None), "its disks stay behind"
            guest.state, there.state = "sent", "running"
        return MigrationStatus(status="completed")

    def _migration_finish_target(self, node, spec, success):
        guest = self.guests[node].get(spec.uuid)
        if not success and guest is not None and guest.state == "running":
            raise HypervisorError(detail=f"{spec.name} runs here by now, its migration was complete")
        if not success:
            self.guests[node].pop(spec.uuid, None)
            self._disks_close(node, [item.disk for item in spec.disks], spec.uuid)
        return spec.uuid in self.guests[node] and self.guests[node][spec.uuid].state == "running"

    def _migration_finish_source(self, node, instance, hypervisor, success):
        if not success and instance in self.guests[node]:
            self.guests[node][instance].mirrored = False
        if success and self.guests[node].get(instance, Process(epoch=0)).state == "sent":
            del self.guests[node][instance]
            for one in self.config.disks_of(self.config.instances[instance]):
                self._disks_close(node, [one], instance)


class WorldNodes:
    """The nodes of a world, for a View."""

    def __init__(self, world):
        self._world = world

    async def call(self, node, call, **args):
        return self._world.ask(node, call.name, args)

    async def call_many(self, nodes, call, **args):
        found = {}
        for node in sorted(nodes):
            try:
                found[node] = await self.call(node, call, **args)
            except Error as err:
                found[node] = err
        return found


UP, DOWN, OFFLINE = AdminState.UP, AdminState.DOWN, AdminState.OFFLINE
