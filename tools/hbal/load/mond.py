# SPDX-License-Identifier: BSD-2-Clause
"""What the monitoring daemons measure of CPU load, asked over the network or read from a file.

Either all nodes answer, or none of the answers count.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hbal.errors import Error, LoadError
from hbal.load.fields import Fields, decode
from hbal.model import ClusterData, Instance

PORT = 1815
TIMEOUT_SECONDS = 5.0
WORKERS = 16
TOTAL, XEN = "cpu-avg-load", "xen-cpu-avg-load"

Reports = dict[str, Any]
"""The collector's data by node name."""


def from_file(path: str, collector: str) -> Reports:
    """Reports from a file: an array of objects with `node` and `reports`; raises Error."""
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as err:
        raise Error(f"cannot read monitoring data from {path}: {getattr(err, 'strerror', None) or err}") from err
    try:
        answers = decode(content, "Parsing MonD's answer")
        if not isinstance(answers, list):
            raise LoadError("Unable to read JSArray")
        found: Reports = {}
        for answer in answers:
            fields = Fields(answer, "MonD's answer")
            for report in fields.objects("reports"):
                if report.text("name") == collector:
                    found[fields.text("node")] = report.any("data")
    except LoadError as err:
        raise Error(f"can't parse MonD data: {err.detail}") from err
    return found


def from_nodes(nodes: Sequence[str], collector: str, warn: Callable[[str], None]) -> Reports:
    """Reports of the nodes themselves; those that do not answer are named in a warning."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(WORKERS) as pool:
        answers = dict(zip(nodes, pool.map(lambda node: _ask(node, collector), nodes), strict=True))
    for node, answer in answers.items():
        if answer is None:
            warn(f"Failed to contact node's {node} MonD for DC {collector}")
    return {node: answer for node, answer in answers.items() if answer is not None}


def _ask(node: str, collector: str) -> Any:
    """The collector's data, None when it cannot be had."""
    from http.client import HTTPConnection, HTTPException

    link = HTTPConnection(node, PORT, timeout=TIMEOUT_SECONDS)
    try:
        link.request("GET", f"/1/report/default/{collector}")
        answer = link.getresponse()
        if answer.status != 200:
            return None
        return Fields(decode(answer.read(), node), node).any("data", None)
    except (OSError, HTTPException, LoadError, UnicodeError):
        return None
    finally:
        link.close()


def applied(data: ClusterData, reports: Reports, collector: str) -> ClusterData | None:
    """The cluster with measured CPU loads; None when a node's report is missing or cannot be understood."""
    return _total(data, reports) if collector == TOTAL else _per_instance(data, reports)


def _number(value: Any) -> float | None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
    return float(value) if good else None


def _total(data: ClusterData, reports: Reports) -> ClusterData | None:
    """Each node's load is the reported one; its primaries share it by their virtual CPUs."""
    totals = []
    for node in data.nodes:
        report = reports.get(node.name)
        total = _number(report.get("cpu_total")) if isinstance(report, dict) else None
        if total is None:
            return None
        totals.append(total)
    used = [node.node_cpus for node in data.nodes]
    for instance in data.instances:
        if instance.online and not instance.forthcoming:
            used[instance.primary] += instance.vcpus

    def share(instance: Instance) -> float:
        node = instance.primary
        return totals[node] / used[node] * instance.vcpus if used[node] else 0.0
    return _with_loads(data, totals, [share(instance) for instance in data.instances])


def _per_instance(data: ClusterData, reports: Reports) -> ClusterData | None:
    """Each instance's load is the reported one; a node's is the sum over its primaries."""
    sums, loads = [0.0] * len(data.nodes), []
    for node in data.nodes:
        if not isinstance(reports.get(node.name), dict):
            return None
    for instance in data.instances:
        load = _number(reports[data.nodes[instance.primary].name].get(instance.name))
        if load is None and not instance.forthcoming:
            return None
        loads.append(instance.load.cpu if load is None else load)
        if not instance.forthcoming:
            sums[instance.primary] += loads[-1]
    return _with_loads(data, sums, loads)


def _with_loads(data: ClusterData, nodes: Sequence[float], instances: Sequence[float]) -> ClusterData:
    return data._replace(
        nodes=tuple(node._replace(cpu_load=load) for node, load in zip(data.nodes, nodes, strict=True)),
        instances=tuple(instance._replace(load=instance.load._replace(cpu=load))
                        for instance, load in zip(data.instances, instances, strict=True)))
