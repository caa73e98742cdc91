# SPDX-License-Identifier: BSD-2-Clause
"""The first answer to a request, for those who ask again."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Entry(Generic[T]):
    done: threading.Event = field(default_factory=threading.Event)
    answer: T | None = None


class Memory(Generic[T]):
    """Runs the work of a key once.  Thread-safe.

    Whoever asks while the work is running waits for it and gets the same answer.  Answers that `keeps` accepts
    are remembered, the `most` latest of them; after any other the next one to ask does the work again.
    """

    def __init__(self, keeps: Callable[[T], bool], *, most: int = 2000) -> None:
        self._keeps, self._most = keeps, most
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()

    def once(self, key: str, work: Callable[[], T], *, seconds: float) -> T | None:
        """The answer; None when the first to ask is not done after `seconds`."""
        with self._lock:
            entry = self._entries.get(key)
            mine = entry is None
            if entry is None:
                entry = self._entries[key] = _Entry()
            else:
                self._entries.move_to_end(key)
        if not mine:
            entry.done.wait(seconds)
            return entry.answer
        try:
            entry.answer = work()
        finally:
            with self._lock:
                if entry.answer is None or not self._keeps(entry.answer):
                    del self._entries[key]
                self._trim()
            entry.done.set()
        return entry.answer

    def _trim(self) -> None:
        surplus = len(self._entries) - self._most
        for key in [key for key, entry in self._entries.items() if entry.done.is_set()][:max(0, surplus)]:
            del self._entries[key]
