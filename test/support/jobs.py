# SPDX-License-Identifier: BSD-2-Clause
"""A job queue on fakes, and an opcode whose unit does what a test says."""

import asyncio

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.config.change import ConfigWriter
from gantry.jqueue.queue import JobQueue
from gantry.jqueue.services import Services
from gantry.locking.manager import LockManager
from gantry.objects.plan import Plan
from gantry.opcodes.base import param
from gantry.opcodes.common import Command
from gantry.opcodes.types import SECRET, STR
from support.fakes import FakeNodes, MemoryStore, make_config

UNITS = {}
"""What units do, by name: `Doing`s that a test registers."""


class QueueScripted(Command):
    """Does what the test has registered under `name`."""

    summary_field = "name"

    name: str = param(STR, "which")
    osparams_secret: dict | None = param(SECRET, "secrets", default=None)


class Doing:
    """Override what a test needs."""

    def __init__(self, plan=None, locks=None, hooks=None, check=None):
        self._plan, self._locks, self._hooks, self._check = plan or Plan(), locks or Locks(), hooks, check
        self.runs = 0

    def locks(self, view):
        return self._locks(view) if callable(self._locks) else self._locks

    async def check(self, view, op):
        self.runs += 1
        if self._check is not None:
            return await self._check(view, op)
        return None

    def plan(self, seen):
        return self._plan(seen) if callable(self._plan) else self._plan


class QueueScriptedUnit(LogicalUnit[QueueScripted, object], op=QueueScripted):
    def locks(self, view):
        return UNITS[self.op.name].locks(view)

    async def check(self, view):
        return await UNITS[self.op.name].check(view, self.op)

    def plan(self, seen):
        return UNITS[self.op.name].plan(seen)

    def hooks(self, seen):
        return UNITS[self.op.name]._hooks


def op(name, **params):
    return {"OP_ID": "OP_QUEUE_SCRIPTED", "name": name} | params


def does(name, *args, **kwargs):
    UNITS[name] = Doing(*args, **kwargs)
    return UNITS[name]


class Bench:
    """A queue and everything below it.  `halted` is why it stopped, when it did."""

    def __init__(self, *, store=None, config=None, nodes=None, **options):
        self.store = store or MemoryStore()
        self.config = config or make_config()
        self.nodes = nodes or FakeNodes()
        self.writer = ConfigWriter(self.config, self.store)
        self.slept = []
        self.halted = None
        self.services = Services(config=self.config, store=self.store, writer=self.writer, nodes=self.nodes,
                                 locks=LockManager(), sleep=options.pop("sleep", self._sleep), pauses=(0.1, 0.1),
                                 **options)
        self.queue = JobQueue(self.services, self._halt)

    def _halt(self, err):
        self.halted = err

    async def _sleep(self, seconds):
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def __aenter__(self):
        await self.queue.start()
        return self

    async def __aexit__(self, *error):
        await self.queue.stop()

    async def submit(self, *ops):
        (accepted, id), = await self.queue.submit([list(ops)])
        assert accepted, id
        return id

    async def end(self, id):
        """The job, when it has ended."""
        job = self.queue.job(id)
        while not job.final:
            await asyncio.wait_for(asyncio.wait((job.changed(),)), 5)
        return job

    async def run(self, *ops):
        return await self.end(await self.submit(*ops))


async def settle(rounds=30):
    for _ in range(rounds):
        await asyncio.sleep(0)


def lines(job):
    return [entry[3] for op in job.ops for entry in op.log]
