# SPDX-License-Identifier: BSD-2-Clause
"""Automatic repairs: what the tags allow, what is broken, what is under way.

State lives in tags of the instances, below `ganeti:watcher:autorepair:`.  Pure: tags and states in, decisions out.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple

from hbal.model import NO_NODE, ClusterData, Instance, Status, Template

PREFIX = "ganeti:watcher:autorepair:"
PENDING, RESULT, SUSPEND = f"{PREFIX}pending:", f"{PREFIX}result:", f"{PREFIX}suspend"


class Repair(IntEnum):
    """What may be done to an instance, the least destructive first."""

    FIX_STORAGE = 0
    MIGRATE = 1
    FAILOVER = 2
    REINSTALL = 3

    @property
    def text(self) -> str:
        return self.name.lower().replace("_", "-")


BY_TEXT = {repair.text: repair for repair in Repair}


class Result(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    ENOPERM = "enoperm"


class Record(NamedTuple):
    """A repair as its tag tells it; without a result it is under way."""

    repair: Repair
    uuid: str
    time: int
    jobs: tuple[int, ...]
    result: Result | None = None

    @property
    def tag(self) -> str:
        head = PENDING if self.result is None else RESULT
        fields = [self.repair.text, self.uuid, str(self.time), *([] if self.result is None else [self.result]),
                  "+".join(map(str, self.jobs))]
        return head + ":".join(fields)


def record(tag: str) -> Record | None:
    """The repair a tag tells of; None for other tags and for those that make no sense."""
    finished = tag.startswith(RESULT)
    if not finished and not tag.startswith(PENDING):
        return None
    fields = tag[len(RESULT if finished else PENDING):].split(":")
    try:
        kind, uuid, time, *rest = fields
        result = Result(rest.pop(0)) if finished else None
        jobs = tuple(int(job) for job in rest[0].split("+") if job) if rest else ()
        return Record(BY_TEXT[kind], uuid, int(time), jobs, result)
    except (ValueError, KeyError, IndexError):
        return None


class Conflict(Exception):
    """Tags that contradict each other: a sentence."""


def current(tags: Iterable[str]) -> Record | None:
    """The repair that counts: the earliest failure, else one under way, else the newest that ended.

    Raises Conflict for two under way.
    """
    found = [one for one in map(record, tags) if one is not None]
    failed = [one for one in found if one.result is Result.FAILURE]
    if failed:
        return min(failed, key=lambda one: one.time)
    pending = [one for one in found if one.result is None]
    if len(pending) > 1:
        raise Conflict(f"has {len(pending)} repairs under way: {', '.join(one.tag for one in pending)}")
    if pending:
        return pending[0]
    return max(found, key=lambda one: one.time, default=None)


class Policy(NamedTuple):
    """What is allowed: up to `most`, unless suspended (until a time, or 0: for ever)."""

    most: Repair | None = None
    suspended: int | None = None


def policy(instance: Sequence[str], group: Sequence[str], cluster: Sequence[str], now: float) -> Policy:
    """That of the nearest object that has one; in one object a suspension counts first, then the least destructive."""
    for tags in (instance, group, cluster):
        until = _suspended(tags, now)
        if until is not None:
            return Policy(suspended=until)
        allowed = [BY_TEXT[kind] for tag in tags if tag.startswith(PREFIX) and (kind := tag[len(PREFIX):]) in BY_TEXT]
        if allowed:
            return Policy(min(allowed))
    return Policy()


def _suspended(tags: Sequence[str], now: float) -> int | None:
    """Until when; 0 for ever, None not at all."""
    ends = []
    for tag in tags:
        if tag == SUSPEND:
            return 0
        if tag.startswith(f"{SUSPEND}:") and tag[len(SUSPEND) + 1:].isdecimal():
            ends.append(int(tag[len(SUSPEND) + 1:]))
    return max((end for end in ends if end > now), default=None)


Opcode = dict[str, object]

STOPPED = frozenset({Status.ADMIN_DOWN, Status.ADMIN_OFFLINE, Status.USER_DOWN})
"""What the status of instances that are not to run can be."""


def needed(data: ClusterData, instance: Instance) -> tuple[Repair, list[Opcode]] | None:
    """The repair for what is broken, and the opcodes that do it."""
    primary_off = data.nodes[instance.primary].offline
    secondary_off = instance.secondary != NO_NODE and data.nodes[instance.secondary].offline
    name = instance.name
    if instance.template is Template.DRBD:
        if primary_off and secondary_off:
            return Repair.REINSTALL, _remade(instance)
        if primary_off:
            return Repair.FAILOVER, [{"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": name, "shutdown_timeout": 120,
                                      "ignore_consistency": False, "ignore_ipolicy": False, "cleanup": False}]
        if secondary_off:
            return Repair.FIX_STORAGE, [
                {"OP_ID": "OP_INSTANCE_REPLACE_DISKS", "instance_name": name, "early_release": False,
                 "ignore_ipolicy": False, "mode": "replace_new_secondary", "disks": [], "iallocator": "hail"}]
    if instance.template is Template.PLAIN and primary_off:
        return Repair.REINSTALL, _remade(instance)
    return None


def _remade(instance: Instance) -> list[Opcode]:
    """New disks and a new system; an instance that is to run is stopped before, as these ask for it, and started."""
    name = instance.name
    opcodes: list[Opcode] = [
        {"OP_ID": "OP_INSTANCE_RECREATE_DISKS", "instance_name": name, "disks": [], "nodes": [], "iallocator": "hail"},
        {"OP_ID": "OP_INSTANCE_REINSTALL", "instance_name": name, "force_variant": False}]
    if instance.status in STOPPED:
        return opcodes
    return [{"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": name, "ignore_offline_nodes": True}, *opcodes,
            {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": name}]
