# SPDX-License-Identifier: BSD-2-Clause
"""Retry and wait: what, how long and how often are arguments."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from gantry.errors import Error
from gantry.utils.clock import SYSTEM, Clock

T = TypeVar("T")


def growing(first: float, factor: float = 1.5, most: float = 5.0) -> Iterator[float]:
    """Pauses in seconds that grow from `first` to `most`, without end."""
    pause = first
    while True:
        yield pause
        pause = min(pause * factor, most)


def until(action: Callable[[], T], *, seconds: float, waits: Iterable[float], clock: Clock = SYSTEM) -> T:
    """Call `action` until it succeeds; after `seconds`, or when `waits` ends, let its last error through.

    Only errors with `may_pass` are tried again.
    """
    end = clock.now() + seconds
    for pause in waits:
        try:
            return action()
        except Error as err:
            if not err.may_pass or clock.now() + pause > end:
                raise
            clock.sleep(pause)
    return action()


def wait_for(condition: Callable[[], bool], *, seconds: float, waits: Iterable[float],
             clock: Clock = SYSTEM) -> bool:
    """Whether `condition` came true within `seconds`."""
    end = clock.now() + seconds
    for pause in waits:
        if condition():
            return True
        if clock.now() >= end:
            return False
        clock.sleep(min(pause, max(0.0, end - clock.now())))
    return condition()
