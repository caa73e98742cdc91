# SPDX-License-Identifier: BSD-2-Clause
"""A store in memory, nodes that follow a script, and clusters of any size: for tests of the master's side."""

import asyncio
import json
from collections import defaultdict

from gantry.config.config import Config
from gantry.constants import DiskTemplate
from gantry.errors import NodeError, NodeUnreachable, StoreFailed
from gantry.objects import codec
from gantry.objects.cluster import Cluster, Node, NodeGroup
from gantry.objects.instance import Disk, FileLocation, Instance, Nic
from gantry.objects.node import HookResult, TaskStatus
from gantry.rpc.declare import CALLS


def make_config(nodes=3, instances=0, **cluster):
    """A cluster with `nodes` nodes (UUIDs node-1, ...; names node1, ...) and `instances` instances with a
    file disk each, spread over the nodes."""
    names = range(1, nodes + 1)
    made = {f"node-{n}": Node(uuid=f"node-{n}", name=f"node{n}.example.org", primary_ip=f"192.0.2.{n}",
                              secondary_ip=f"192.0.2.{n}", group="group-1") for n in names}
    vms, disks = {}, {}
    for n in range(1, instances + 1):
        disk = Disk(uuid=f"disk-{n}", name="", dev_type=DiskTemplate.SHAREDFILE, size=256,
                    file=FileLocation(path=f"/srv/web{n}/disk0"))
        disks[disk.uuid] = disk
        vms[f"instance-{n}"] = Instance(
            uuid=f"instance-{n}", name=f"web{n}.example.org", primary_node=f"node-{(n - 1) % nodes + 1}",
            os="small", hypervisor="fake", disks=(disk.uuid,), disk_template=DiskTemplate.SHAREDFILE,
            nics=(Nic(uuid=f"nic-{n}", mac=f"aa:00:00:00:00:{n % 256:02x}"),))
    one = Cluster(**{"uuid": "cluster-1", "name": "cluster.example.org", "master_node": "node-1",
                     "master_ip": "192.0.2.100", "enabled_hypervisors": ("fake",)} | cluster)
    return Config({"cluster": {one.uuid: one}, "nodegroups": {"group-1": NodeGroup(uuid="group-1", name="default")},
                   "nodes": made, "instances": vms, "disks": disks})


class MemoryStore:
    """Durable at the next turn of the loop.  `records` are all that were put; `fail` makes it refuse; with
    `hold` set, puts wait until `release`."""

    def __init__(self, tables=None):
        self.tables = defaultdict(dict, {name: dict(rows) for name, rows in (tables or {}).items()})
        self.records = []
        self.fail = False
        self.hold = False
        self._held = []

    def put(self, rows):
        if self.fail:
            raise StoreFailed(detail="the disk is full")
        self.records.append([(table, key, value) for table, key, value in rows])
        for table, key, value in rows:
            if value is None:
                self.tables[table].pop(key, None)
            else:
                self.tables[table][key] = json.loads(json.dumps(value))
        done = asyncio.get_running_loop().create_future()
        if self.hold:
            self._held.append((done, len(self.records)))
        else:
            asyncio.get_running_loop().call_soon(_resolve, done, len(self.records))
        return done

    def release(self):
        self.hold = False
        for done, serial in self._held:
            _resolve(done, serial)
        self._held = []

    async def commit(self, rows):
        return await self.put(rows)

    async def read(self, table, keys=None):
        rows = self.tables[table]
        return dict(rows) if keys is None else {key: rows[key] for key in keys if key in rows}

    def copy(self):
        """What a master that starts now would find."""
        return MemoryStore(self.tables)


def _resolve(future, serial):
    if not future.done():
        future.set_result(serial)


class FakeNodes:
    """Nodes whose answers are functions: `script[call] = function(node, **args)`; a coroutine function may wait.

    Results are remembered by request id, as a node does.  Tasks run to their end at the first look, unless the
    script's function has the attribute `rounds` (looks until it ends).  `down` nodes do not answer.
    `asked` is every (node, call, args, request id).
    """

    def __init__(self, script=None):
        self.script = dict(script or {})
        self.down = set()
        self.asked = []
        self.answers = {}
        self.tasks = {}

    async def call(self, node, call, /, *, request_id="", **args):
        self.asked.append((node, call.name, args, request_id))
        await asyncio.sleep(0)
        if node in self.down:
            raise NodeUnreachable(node=node, call=call.name, detail="connection refused")
        if request_id and (node, request_id) in self.answers:
            return self.answers[node, request_id]
        builtin = getattr(self, f"_{call.name}", None)
        if builtin is not None:
            return builtin(node, **args)
        answer = self._run(node, call.name, call.decode_args(call.encode_args(args)))
        if asyncio.iscoroutine(answer):
            answer = await answer
        if request_id:
            self.answers[node, request_id] = answer
        return answer

    async def call_many(self, nodes, call, /, *, request_id="", **args):
        found = {}
        for node in nodes:
            try:
                found[node] = await self.call(node, call, request_id=request_id, **args)
            except NodeError as err:
                found[node] = err
        return found

    def _run(self, node, name, args):
        function = self.script.get(name)
        if function is not None:
            return function(node, **args)
        return [] if CALLS[name].result == list[HookResult] else None

    # --- tasks --------------------------------------------------------------------------------------------

    def _task_start(self, node, task, call, args):
        if (node, task) not in self.tasks or self._interrupted(self.tasks[node, task]["status"]):
            rounds = getattr(self.script.get(call), "rounds", 0)
            self.tasks[node, task] = {"call": call, "args": args, "left": rounds, "rounds": rounds, "status": None}
        return self._look(node, task)

    @staticmethod
    def _interrupted(status):
        return status is not None and status.state == "failed" and status.error["facts"].get("interrupted", False)

    def _task_status(self, node, task, wait, seen):
        return self._look(node, task)

    def _task_cancel(self, node, task):
        found = self.tasks.get((node, task))
        if found is not None and found["status"] is None:
            found["status"] = TaskStatus(state="canceled")
        return self._look(node, task)

    def _task_forget(self, node, tasks):
        for task in tasks:
            self.tasks.pop((node, task), None)

    def _look(self, node, task):
        found = self.tasks.get((node, task))
        if found is None:
            return TaskStatus(state="unknown")
        if found["status"] is None and found["left"] > 0:
            found["left"] -= 1
            return TaskStatus(state="running", fraction=1 - (found["left"] + 1) / (found["rounds"] + 1))
        if found["status"] is None:
            try:
                result = codec.encode(self._run(node, found["call"], CALLS[found["call"]].decode_args(found["args"])))
                found["status"] = TaskStatus(state="done", fraction=1.0, result=result)
            except NodeError as err:
                found["status"] = TaskStatus(state="failed", error=dict(err.encode()))
        return found["status"]
