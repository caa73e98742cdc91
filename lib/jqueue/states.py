# SPDX-License-Identifier: BSD-2-Clause
"""The life of an opcode, and of the job that holds it.

Rule 1: no other module decides whether an opcode may change its state.
Rule 2: this module knows nothing of files, tasks or time.
Rule 3: a final state is never left.
"""

from collections.abc import Sequence
from enum import StrEnum

from gantry.errors import JobStateError


class Status(StrEnum):
    """The words of the wire; the order of declaration is the order of comparisons."""

    QUEUED = "queued"
    WAITING = "waiting"
    CANCELING = "canceling"
    RUNNING = "running"
    CANCELED = "canceled"
    SUCCESS = "success"
    ERROR = "error"


class Event(StrEnum):
    PICKED = "picked"
    LOCKED = "locked"
    AGAIN = "again"
    """Something is missing that may come by itself: locks are given back, it is tried again later."""
    FINISHED = "finished"
    FAILED = "failed"
    CANCEL = "cancel"
    """The operator wants it to stop."""
    CANCELED = "canceled"
    """It has stopped, and what it did is undone."""
    RESTART = "restart"
    """The master daemon was started again, and nothing had been done yet."""


S, E = Status, Event
MOVES: dict[Status, dict[Event, Status]] = {
    S.QUEUED: {E.PICKED: S.WAITING, E.FAILED: S.ERROR, E.CANCELED: S.CANCELED},
    S.WAITING: {E.LOCKED: S.RUNNING, E.FAILED: S.ERROR, E.CANCEL: S.CANCELING, E.CANCELED: S.CANCELED,
                E.RESTART: S.QUEUED},
    S.CANCELING: {E.CANCELED: S.CANCELED, E.FAILED: S.ERROR, E.FINISHED: S.SUCCESS},
    S.RUNNING: {E.FINISHED: S.SUCCESS, E.FAILED: S.ERROR, E.AGAIN: S.WAITING, E.CANCEL: S.CANCELING,
                E.CANCELED: S.CANCELED, E.RESTART: S.QUEUED},
    S.CANCELED: {}, S.SUCCESS: {}, S.ERROR: {},
}
FINAL = frozenset(status for status, moves in MOVES.items() if not moves)
PENDING = frozenset({Status.QUEUED, Status.WAITING, Status.CANCELING})
ORDER = {status: place for place, status in enumerate(Status)}

_STOPPED = frozenset({Status.ERROR, Status.CANCELING, Status.CANCELED})
_STARTED = frozenset({Status.WAITING, Status.RUNNING})


def after(status: Status, event: Event) -> Status:
    """The state that follows; raises JobStateError when the move is not in the table."""
    try:
        return MOVES[status][event]
    except KeyError:
        raise JobStateError(state=status.value, event=event.value) from None


def job_status(ops: Sequence[Status]) -> Status:
    """The status of a job whose opcodes, in order, have these."""
    for status in ops:
        if status in _STOPPED:
            return status
    for status in reversed(ops):
        if status in _STARTED:
            return status
    if all(status is Status.SUCCESS for status in ops):
        return Status.SUCCESS
    return Status.QUEUED
