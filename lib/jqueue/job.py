# SPDX-License-Identifier: BSD-2-Clause
"""A job and its opcodes while the master daemon runs, and their form in the store.

These objects change; every change of a state goes through `states.py`, and everything that a client can
see calls `touch`, which wakes those who wait for a change.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gantry.errors import ParameterError
from gantry.jqueue import log as joblog
from gantry.jqueue import states
from gantry.jqueue.states import Event, Status
from gantry.opcodes import base as opcodes
from gantry.opcodes.common import REDACTED, redacted
from gantry.utils import clock

Timestamp = tuple[int, int]
CANCELED_TEXT = "Job canceled by request"
PRECEDING_FAILED = ["OpExecError", ["Preceding opcode failed"]]


@dataclass(kw_only=True)
class OpRecord:
    """One opcode of a job.  `input` is its full wire form, secrets redacted; `secrets` never leave memory."""

    input: dict[str, Any]
    status: Status = Status.QUEUED
    result: Any = None
    log: list[joblog.Entry] = field(default_factory=list)
    priority: int = 0
    start: Timestamp | None = None
    exec: Timestamp | None = None
    end: Timestamp | None = None
    secrets: dict[str, Any] = field(default_factory=dict)

    @property
    def op_id(self) -> str:
        return str(self.input.get("OP_ID", ""))

    @property
    def final(self) -> bool:
        return self.status in states.FINAL

    @property
    def summary(self) -> str:
        """INSTANCE_STARTUP(web1); of an opcode that this release does not know, its name alone."""
        cls = opcodes.REGISTRY.get(self.op_id)
        stem = self.op_id.removeprefix("OP_") or "INVALID_OP"
        if cls is None or cls.summary_field is None:
            return stem
        value = self.input.get(cls.summary_field)
        shown = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        return f"{stem}({shown})"

    @property
    def shown_input(self) -> dict[str, Any]:
        """The input as queries show it: without private parameters."""
        return redacted(self.input) if self.input.get("osparams_private") else self.input

    @property
    def secrets_lost(self) -> bool:
        return REDACTED in (self.input.get("osparams_secret") or {}).values() and not self.secrets

    def opcode(self) -> opcodes.OpCode:
        """The typed opcode, secrets included; raises ParameterError."""
        return opcodes.decode(self.input | self.secrets)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an opcode ends."""

    event: Event
    result: Any
    end: Timestamp = field(default_factory=clock.timestamp)


class Job:
    """A list of opcodes with one id."""

    def __init__(self, id: int, ops: list[OpRecord], received: Timestamp | None = None) -> None:
        self.id = id
        self.ops = ops
        self.received = received
        self.start: Timestamp | None = None
        self.end: Timestamp | None = None
        self.archived = False
        self.closing = False
        """Its last state is on its way to the disk; nobody else may store it any more."""
        self._serial = joblog.last_serial(op.log for op in ops)
        self._changed: asyncio.Future[None] | None = None

    # --- looking ------------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        if len(self.ops) == 1:
            return self.ops[0].status
        return states.job_status([op.status for op in self.ops])

    @property
    def final(self) -> bool:
        return self.end is not None

    @property
    def priority(self) -> int:
        """The smallest of its unfinished opcodes; 0 when there is none."""
        return min((op.priority for op in self.ops if not op.final), default=0)

    @property
    def summary(self) -> list[str]:
        return [op.summary for op in self.ops]

    def log_after(self, serial: int | None) -> list[joblog.Entry]:
        """Log entries of all opcodes newer than `serial`; None: all."""
        if serial is not None and serial >= self._serial:
            return []
        return joblog.newer((op.log for op in self.ops), serial)

    # --- waiting for a change ---------------------------------------------------------------------------

    def changed(self) -> asyncio.Future[None]:
        """Resolves at the next change; all who wait share it, so await it with `asyncio.wait`."""
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    def touch(self) -> None:
        """Wake all who wait for a change."""
        if self._changed is not None:
            waiting, self._changed = self._changed, None
            if not waiting.done():
                with contextlib.suppress(RuntimeError):  # a loop that was closed has nobody waiting
                    waiting.set_result(None)

    # --- changing -----------------------------------------------------------------------------------

    def move(self, index: int, event: Event) -> None:
        """Let the opcode `index` take a move that does not end it."""
        op = self.ops[index]
        op.status = states.after(op.status, event)
        if event is Event.PICKED:
            op.start = op.start or clock.timestamp()
            self.start = self.start or op.start
        elif event is Event.LOCKED:
            op.exec = clock.timestamp()
        self.touch()

    def set_priority(self, priority: int) -> None:
        for op in self.ops:
            if not op.final:
                op.priority = priority
        self.touch()

    def say(self, index: int, payload: Any, kind: str = joblog.MESSAGE) -> None:
        """A log entry of the opcode `index`, seen by watchers at once."""
        self._serial += 1
        self.ops[index].log.append(joblog.entry(self._serial, kind, payload))
        self.touch()

    def skip_serials(self) -> None:
        """After a restart: no line may get a number that a watcher has seen already."""
        self._serial = joblog.last_serial(op.log for op in self.ops) + joblog.SERIAL_GAP

    def outcomes(self, index: int, outcome: Outcome) -> dict[int, Outcome]:
        """What the end of the opcode `index` means for all: later ones of a failed or canceled one end too."""
        ends = {index: outcome}
        if outcome.event is not Event.FINISHED:
            result = PRECEDING_FAILED if outcome.event is Event.FAILED else CANCELED_TEXT
            for later in range(index + 1, len(self.ops)):
                if not self.ops[later].final:
                    ends[later] = Outcome(event=outcome.event, result=result, end=outcome.end)
        return ends

    def ends_with(self, ends: Mapping[int, Outcome]) -> bool:
        """Whether nothing is left to do after these."""
        return all(op.final or index in ends for index, op in enumerate(self.ops))

    def settle(self, ends: Mapping[int, Outcome]) -> None:
        """Take over outcomes, once they are on the disk."""
        for index, outcome in ends.items():
            op = self.ops[index]
            op.status = states.after(op.status, outcome.event)
            op.result, op.end = outcome.result, outcome.end
            op.secrets = {}
        if all(op.final for op in self.ops):
            self.end = max((op.end for op in self.ops if op.end), default=clock.timestamp())
        self.touch()

    # --- the store ------------------------------------------------------------------------------------

    def encode(self, ends: Mapping[int, Outcome] | None = None) -> dict[str, Any]:
        """The stored form, as it will be after `ends`."""
        ends = ends or {}
        ops = [_encode_op(op, ends.get(index)) for index, op in enumerate(self.ops)]
        end = self.end
        if ends and self.ends_with(ends):
            end = max(outcome.end for outcome in ends.values())
        return {"id": self.id, "ops": ops, "received_timestamp": _list(self.received),
                "start_timestamp": _list(self.start), "end_timestamp": _list(end)}


def _encode_op(op: OpRecord, outcome: Outcome | None) -> dict[str, Any]:
    status, result, end = op.status, op.result, op.end
    if outcome is not None:
        status, result, end = states.after(status, outcome.event), outcome.result, outcome.end
    return {"input": op.input, "status": status.value, "result": result, "log": list(op.log),
            "priority": op.priority, "start_timestamp": _list(op.start), "exec_timestamp": _list(op.exec),
            "end_timestamp": _list(end)}


def decode(data: Mapping[str, Any], *, archived: bool = False) -> Job:
    """The job that `encode` made; raises ParameterError when a part is missing."""
    try:
        ops = [OpRecord(input=op["input"], status=Status(op["status"]), result=op["result"], log=list(op["log"]),
                        priority=op["priority"], start=_time(op["start_timestamp"]),
                        exec=_time(op["exec_timestamp"]), end=_time(op["end_timestamp"])) for op in data["ops"]]
        job = Job(data["id"], ops, _time(data["received_timestamp"]))
        job.start, job.end = _time(data["start_timestamp"]), _time(data["end_timestamp"])
    except (KeyError, TypeError, ValueError) as err:
        raise ParameterError(detail=f"stored job {data.get('id', '?')} is damaged: {err!r}") from err
    job.archived = archived
    return job


def _list(stamp: Timestamp | None) -> list[int] | None:
    return None if stamp is None else list(stamp)


def _time(data: Any) -> Timestamp | None:
    return None if data is None else (int(data[0]), int(data[1]))
