# SPDX-License-Identifier: BSD-2-Clause
"""Jobs that have not started: those that may, in order, and those that wait for other jobs."""

import bisect
import dataclasses
from collections.abc import Iterable, Iterator

from gantry.jqueue.schedule import Candidate


class Line:
    """Adding, taking out and waking cost little, however long the line is."""

    def __init__(self) -> None:
        self._ready: list[Candidate] = []
        self._known: dict[int, Candidate] = {}
        self._missing: dict[int, set[int]] = {}
        """Job to the unfinished jobs it waits for."""
        self._dependents: dict[int, set[int]] = {}

    def __contains__(self, id: int) -> bool:
        return id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def ready(self) -> Iterator[Candidate]:
        """By priority, then by id."""
        return iter(self._ready)

    def add(self, candidate: Candidate, depends: Iterable[int] = ()) -> None:
        """`depends`: jobs that are not finished yet."""
        self._known[candidate.id] = candidate
        missing = set(depends)
        if not missing:
            bisect.insort(self._ready, candidate, key=_rank)
            return
        self._missing[candidate.id] = missing
        for id in missing:
            self._dependents.setdefault(id, set()).add(candidate.id)

    def take(self, id: int) -> Candidate:
        """Out of the line."""
        candidate = self._known.pop(id)
        missing = self._missing.pop(id, None)
        if missing is None:
            del self._ready[bisect.bisect_left(self._ready, candidate.rank, key=_rank)]
            return candidate
        for other in missing:
            self._dependents[other].discard(id)
        return candidate

    def set_priority(self, id: int, priority: int) -> None:
        missing = self._missing.get(id, set())
        self.add(dataclasses.replace(self.take(id), priority=priority), missing)

    def finished(self, id: int) -> None:
        """A job has ended: those that waited for it alone may start."""
        for dependent in self._dependents.pop(id, ()):
            missing = self._missing[dependent]
            missing.discard(id)
            if not missing:
                del self._missing[dependent]
                bisect.insort(self._ready, self._known[dependent], key=_rank)


def _rank(candidate: Candidate) -> tuple[int, int]:
    return candidate.rank
