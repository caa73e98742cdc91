# SPDX-License-Identifier: BSD-2-Clause
"""Jobs over LUXI: opcodes for moves, submitting them set by set, waiting for their end."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from hbal import RELEASE
from hbal.errors import Error

Opcode = dict[str, Any]

PRIORITIES = {"low": 10, "normal": 0, "high": -10}
FINAL = frozenset({"success", "error", "canceled"})
FIRST_WAIT, LONGEST_WAIT = 0.5, 15.0


class Caller(Protocol):
    """What is needed of a LUXI client."""

    def call(self, method: str, args: list[Any], /) -> Any: ...


class JobsFailed(Error):
    """Some jobs did not succeed."""


class Label(NamedTuple):
    """What goes into every opcode of a program."""

    program: str
    comment: str
    priority: str | None = None
    reason: str | None = None

    def on(self, opcode: Opcode) -> Opcode:
        """The opcode with comment, priority and reason."""
        why = self.reason or f"{self.program} (ganeti) version {RELEASE} called"
        extra: Opcode = {"comment": f"{self.comment} (ganeti) version {RELEASE}", "depends": None,
                         "reason": [[self.program, why, time.time_ns()]]}
        if self.priority is not None:
            extra["priority"] = PRIORITIES[self.priority]
        return opcode | extra


def migrate(instance: str, target: str | None = None) -> Opcode:
    """Fail over or migrate, to `target` where the storage allows any node."""
    opcode: Opcode = {
        "OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": instance, "allow_runtime_changes": False,
        "ignore_ipolicy": False, "cleanup": False, "allow_failover": True, "ignore_hvversions": True}
    return opcode if target is None else opcode | {"target_node": target}


def failover(instance: str, target: str | None = None) -> Opcode:
    """For instances that do not run yet (forthcoming ones)."""
    opcode: Opcode = {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": instance, "shutdown_timeout": 120,
                      "ignore_consistency": False, "ignore_ipolicy": False, "cleanup": False}
    return opcode if target is None else opcode | {"target_node": target}


def replace_secondary(instance: str, target: str) -> Opcode:
    return {"OP_ID": "OP_INSTANCE_REPLACE_DISKS", "instance_name": instance, "early_release": False,
            "ignore_ipolicy": False, "mode": "replace_new_secondary", "disks": [], "remote_node": target}


def submit(client: Caller, jobs: Sequence[Sequence[Opcode]]) -> list[int]:
    """The ids of the jobs; raises JobsFailed when one was refused (those before it run)."""
    answers = client.call("SubmitManyJobs", [[list(job) for job in jobs]])
    refused = [str(answer) for accepted, answer in answers if not accepted]
    if refused:
        raise JobsFailed(f"Job submission failed: {'; '.join(refused)}")
    return [int(answer) for _, answer in answers]


def wait(client: Caller, ids: Sequence[int], pause: Callable[[float], object],
         progress: Callable[[int, int], None] = lambda done, total: None) -> dict[int, str]:
    """The final status of each job; `progress(done, all)` is told whenever more have ended."""
    seconds, done = FIRST_WAIT, 0
    while True:
        pause(seconds)
        rows = client.call("QueryJobs", [list(ids), ["status"]])
        states = {job: str(row[0]) if row else "unknown" for job, row in zip(ids, rows, strict=True)}
        ended = sum(state in FINAL for state in states.values())
        if ended != done:
            done = ended
            progress(done, len(ids))
        if ended == len(ids) or "unknown" in states.values():
            return states
        seconds = min(2 * seconds, LONGEST_WAIT)
