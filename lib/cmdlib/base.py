# SPDX-License-Identifier: BSD-2-Clause
"""Logical units: one an opcode, in a file `<family>_<verb>.py`.

A unit decides.  `locks` says what it needs, `check` looks and refuses or returns a small frozen value,
`plan` turns that value into steps and is pure.  The processor takes the locks, runs the pre hooks, stores
the plan, runs its steps, runs the post hooks; so `--dry-run`, progress, resume and undo are the same for all.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from gantry.cmdlib.view import View
from gantry.objects.plan import Plan
from gantry.opcodes.base import OpCode

Op = TypeVar("Op", bound=OpCode)
Seen = TypeVar("Seen")

ALL = frozenset({"*"})
"""In a set of names: every object of the level, those to come included."""
SETTINGS = frozenset({"settings"})
"""At the level cluster: the cluster's own record.  Who computes new values of its lists and dictionaries from the
present ones takes it exclusively; else one of two changes at once would be lost.
"""


@dataclass(frozen=True, kw_only=True)
class Locks:
    """What a unit needs, by level: names for instances, UUIDs for the others (or ALL).

    `shared` and `exclusive` are sets by level: cluster, instance, nodegroup, node, node-res, network.
    Every unit holds the cluster lock shared unless it asks for it exclusively (`exclusive_cluster`).
    `opportunistic`: levels whose named locks are taken only where they are free now.
    """

    shared: dict[str, frozenset[str]] = field(default_factory=dict)
    exclusive: dict[str, frozenset[str]] = field(default_factory=dict)
    opportunistic: frozenset[str] = frozenset()
    exclusive_cluster: bool = False


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """`path` is the folder's stem (instance-add); `env` without the GANETI_ prefix; nodes by UUID.

    `instance`: UUID of the instance that `env` tells of; its variables are looked up again when the plan is done.
    """

    path: str
    object_type: str
    target: str
    env: dict[str, str] = field(default_factory=dict)
    instance: str = ""
    pre_nodes: tuple[str, ...] = ()
    post_nodes: tuple[str, ...] = ()


class LogicalUnit(ABC, Generic[Op, Seen]):
    """Stateless but for the opcode.  `locks` is asked again after the locks were taken: when the answer
    differs (the instance moved meanwhile), all are released and taken anew.
    """

    registry: ClassVar[dict[str, type["LogicalUnit[Any, Any]"]]] = {}
    OP_ID: ClassVar[str]

    def __init_subclass__(cls, *, op: type[OpCode]) -> None:
        cls.OP_ID = op.OP_ID
        LogicalUnit.registry[op.OP_ID] = cls

    def __init__(self, op: Op) -> None:
        self.op = op

    @abstractmethod
    def locks(self, view: View) -> Locks:
        """What it needs, from the configuration as it is now; raises NotFound for unknown names."""

    @abstractmethod
    async def check(self, view: View) -> Seen:
        """Look (at the configuration, at nodes); raise a PrereqError, or return what `plan` needs."""

    @abstractmethod
    def plan(self, seen: Seen) -> Plan:
        """Steps, computed from `self.op` and `seen` alone: no clock, no randomness, no I/O."""

    def hooks(self, seen: Seen) -> Hooks | None:
        """Which hooks to run; None: the operation has none."""
        return None
