# SPDX-License-Identifier: BSD-2-Clause
"""Log entries of jobs: `[serial, [seconds, microseconds], type, payload]`.

The serial counts over the whole job, so that a watcher can ask for what is newer than what it has seen.
"""

from collections.abc import Iterable
from typing import Any

from gantry.utils import clock

Entry = list[Any]

MESSAGE = "message"
SERIAL_GAP = 1000
"""Distance kept after a restart: lines that were shown but not stored had numbers below it."""


def entry(serial: int, kind: str, payload: Any) -> Entry:
    return [serial, list(clock.timestamp()), kind, payload]


def newer(logs: Iterable[list[Entry]], serial: int | None) -> list[Entry]:
    """Entries of all opcodes with a higher serial, in order; None: all of them."""
    seen = -1 if serial is None else serial
    found: list[Entry] = []
    for log in logs:
        if log and log[-1][0] > seen:
            found.extend(item for item in log if item[0] > seen)
    return sorted(found, key=lambda item: item[0])


def last_serial(logs: Iterable[list[Entry]]) -> int:
    return max((log[-1][0] for log in logs if log), default=0)


def merge(log: list[Entry], entries: Iterable[Entry]) -> None:
    """Add entries that were stored apart from their job; those it has already are skipped."""
    have = {item[0] for item in log}
    log.extend(item for item in entries if item[0] not in have)
    log.sort(key=lambda item: item[0])
