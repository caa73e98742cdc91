# SPDX-License-Identifier: BSD-2-Clause
"""Plans: what an operation will do, as data.

A plan is stored with its job before its first step runs, and every finished step is recorded.  A master
that takes over continues at the first unfinished step, or undoes the finished ones in reverse.  So:

Rule 1: an action may run twice; the second run must end like the first.  Calls carry (job, opcode, step).
Rule 2: an undo must be harmless when its action never ran, or ran in part.
Rule 3: an action names objects by UUID and holds JSON values only; it never holds a live object.
Rule 4: values that only exist later are named by `Ref`, and filled in just before the step runs.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from gantry.objects import codec
from gantry.objects.base import ConfigObject

TABLES = ("cluster", "nodes", "nodegroups", "instances", "disks", "networks", "filters")
"""Tables of the configuration; each object lies under its UUID."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A short call to a node (`lib/rpc/calls.py`).  `args` are encoded arguments by name."""

    kind: Literal["call"] = "call"
    node: str
    """UUID."""
    call: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Long work on a node: started, then watched; its progress is the step's progress."""

    kind: Literal["task"] = "task"
    node: str
    call: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Put:
    """Add an object to the configuration, or replace it whole."""

    kind: Literal["put"] = "put"
    table: str
    value: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Update:
    """Change fields of an object of the configuration; other fields stay as they are by then."""

    kind: Literal["update"] = "update"
    table: str
    uuid: str
    fields: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Take an object out of the configuration; harmless when it is gone."""

    kind: Literal["delete"] = "delete"
    table: str
    uuid: str


@dataclass(frozen=True, kw_only=True)
class Sleep:
    """Wait on the master, in seconds."""

    kind: Literal["sleep"] = "sleep"
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Submit:
    """Submit jobs (lists of opcodes in wire form); the result is [[true, id] or [false, message], ...]."""

    kind: Literal["submit"] = "submit"
    jobs: list[list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Say:
    """Lines for the job's log.  A line is a text, or a list of parts (texts and `ref`s) that are put
    together; when nothing comes of the parts, there is no line."""

    kind: Literal["say"] = "say"
    lines: list[Any]


@dataclass(frozen=True, kw_only=True)
class Master:
    """A function of the master that is no change of the configuration, by name (`lib/cmdlib/master.py`):
    distributing ssconf, adding a node to the replication, verifying."""

    kind: Literal["master"] = "master"
    call: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Several:
    """Actions at once; it is done when all are, and failed when one failed.  The result is their list."""

    kind: Literal["several"] = "several"
    actions: list["Action"]


Action = Call | Task | Put | Update | Delete | Sleep | Submit | Say | Master | Several


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step.  `key` names its result for `Ref`.  `weight` is in seconds as expected, for the progress
    shown.  With `may_fail` a failure is a warning in the job's log, and the plan goes on.  `no_return`: once
    this step is done the plan is only ever continued, whatever is canceled or fails (rule of migrations: when
    the guest runs elsewhere, undoing would end it).  `confirm`: asked when the action's node does not answer any more,
    or when it was canceled; what is true says that the action was done all the same.  `undo_after`: key of a later
    step; when that could not be undone, what this one has made is still needed, and its undo is left out.
    """

    title: str
    action: Action
    undo: Action | None = None
    key: str = ""
    weight: float = 0.1
    may_fail: bool = False
    no_return: bool = False
    confirm: Action | None = None
    undo_after: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`steps` in order; `result` is the opcode's result (may hold `Ref`s).

    `reserves` are names, addresses and ports that nobody else may take while the job runs, as
    [kind, value].  `undoable` False: past its first step the plan is only ever continued.
    """

    steps: tuple[Step, ...] = ()
    result: Any = None
    reserves: tuple[tuple[str, str], ...] = ()
    undoable: bool = True

    def encode(self) -> dict[str, Any]:
        data: dict[str, Any] = codec.encode(self)
        return data | {"steps": [_encode_step(step) for step in self.steps]}


def ref(key: str, *path: str | int, default: Any = None) -> dict[str, Any]:
    """A placeholder in `args`, `fields` or `result` for what the step `key` returned, or a part of it.

    `default` stands for a part that is not there: the codec leaves out values equal to a field's default.
    """
    return {"$ref": [key, *path], "default": default}


def fill(value: Any, results: dict[str, Any]) -> Any:
    """`value` with every placeholder replaced by the result it names."""
    if isinstance(value, dict):
        if "$ref" in value:
            key, *path = value["$ref"]
            found = results[key]
            for part in path:
                try:
                    found = found[part]
                except (KeyError, IndexError, TypeError):
                    return value.get("default")
            return found
        return {name: fill(item, results) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, results) for item in value]
    return value


def put(table: str, value: ConfigObject) -> Put:
    return Put(table=table, value=codec.encode(value))


def decode_plan(data: dict[str, Any]) -> Plan:
    """The plan that `Plan.encode` made."""
    return codec.decode(Plan, data, "plan")


def _encode_step(step: Step) -> dict[str, Any]:
    data: dict[str, Any] = codec.encode(step)
    more = {name: encode_action(action) for name, action in (("undo", step.undo), ("confirm", step.confirm)) if action}
    return data | {"action": encode_action(step.action)} | more


def encode_action(action: Action) -> dict[str, Any]:
    """As `codec.encode`, with `kind` always there: it tells the classes apart."""
    data: dict[str, Any] = codec.encode(action) | {"kind": action.kind}
    if isinstance(action, Several):
        data["actions"] = [encode_action(item) for item in action.actions]
    return data
