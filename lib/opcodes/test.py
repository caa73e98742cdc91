# SPDX-License-Identifier: BSD-2-Clause
"""Opcodes that test the job queue and the allocator."""

from typing import Any, ClassVar

from gantry.opcodes.base import param
from gantry.opcodes.common import Command
from gantry.opcodes.types import (
    ANY,
    BOOL,
    DISK_TEMPLATE,
    DISKS,
    EVACUATION_MODE,
    HYPERVISOR,
    NESTR,
    NICS,
    SECONDS,
    SECRET,
    STR,
    STRINGS,
    TAGS,
    UINT,
    list_of,
    one_of,
)


class TestAllocator(Command):
    """Run or dump an allocator request."""

    __test__: ClassVar[bool] = False
    summary_field = "iallocator"

    direction: str = param(
        one_of("in", "out"), "in: return the allocator input text; out: run it and return its output")
    mode: str = param(
        one_of("allocate", "multi-allocate", "allocate-secondary", "relocate", "node-evacuate", "change-group"),
        "request type")
    name: str = param(NESTR, "instance (or node) the request is about")
    nics: tuple[dict[str, Any], ...] | None = param(
        NICS, "NIC dicts: keys mac, ip, mode, link, vlan, bridge, network, name; mac default auto", default=None)
    disks: tuple[dict[str, Any], ...] | None = param(DISKS, "disk dicts (size, mode)", default=None)
    hypervisor: str | None = param(HYPERVISOR, "hypervisor for the instance", default=None)
    iallocator: str | None = param(NESTR, "allocator script name (. = cluster default)", default=None)
    tags: tuple[str, ...] = param(TAGS, "tags", default=())
    memory: int | None = param(UINT, "memory in MiB", default=None)
    vcpus: int | None = param(UINT, "virtual CPUs", default=None)
    os: str | None = param(NESTR, "OS name", default=None)
    disk_template: str | None = param(DISK_TEMPLATE, "disk layout", default=None)
    instances: tuple[str, ...] | None = param(STRINGS, "instance names", default=None)
    evac_mode: str | None = param(EVACUATION_MODE, "evacuation mode for that test mode", default=None)
    target_groups: tuple[str, ...] | None = param(STRINGS, "group names/UUIDs; null = any other group", default=None)
    spindle_use: int = param(UINT, "spindle weight", default=1)
    count: int = param(UINT, "how many instances to ask for", default=1)
    group_name: str | None = param(NESTR, "restrict allocation to this group", default=None)


class TestDelay(Command):
    """Sleep on master and/or nodes."""

    __test__: ClassVar[bool] = False
    summary_field = "duration"

    duration: float = param(SECONDS, "seconds")
    on_master: bool = param(BOOL, "wait on the master", default=True)
    on_nodes: tuple[str, ...] = param(STRINGS, "also wait on these nodes (RPC)", default=())
    on_node_uuids: tuple[str, ...] | None = param(STRINGS, "filled in by the server", default=None, hidden=True)
    repeat: int = param(UINT, "number of extra rounds (0 = once; N = N rounds)", default=0)
    interruptible: bool = param(
        BOOL, "open a control socket (path is announced in the log as delay-test) to end the wait", default=False)
    no_locks: bool = param(BOOL, "do not lock nodes while waiting", default=True)


class TestJqueue(Command):
    """Job queue self test."""

    __test__: ClassVar[bool] = False

    notify_waitlock: bool = param(BOOL, "announce lock phases over the test socket", default=False)
    notify_exec: bool = param(BOOL, "announce exec over the test socket", default=False)
    log_messages: tuple[str, ...] = param(list_of(STR), "messages to emit", default=())
    fail: bool = param(BOOL, "end with an error", default=False)


class TestOsParams(Command):
    """Check secret parameter handling."""

    __test__: ClassVar[bool] = False

    osparams_secret: dict[str, str] | None = param(
        SECRET, "secret OS parameters (never written to the job file; stored as <redacted>)", default=None)


class TestDummy(Command):
    """Unit-test only, has no implementation."""

    __test__: ClassVar[bool] = False

    result: Any = param(ANY, "unused", default=None)
    messages: Any = param(ANY, "unused", default=None)
    fail: Any = param(ANY, "unused", default=None)
    submit_jobs: Any = param(ANY, "unused", default=None)
