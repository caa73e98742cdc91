# SPDX-License-Identifier: BSD-2-Clause
"""The only place that reads the clock or sleeps."""

import time
from typing import Protocol


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
