# SPDX-License-Identifier: BSD-2-Clause
"""The checks of `gnt-cluster verify` on a node group: pure functions from what was seen to problems."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gantry.cmdlib.disk_look import NodeDisks
from gantry.cmdlib.verify_report import Problem
from gantry.cmdlib.verify_storage import check_layout
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import PROTOCOL_VERSION, RELEASE_VERSION, AdminState
from gantry.errors import NodeError
from gantry.objects.cluster import Node
from gantry.objects.instance import Instance
from gantry.objects.ipolicy import InstanceSpec, check_instance
from gantry.objects.node import HookResult, NodeInfo, NodeReport, OsDefinition, Version
from gantry.objects.vm import VmStatus

MAX_CLOCK_SKEW = 150.0
"""Seconds."""
HOOK_FAILED = 1
"""Code of a script that failed, in HookResult."""


@dataclass(frozen=True)
class Seen:
    """Answers by node UUID; a NodeError where a node did not answer.  `asked` is the master's time then.

    `disks`: what the nodes said of the disks that should be there; `volumes`: all logical volumes they have;
    `physical`: physical volumes, of nodes that give each disk its own; `passing`: disk files that jobs have for a
    while.
    """

    nodes: tuple[Node, ...]
    asked: float
    versions: dict[str, Version | NodeError] = field(default_factory=dict)
    reports: dict[str, NodeReport | NodeError] = field(default_factory=dict)
    guests: dict[str, list[VmStatus] | NodeError] = field(default_factory=dict)
    infos: dict[str, NodeInfo | NodeError] = field(default_factory=dict)
    disks: dict[str, NodeDisks | NodeError] = field(default_factory=dict)
    volumes: dict[str, list[dict[str, Any]] | NodeError] = field(default_factory=dict)
    oses: dict[str, list[OsDefinition] | NodeError] = field(default_factory=dict)
    physical: dict[str, list[dict[str, Any]] | NodeError] = field(default_factory=dict)
    passing: frozenset[str] = frozenset()


def check_nodes(config: Config, seen: Seen) -> Iterator[Problem]:
    for node in seen.nodes:
        version = seen.versions.get(node.uuid)
        if version is None:
            continue
        if isinstance(version, NodeError):
            yield Problem("ENODERPC", "node", node.name, f"unable to verify node: {version}")
            continue
        yield from _check_version(node, version)
        yield from _check_report(node, seen.reports[node.uuid], seen.asked)
    yield from _check_oses(seen)


def _check_version(node: Node, version: Version) -> Iterator[Problem]:
    if version.protocol != PROTOCOL_VERSION:
        yield Problem("ENODEVERSION", "node", node.name,
                      f"incompatible protocol versions: master {PROTOCOL_VERSION}, node {version.protocol}")
    elif version.release != RELEASE_VERSION:
        yield Problem("ENODEVERSION", "node", node.name, warning=True,
                      text=f"software version mismatch: master {RELEASE_VERSION}, node {version.release}")


def _check_report(node: Node, report: NodeReport | NodeError, asked: float) -> Iterator[Problem]:
    if isinstance(report, NodeError):
        yield Problem("ENODERPC", "node", node.name, f"unable to verify node: {report}")
        return
    skew = abs(report.time - asked)
    if skew > MAX_CLOCK_SKEW:
        yield Problem("ENODETIME", "node", node.name,
                      f"its clock differs by {skew:.0f} s from the master's, {MAX_CLOCK_SKEW:.0f} s are allowed")
    for problem in report.problems:
        yield Problem(problem.code, "node", node.name, problem.message, problem.warning)


def _check_oses(seen: Seen) -> Iterator[Problem]:
    """Definitions that are invalid, or not as on the first node that has the OS."""
    reference: dict[str, tuple[Node, OsDefinition]] = {}
    for node in seen.nodes:
        listed = seen.oses.get(node.uuid, [])
        if isinstance(listed, NodeError):
            yield Problem("ENODEOS", "node", node.name, f"the OS definitions cannot be listed: {listed}")
            continue
        first = {item.name: item for item in reversed(listed)}
        for name, item in sorted(first.items()):
            if item.problem:
                yield Problem("ENODEOS", "node", node.name, f"invalid OS {name}: {item.problem} (path {item.path})")
                continue
            where, other = reference.setdefault(name, (node, item))
            for what in ("api_versions", "variants", "parameters"):
                if sorted(getattr(item, what)) != sorted(getattr(other, what)):
                    yield Problem("ENODEOS", "node", node.name,
                                  f"OS {name} differs from that on node {where.name} in its {what.replace('_', ' ')}")


def check_hooks(node: Node, results: list[HookResult] | NodeError) -> Iterator[Problem]:
    """What became of the scripts in cluster-verify-post.d."""
    if isinstance(results, NodeError):
        yield Problem("ENODEHOOKS", "node", node.name, f"Communication failure in hooks execution: {results}")
        return
    for result in results:
        if result.code == HOOK_FAILED:
            yield Problem("ENODEHOOKS", "node", node.name,
                          f"Script {result.script} failed, output: {result.output or '(no output)'}")


def check_instances(config: Config, seen: Seen, instances: tuple[Instance, ...]) -> Iterator[Problem]:
    running = _running(seen)
    for instance in instances:
        node = config.nodes[instance.primary_node]
        places = running.get(instance.uuid, set())
        if instance.admin_state is AdminState.UP and (node.offline or not node.vm_capable):
            yield Problem("EINSTANCEBADNODE", "instance", instance.name,
                          f"its primary node {node.name} is {'offline' if node.offline else 'not vm_capable'}")
        elif (instance.admin_state is AdminState.UP and node.uuid not in places
              and isinstance(seen.guests.get(node.uuid), list)):
            yield Problem("EINSTANCEDOWN", "instance", instance.name,
                          f"instance not running on its primary node {node.name}")
        for wrong in sorted(places - {instance.primary_node}):
            yield Problem("EINSTANCEWRONGNODE", "instance", instance.name,
                          f"instance is running on node {config.nodes[wrong].name}, its primary node is {node.name}")
        yield from _check_secondaries(config, instance)
        yield from check_layout(config, instance)
        yield from _check_placement(config, instance)


def _check_secondaries(config: Config, instance: Instance) -> Iterator[Problem]:
    """An instance that should run and has a secondary node that cannot take over."""
    if instance.admin_state is not AdminState.UP:
        return
    nodes = [config.nodes[uuid] for uuid in config.secondaries_of(instance)]
    for node in nodes:
        if node.offline:
            yield Problem("EINSTANCEBADNODE", "instance", instance.name,
                          f"instance has offline secondary node(s) {node.name}")
        elif not node.vm_capable:
            yield Problem("EINSTANCEBADNODE", "instance", instance.name,
                          f"its secondary node {node.name} is not vm_capable")


def _check_placement(config: Config, instance: Instance) -> Iterator[Problem]:
    secondaries = config.secondaries_of(instance)
    group = config.groups[config.nodes[instance.primary_node].group]
    if any(config.nodes[uuid].group != group.uuid for uuid in secondaries):
        yield Problem("EINSTANCESPLITGROUPS", "instance", instance.name, warning=True,
                      text="instance has primary and secondary nodes in different groups")
    be = effective.beparams(config, instance)
    spec = InstanceSpec(memory=be["maxmem"], vcpus=be["vcpus"], nics=len(instance.nics), spindle_use=be["spindle_use"],
                        disks=tuple(disk.size for disk in config.disks_of(instance)),
                        disk_template=instance.disk_template)
    for violation in check_instance(effective.ipolicy(config, group), spec):
        yield Problem("EINSTANCEPOLICY", "instance", instance.name, violation, warning=True)


def check_strangers(config: Config, seen: Seen) -> Iterator[Problem]:
    """Guests that no instance owns."""
    for uuid, guests in seen.guests.items():
        if isinstance(guests, NodeError):
            continue
        for guest in guests:
            if guest.uuid not in config.instances:
                yield Problem("ENODEORPHANINSTANCE", "node", config.nodes[uuid].name,
                              f"instance {guest.name} is running there, but the cluster does not know it")


def check_orphan_disks(config: Config, seen: Seen) -> Iterator[Problem]:
    """Disk files that no disk owns; shared folders are seen by every node and named once."""
    known = seen.passing | {disk.file.path for disk in config.disks.values() if disk.file is not None}
    named: set[str] = set()
    for node in seen.nodes:
        report = seen.reports.get(node.uuid)
        if not isinstance(report, NodeReport):
            continue
        for path in sorted(set(report.disk_files) - known - named):
            named.add(path)
            yield Problem("ENODEORPHANLV", "node", node.name, f"disk file {path} belongs to no instance", warning=True)


def check_n1(config: Config, seen: Seen) -> Iterator[Problem]:
    """Whether each node has the memory to start what one failed peer would leave to it."""
    needed: dict[tuple[str, str], int] = {}
    for instance in config.instances.values():
        be = effective.beparams(config, instance)
        if instance.admin_state is AdminState.UP and be["auto_balance"]:
            for secondary in config.secondaries_of(instance):
                key = (secondary, instance.primary_node)
                needed[key] = needed.get(key, 0) + be["minmem"]
    for (uuid, peer), memory in sorted(needed.items()):
        info = seen.infos.get(uuid)
        if isinstance(info, NodeInfo) and info.memory_free < memory:
            yield Problem("ENODEN1", "node", config.nodes[uuid].name,
                          f"not enough memory to accommodate instance failovers should node "
                          f"{config.nodes[peer].name} fail ({memory} MiB needed, {info.memory_free} MiB available)")


def notes(config: Config, seen: Seen, instances: tuple[Instance, ...]) -> Iterator[str]:
    facts: list[tuple[int, str]] = [
        (sum(not config.secondaries_of(instance) and instance.disk_template in ("plain", "file")
             for instance in instances), "non-redundant instance(s) found."),
        (sum(not effective.beparams(config, instance)["auto_balance"] for instance in instances),
         "non-auto-balanced instance(s) found."),
        (sum(instance.admin_state is AdminState.OFFLINE for instance in instances), "offline instance(s) found."),
        (sum(node.offline for node in config.nodes.values()), "offline node(s) found."),
        (sum(node.drained for node in config.nodes.values()), "drained node(s) found.")]
    for count, text in facts:
        if count:
            yield f"{count} {text}"


def _running(seen: Seen) -> dict[str, set[str]]:
    """Node UUIDs by instance UUID."""
    found: dict[str, set[str]] = {}
    for node, guests in seen.guests.items():
        if not isinstance(guests, NodeError):
            for guest in guests:
                if guest.state != "user_down":
                    found.setdefault(guest.uuid, set()).add(node)
    return found


def answers_of(answers: dict[str, Any]) -> dict[str, Any]:
    """The good ones."""
    return {uuid: answer for uuid, answer in answers.items() if not isinstance(answer, NodeError)}
