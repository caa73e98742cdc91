# SPDX-License-Identifier: BSD-2-Clause
"""`/metrics`: the cluster in numbers, for Prometheus.

The cluster's objects are counted here; what the master daemon counts of its own work comes over LUXI.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gantry.rapi.door import Door
from gantry.rapi.endpoint import Endpoint, look
from gantry.rapi.objects import LOCK
from gantry.rapi.of_nodes import ROLES
from gantry.rapi.request import Raw
from gantry.rapi.states import States
from gantry.utils import counting
from gantry.utils.clock import SYSTEM

FRESH_SECONDS = 1.0
"""For which an answer is given to all who ask."""


class Collector:
    """What prometheus_client reads."""

    def __init__(self, door: Door, states: States) -> None:
        self._door, self._states = door, states

    def collect(self) -> Iterator[Metric]:
        yield from self._objects()
        yield self._jobs()
        yield self._locks()
        master = self._door.call("QueryMetrics")
        own = {name: metric for name, metric in counting.snapshot().items() if name.startswith("rapi_")}
        for name, metric in sorted((master | own).items()):
            if metric["values"]:
                yield _family(name, metric)

    def _objects(self) -> Iterator[Metric]:
        roles = [row[0] for row in self._door.call("QueryNodes", [[], ["role"], LOCK])]
        yield _counted("nodes", "Nodes by role", ["role"], ((ROLES.get(role, role),) for role in roles))
        instances = self._states.instances().values()
        yield _counted("instances", "Instances by status, wanted state and primary node",
                       ["status", "admin_state", "pnode"],
                       ((str(item["status"]), item["admin_state"], item["pnode"]) for item in instances))
        groups = self._door.call("QueryGroups", [[], ["name", "node_cnt", "pinst_cnt"], LOCK])
        yield _gauge("groups", "Node groups", [], [((), len(groups))])
        yield _gauge("group_nodes", "Nodes of a group", ["group"], [((name,), nodes) for name, nodes, _ in groups])
        yield _gauge("group_instances", "Instances whose primary node is in a group", ["group"],
                     [((name,), instances) for name, _, instances in groups])

    def _jobs(self) -> Metric:
        found = [(job.status, job.summary[0].partition("(")[0] if job.summary else "")
                 for job in self._states.jobs().values()]
        return _counted("jobs", "Jobs in the queue that are not archived, by status and first opcode",
                        ["status", "kind"], found)

    def _locks(self) -> Metric:
        data = self._door.call("Query", ["lock", ["pending"], None])["data"]
        waiting = sum(len(owners) for row in data for _, owners in row[0][1] or ())
        return _gauge("lock_waiters", "Jobs that wait for a lock now", [], [((), waiting)])


def _counted(name: str, help: str, labels: list[str], items: Iterable[tuple[str, ...]]) -> Metric:
    return _gauge(name, help, labels, Counter(items).items())


def _gauge(name: str, help: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(f"gantry_{name}", help, labels=labels)
    for given, value in sorted(values):
        family.add_metric(given, value)
    return family


def _family(name: str, metric: dict[str, Any]) -> Metric:
    if metric["kind"] == "histogram":
        histogram = HistogramMetricFamily(f"gantry_{name}", metric["help"], labels=metric["labels"])
        for labels, (count, total, buckets) in metric["values"]:
            named = [(str(bound), number) for bound, number in zip(counting.BOUNDS, buckets, strict=True)]
            histogram.add_metric(labels, [*named, ("+Inf", count)], sum_value=total)
        return histogram
    if metric["kind"] == "counter":
        counter = CounterMetricFamily(f"gantry_{name}", metric["help"], labels=metric["labels"])
        for labels, value in metric["values"]:
            counter.add_metric(labels, value)
        return counter
    values = [(tuple(labels), value) for labels, value in metric["values"]]
    return _gauge(name, metric["help"], metric["labels"], values)


class Metrics:
    def __init__(self, door: Door, states: States) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(Collector(door, states))
        self._guard = threading.Lock()
        self._text, self._made = b"", -FRESH_SECONDS

    def text(self) -> bytes:
        with self._guard:
            if SYSTEM.now() - self._made >= FRESH_SECONDS:
                self._text = generate_latest(self._registry)
                self._made = SYSTEM.now()
            return self._text

    def endpoint(self) -> Endpoint:
        return look("/metrics", "The cluster in numbers, in the text format of Prometheus.",
                    lambda request: Raw(self.text(), CONTENT_TYPE_LATEST), name="metrics", answer={"type": "string"},
                    content="text/plain")
