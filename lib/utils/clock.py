# SPDX-License-Identifier: BSD-2-Clause
"""The only place that reads the clock or sleeps."""

import os
import time
from typing import Protocol


def _patience(text: str) -> float:
    """1 where it says nothing that makes sense: a mistyped setting must not keep a node from running."""
    try:
        return min(max(float(text), 1.0), 1000.0)
    except ValueError:
        return 1.0


PATIENCE = _patience(os.environ.get("GANTRY_PATIENCE", ""))
"""By what the limits are multiplied after which a call, a program or a connection is given up: for machines that are
slow by nature, such as emulated ones.  It changes no interval that people set or see."""


class Clock(Protocol):
    """What a function that waits takes as an argument."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """Real time.  `now` never jumps; it is not the time of day."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM = SystemClock()


def epoch() -> float:
    """Seconds since 1970."""
    return time.time()


def timestamp() -> tuple[int, int]:
    """Now as (seconds, microseconds), the form of job times on the wire."""
    microseconds = time.time_ns() // 1000
    return microseconds // 1_000_000, microseconds % 1_000_000


def nanoseconds() -> int:
    """Now as whole nanoseconds since 1970, the form of reason trails."""
    return time.time_ns()
