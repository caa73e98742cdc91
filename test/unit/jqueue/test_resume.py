# SPDX-License-Identifier: BSD-2-Clause
"""A master that ends at any point of a plan, once or twice, finishes it or undoes it; never half."""

import asyncio
import contextlib
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gantry.cmdlib.base import ALL, Hooks, Locks
from gantry.config import load
from gantry.constants import DiskTemplate
from gantry.errors import NodeError
from gantry.jqueue import execute, processor, queue
from gantry.jqueue.states import Status
from gantry.objects import codec
from gantry.objects.instance import Disk, FileLocation
from gantry.objects.plan import Call, Plan, Say, Several, Sleep, Step, Submit, Task, Update, put, ref
from support.fakes import FakeNodes, MemoryStore, make_config
from support.jobs import Bench, does, lines, op

DISK = Disk(uuid="new-disk", name="", dev_type=DiskTemplate.SHAREDFILE, size=64, file=FileLocation(path="/srv/new"))
ENCODED = codec.encode(DISK)


class Crash(BaseException):
    """The master's process ends here."""


class World:
    """What outlives the master: its store, and the nodes with what is on them."""

    def __init__(self, *, fails=False, forgets=False):
        self.fails, self.forgets = fails, forgets
        self.created, self.opened, self.hooks = set(), set(), []
        self.nodes = FakeNodes({
            "disk_create": lambda node, disk, owner_epoch, wipe: self.created.add((node, disk.uuid)),
            "disk_remove": lambda node, disk: self.created.discard((node, disk.uuid)),
            "disks_open": self.open,
            "disks_close": lambda node, disks, instance: self.opened.difference_update({node}),
            "hooks_run": lambda node, phase, path, env: self.hooks.append((phase, node)) or [],
            "test_delay": self.last,
        })
        config = make_config(3)
        self.store = MemoryStore({table: {uuid: codec.encode(value) for uuid, value in objects.items()}
                                  for table, objects in config.tables.items()})

    def open(self, node, disks, instance, owner_epoch):
        assert (node, disks[0].uuid) in self.created, "opened a disk that is not there"
        self.opened.add(node)
        return [f"/dev/{node}"]

    def last(self, node, duration):
        if self.fails:
            raise NodeError(node=node, detail="no")

    def start(self):
        """A master on what is left of the last one."""
        if self.forgets:
            self.nodes.answers.clear()
        self.store = self.store.copy()
        return Bench(store=self.store, nodes=self.nodes, config=load.load(self.store.tables))


def opening(node):
    return Call(node=node, call="disks_open", args={"disks": [ENCODED], "instance": "i", "owner_epoch": 1})


def closing(node):
    return Call(node=node, call="disks_close", args={"disks": [ENCODED], "instance": "i"})


def task(call, node, **args):
    return Task(node=node, call=call, args={"disk": ENCODED, **args})


BOTH = ("node-1", "node-2")
PLAN = Plan(steps=(
    Step(title="* creating disks...",
         action=Several(actions=[task("disk_create", node, owner_epoch=1, wipe=False) for node in BOTH]),
         undo=Several(actions=[task("disk_remove", node) for node in BOTH])),
    Step(title="recording the disk", action=put("disks", DISK)),
    Step(title="* opening", key="paths", action=opening("node-1"), undo=closing("node-1")),
    Step(title="", action=Sleep(seconds=1)),
    Step(title="* at once", undo=None, action=Several(actions=[
        Update(table="disks", uuid=DISK.uuid, fields={"size": 128}), Say(lines=["hello"])])),
    Step(title="* opening there too", action=opening("node-2"), undo=closing("node-2")),
    Step(title="", action=Update(table="cluster", uuid="cluster-1", fields={"file_storage_dir": ref("paths", 0)})),
    Step(title="", key="jobs", action=Submit(jobs=[[op("child")]])),
    Step(title="* last", action=Call(node="node-3", call="test_delay", args={"duration": 1.0})),
), result={"paths": ref("paths"), "jobs": ref("jobs")}, reserves=(("name", "new"),))


def register():
    does("child")
    does("big", PLAN, locks=Locks(exclusive={"node": ALL}),
         hooks=Hooks(path="big", object_type="CLUSTER", target="", pre_nodes=("node-1",), post_nodes=BOTH))


class Points:
    """Ends the master at the `at`-th point it passes; without `at` it only counts."""

    def __init__(self, at=None):
        self.at, self.passed = at, []

    def __call__(self, name):
        self.passed.append(name)
        if self.at is not None and len(self.passed) - 1 == self.at:
            raise Crash(name)


async def life(world, points, monkeypatch, *, submit):
    """One master from start to crash, or until no job is left to run.  True: it got there."""
    for module in (execute, processor, queue):
        monkeypatch.setattr(module.faults, "point", points)
    loop = asyncio.get_running_loop()
    crashed = loop.create_future()
    loop.set_exception_handler(lambda loop, context: None)
    made = world.start()

    async def work():
        await made.queue.start()
        if submit:
            await made.submit(op("big"))
        for job in list(made.queue.jobs()):
            await made.end(job.id)
        for job in list(made.queue.jobs()):
            await made.end(job.id)

    def ended(task):
        if not task.cancelled() and isinstance(task.exception(), Crash) and not crashed.done():
            crashed.set_result(None)

    running = loop.create_task(work())
    running.add_done_callback(ended)
    original = made.queue._begin

    def begin(*args):
        original(*args)
        for task in made.queue._tasks:
            task.add_done_callback(ended)
    made.queue._begin = begin
    await asyncio.wait((running, crashed), return_when=asyncio.FIRST_COMPLETED, timeout=5)
    finished = running.done() and not crashed.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.gather(*[task for task in made.queue._tasks if task.cancel() or True], return_exceptions=True)
    return finished, made


def run(world, points, monkeypatch, *, submit):
    """`asyncio.run` would hand a Crash on to us; it belongs to the master that ended."""
    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                return loop.run_until_complete(life(world, points, monkeypatch, submit=submit))
            except Crash:
                return False, None
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        with contextlib.suppress(Crash):
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def check(world, made):
    """The job is done, or undone; nothing of it is left where it should not be."""
    tables = world.store.tables
    job = made.queue.job(1)
    assert tables["jobs"]["1"]["ops"][0]["status"] == job.status.value
    assert tables["plans"] == {}
    assert tables["steps"] == {}
    assert made.queue.locks.rows() == []
    assert made.services.reservations.taken("name", 0) == frozenset()
    config = load.load(tables)
    assert sum("child" in str(row["ops"][0]["input"]["name"]) for row in tables["jobs"].values()) == 1
    if world.fails:
        assert job.status is Status.ERROR
        assert job.ops[0].result == ["OpExecError", ["node node-3: no"]]
        assert (world.created, world.opened) == (set(), set())
        assert "new-disk" not in config.disks
        assert config.cluster.file_storage_dir == ""
    else:
        assert job.status is Status.SUCCESS
        assert job.ops[0].result == {"paths": ["/dev/node-1"], "jobs": [[True, 2]]}
        assert world.created == {("node-1", "new-disk"), ("node-2", "new-disk")}
        assert world.opened == {"node-1", "node-2"}
        assert config.disks["new-disk"].size == 128
        assert config.cluster.file_storage_dir == "/dev/node-1"
    serials = [entry[0] for entry in job.ops[0].log]
    assert serials == sorted(set(serials))
    for line in ("* creating disks...", "* opening", "hello", "* last"):
        assert line in lines(job)


def count_points(monkeypatch, *, fails):
    register()
    points = Points()
    finished, _made = run(World(fails=fails), points, monkeypatch, submit=True)
    assert finished
    return points.passed


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("forgets", [False, True])
def test_killed_at_every_point(monkeypatch, fails, forgets):
    logging.disable(logging.CRITICAL)
    names = count_points(monkeypatch, fails=fails)
    assert len(names) > 25
    for at, name in enumerate(names):
        world = World(fails=fails, forgets=forgets)
        finished, made = run(world, Points(at), monkeypatch, submit=True)
        if not finished:
            finished, made = run(world, Points(), monkeypatch, submit=False)
            assert finished, name
        check(world, made)
    logging.disable(logging.NOTSET)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 40), min_size=2, max_size=4), fails=st.booleans(), forgets=st.booleans())
def test_killed_again_and_again(monkeypatch, cuts, fails, forgets):
    logging.disable(logging.CRITICAL)
    register()
    world, finished, made = World(fails=fails, forgets=forgets), False, None
    for number, at in enumerate([*cuts, None]):
        if not finished:
            finished, made = run(world, Points(at), monkeypatch, submit=number == 0)
    assert finished
    check(world, made)
    logging.disable(logging.NOTSET)
