# SPDX-License-Identifier: BSD-2-Clause
"""What a unit looks at, over a world of `guest_world`."""

import asyncio
import itertools

from gantry.opcodes.base import decode
from support.guest_world import WorldNodes


class FakeReservations:
    def __init__(self):
        self.of_others, self.own = {}, set()

    def taken(self, kind):
        return frozenset(self.of_others.get(kind, ()))

    def held(self, kind):
        return self.taken(kind) | {value for other, value in self.own if other == kind}

    def reserve(self, kind, value):
        self.own.add((kind, value))


class FakeView:
    """`lines` is the job's log.  UUIDs are 00000100-..., 00000200-..., so that two runs are alike."""

    def __init__(self, world):
        self.config, self.nodes, self.reservations = world.config, WorldNodes(world), FakeReservations()
        self.lines = []
        self.locks = {}
        self._numbers = itertools.count(1)

    @property
    def job(self):
        return 1

    def say(self, line):
        self.lines.append(line)

    def warn(self, line):
        self.lines.append(f" - WARNING: {line}")

    def locked(self, level):
        """`locks`: names by level; nothing is locked unless a test says so."""
        return frozenset(self.locks.get(level, ()))

    def new_uuid(self):
        return f"{next(self._numbers):06x}00-0000-4000-8000-000000000000"


def look(unit, op, world, **fields):
    """(unit, what its check has seen, the view) for an opcode given by class and parameters."""
    made = unit(decode(op(**fields).encode()))
    view = FakeView(world)
    made.locks(view)
    return made, asyncio.run(made.check(view)), view


def plan_of(unit, op, world, **fields):
    made, seen, _ = look(unit, op, world, **fields)
    return made.plan(seen)
