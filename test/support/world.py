# SPDX-License-Identifier: BSD-2-Clause
"""A cluster to ask: a configuration in memory, nodes that answer as told, a job queue and locks that stand still."""

import asyncio
from dataclasses import dataclass, field, replace

from gantry.config.config import Config
from gantry.constants import AdminState, DiskTemplate
from gantry.errors import NodeUnreachable
from gantry.jqueue.job import decode as decode_job
from gantry.luxi.methods import Services
from gantry.objects.cluster import Cluster, FilterRule, Network, Node, NodeGroup
from gantry.objects.instance import Disk, FileLocation, Instance, Nic
from gantry.objects.node import NodeInfo, OsDefinition, StorageUnit
from gantry.objects.vm import Console, VmStatus

FILES = "/srv/gantry/files"


def vm(uuid, *, name="", state="running", memory=512, vcpus=2):
    return VmStatus(name=name or uuid, uuid=uuid, hypervisor="kvm", state=state, memory=memory, vcpus=vcpus)


def node_info(*, total=10000, free=4000):
    return NodeInfo(boot_id="boot-1", memory_total=8192, memory_free=6000, memory_node=500, cpu_total=8, cpu_sockets=2,
                    cpu_nodes=1, storage=(StorageUnit(kind="file", name=FILES, total=total, free=free),))


@dataclass
class FakeNodes:
    """Answers by node UUID.  `down` do not answer, `hung` never end; `asked` is every call made."""

    vms: dict = field(default_factory=dict)
    os: dict = field(default_factory=dict)
    providers: dict = field(default_factory=dict)
    down: set = field(default_factory=set)
    hung: set = field(default_factory=set)
    exports: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    async def call(self, node, call, **args):
        self.asked.append((node, call.name))
        if node in self.hung:
            await asyncio.Event().wait()
        if node in self.down:
            raise NodeUnreachable(node=node, call=call.name, detail="no route")
        return getattr(self, call.name)(node, **args)

    async def call_many(self, nodes, call, **args):
        return {node: await self.call(node, call, **args) for node in nodes}

    def node_info(self, node, storage):
        found = node_info()
        return replace(found, storage=tuple(unit for unit in found.storage if [unit.kind, unit.name] in storage))

    def instances_info(self, node, hypervisors):
        return [item for item in self.vms.get(node, ()) if item.hypervisor in hypervisors]

    def instance_console(self, node, instance, hypervisor, name, host):
        return Console(instance=instance, kind="ssh", host=host, command=("socat", name))

    def disks_status(self, node, disks):
        return [{"path": f"/dev/{disk.uuid}", "exists": True, "size": disk.size, "open": True} for disk in disks]

    def os_list(self, node):
        return list(self.os.get(node, ()))

    def export_list(self, node):
        return list(self.exports.get(node, ()))

    def extstorage_list(self, node):
        return list(self.providers.get(node, ()))


def os_definition(name, *, variants=("small", "big"), problem=""):
    return OsDefinition(name=name, path=f"/srv/ganeti/os/{name}", problem=problem, api_versions=(20, 15),
                        variants=variants, parameters=(("size", "how big"),))


class FakeWriter:
    """Notes the changes it is given."""

    def __init__(self):
        self.changes = []

    def change(self, changes, *, who, why):
        self.changes.extend(changes)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class FakeLocks:
    def __init__(self, *rows):
        self._rows = rows

    def rows(self):
        return list(self._rows)


def _node(number, **changes):
    return Node(**{"uuid": f"n{number}", "name": f"node{number}.example.org", "primary_ip": f"192.0.2.{number}",
                   "secondary_ip": f"198.51.100.{number}", "group": "g1", **changes})


def _instances():
    common = {"os": "debian", "hypervisor": "kvm"}
    nic = Nic(uuid="c1", mac="aa:00:00:00:00:01", ip="203.0.113.9", network="w1", name="front")
    routed = Nic(uuid="c2", mac="aa:00:00:00:00:02", nicparams={"mode": "routed", "link": "main"})
    return [
        Instance(uuid="i1", name="web1.example.org", primary_node="n1", disks=("d1", "d2"), nics=(nic, routed),
                 disk_template=DiskTemplate.DRBD, admin_state=AdminState.UP, beparams={"maxmem": 1024},
                 hvparams={"acpi": False}, network_port=11000, tags=frozenset({"web", "a"}), **common),
        Instance(uuid="i2", name="web2.example.org", primary_node="n2", disks=("d3",),
                 disk_template=DiskTemplate.FILE, tags=frozenset({"web"}), **common),
        Instance(uuid="i10", name="web10.example.org", primary_node="n2", admin_state=AdminState.OFFLINE, **common),
    ]


def config(*, cluster_changes=None, nodes=None, instances=()):
    """Two groups, four nodes (node4 is offline), three instances, a network.  `nodes`: changes by UUID."""
    changes = nodes or {}
    members = [_node(1), _node(2), _node(10, group="g2", drained=True), _node(4, offline=True, master_candidate=False)]
    members = [replace(node, **changes.get(node.uuid, {})) for node in members]
    disks = [
        Disk(uuid="d1", name="root", dev_type=DiskTemplate.DRBD, size=1024, nodes=("n1", "n2"), spindles=2),
        Disk(uuid="d2", name="", dev_type=DiskTemplate.DRBD, size=512, nodes=("n1", "n2")),
        Disk(uuid="d3", name="", dev_type=DiskTemplate.FILE, size=300, nodes=("n2",),
             file=FileLocation(path=f"{FILES}/web2/d3")),
    ]
    found = [*_instances(), *instances]
    groups = [NodeGroup(uuid="g1", name="default", networks={"w1": {"mode": "bridged", "link": "br5", "vlan": ""}},
                        tags=frozenset({"row-a"})),
              NodeGroup(uuid="g2", name="other", alloc_policy="last_resort", ndparams={"spindle_count": 4})]
    network = Network(uuid="w1", name="office", network="203.0.113.0/28", gateway="203.0.113.1", ext_reservations=(3,))
    rule = FilterRule(uuid="f1", name="f1", watermark=3, priority=1, predicates=(["jobid", ["<", "id", 9]],),
                      action="PAUSE")
    base = replace(_cluster(), **(cluster_changes or {}))
    return Config({"cluster": {"c0": base}, "nodegroups": _by_uuid(groups), "nodes": _by_uuid(members),
                   "instances": _by_uuid(found), "disks": _by_uuid(disks), "networks": _by_uuid([network]),
                   "filters": _by_uuid([rule])})


def _by_uuid(items):
    return {item.uuid: item for item in items}


def _cluster():
    return Cluster(uuid="c0", name="cluster.example.org", master_node="n1", master_ip="192.0.2.100",
                   enabled_disk_templates=("file", "drbd"), file_storage_dir=FILES,
                   beparams={"default": {"maxmem": 256, "minmem": 128, "vcpus": 1}},
                   nicparams={"default": {"mode": "bridged", "link": "br0"}}, tags=frozenset({"prod"}),
                   hvparams={"kvm": {"acpi": True, "kernel_path": "/boot/vmlinuz", "migration_port": 8102,
                                     "user_shutdown": False}})


def services(*, queue=None, settings=None, nodes=None, locks=None, writer=None):
    return Services(config=settings or config(), nodes=nodes or FakeNodes(), queue=queue or FakeQueue(),
                    locks=locks or FakeLocks(), writer=writer or FakeWriter())


class FakeQueue:
    """Jobs that stand still.  `submitted` is what was asked for, `accept` the answers."""

    def __init__(self, *jobs, archived=()):
        self._jobs = {item.id: item for item in jobs}
        self._archived = {item.id: item for item in archived}
        self.submitted, self.said, self.accept = [], [], None
        self.last_id = max([*self._jobs, *self._archived], default=0)
        self.waiters = 0

    def job(self, id):
        return self._jobs.get(id)

    def jobs(self):
        return self._jobs.values()

    async def archived(self, ids):
        return [item for id, item in sorted(self._archived.items()) if ids is None or id in ids]

    def kick(self):
        self.said.append("kick")

    async def submit(self, jobs, *, drained_ok=False):
        self.submitted.append((jobs, drained_ok))
        if isinstance(self.accept, Exception):
            raise self.accept
        return self.accept or [(True, number) for number, _ in enumerate(jobs, self.last_id + 1)]

    async def cancel(self, id, kill=False):
        return False, f"Job {id} not found in queue{' (kill)' if kill else ''}"

    async def change_priority(self, id, priority):
        return True, f"{id} to {priority}"

    async def archive(self, id):
        return id in self._jobs

    async def autoarchive(self, age, timeout):
        return 3, 0

    async def set_drained(self, flag):
        self.said.append(flag)

    async def wait_for_change(self, id, snapshot, previous, log_serial, timeout):
        item = self._jobs[id]
        self.waiters += 1
        try:
            while not item.final and snapshot(item) == previous and not item.log_after(log_serial):
                done, _ = await asyncio.wait({item.changed()}, timeout=timeout)
                if not done:
                    break
            return snapshot(item), item.log_after(log_serial)
        finally:
            self.waiters -= 1


def job(id, status="success", *, archived=False, end=(1700000009, 5), op="OP_TEST_DELAY", **op_fields):
    op_data = {"input": {"OP_ID": op, "duration": 1.0}, "status": status, "result": None,
               "log": [[1, [1700000001, 0], "message", "hello"]], "priority": 0, "start_timestamp": [1700000001, 2],
               "exec_timestamp": [1700000001, 3], "end_timestamp": list(end) if end else None, **op_fields}
    return decode_job({"id": id, "ops": [op_data], "received_timestamp": [1700000000, 1],
                       "start_timestamp": [1700000001, 2], "end_timestamp": list(end) if end else None},
                      archived=archived)
