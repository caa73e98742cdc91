# SPDX-License-Identifier: BSD-2-Clause
"""What a daemon counts of its own work, for monitoring: cheap enough to be always on.

Each number is declared here once; its name is that of a Prometheus metric without the prefix `gantry_`.  `snapshot`
gives them as plain data: {name: {"kind", "help", "labels", "values": [[label values, value], ...]}}.  A histogram's
value is [count, sum, [how many were not above each of BOUNDS]].
"""

import bisect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gantry.utils.clock import SYSTEM

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds."""
MOST_SERIES = 2000
"""Sets of label values a metric may have; what comes after them is counted under empty labels."""

_ALL: dict[str, "Counter | Histogram | Gauge"] = {}


class _Metric:
    kind = ""

    def __init__(self, name: str, help: str, *labels: str) -> None:
        self.name, self.help, self.labels = name, help, labels
        self._series: dict[tuple[str, ...], Any] = {}
        _ALL[name] = self  # type: ignore[assignment]  # one of the three below

    def _place(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        known = labels in self._series or len(self._series) < MOST_SERIES
        return labels if known else ("",) * len(self.labels)

    def values(self) -> list[list[Any]]:
        return [[list(labels), value] for labels, value in self._series.items()]


class Counter(_Metric):
    kind = "counter"

    def add(self, *labels: str) -> None:
        place = self._place(labels)
        self._series[place] = self._series.get(place, 0) + 1


class Histogram(_Metric):
    """Durations in seconds."""

    kind = "histogram"

    def observe(self, seconds: float, *labels: str) -> None:
        place = self._place(labels)
        series = self._series.get(place)
        if series is None:
            series = self._series[place] = [0, 0.0, [0] * len(BOUNDS)]
        series[0] += 1
        series[1] += max(0.0, seconds)
        bucket = bisect.bisect_left(BOUNDS, seconds)
        if bucket < len(BOUNDS):
            series[2][bucket] += 1

    @contextmanager
    def time(self, *labels: str) -> Iterator[None]:
        """Observe how long the block takes, however it ends."""
        start = SYSTEM.now()
        try:
            yield
        finally:
            self.observe(SYSTEM.now() - start, *labels)

    def values(self) -> list[list[Any]]:
        found = []
        for labels, (count, total, buckets) in self._series.items():
            sums = [sum(buckets[:place + 1]) for place in range(len(buckets))]
            found.append([list(labels), [count, total, sums]])
        return found


class Gauge(_Metric):
    """A number that is read when somebody asks."""

    kind = "gauge"

    def read_with(self, read: Callable[[], float]) -> None:
        self._series[()] = read

    def values(self) -> list[list[Any]]:
        return [[list(labels), read()] for labels, read in self._series.items()]


def snapshot() -> dict[str, Any]:
    """Every metric of this process."""
    return {metric.name: {"kind": metric.kind, "help": metric.help, "labels": list(metric.labels),
                          "values": metric.values()} for metric in _ALL.values()}


RPC_SECONDS = Histogram("rpc_seconds", "Time that calls to a node took, in seconds", "node")
RPC_ERRORS = Counter("rpc_errors", "Calls to a node that failed, by the kind of failure", "node", "error")
COMMIT_SECONDS = Histogram("store_commit_seconds", "Time until a record was on the disks of all copies, in seconds")
QUEUE_SECONDS = Histogram("job_queue_seconds", "Time from a job's submission to its start, in seconds")
LOCK_SECONDS = Histogram("lock_wait_seconds", "Time that jobs waited for a lock, in seconds", "level")
JOBS_ENDED = Counter("jobs_ended", "Jobs that ended, by their first opcode and by status", "kind", "status")
REQUEST_SECONDS = Histogram("rapi_request_seconds", "Time that requests of the remote API took, in seconds",
                            "resource", "method", "status")
IN_SYNC = Gauge("in_sync_candidates", "Master candidates whose copy of the state is complete, the master among them")
