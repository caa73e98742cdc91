# SPDX-License-Identifier: BSD-2-Clause
"""Parameters that many opcodes share, and what must not be stored of an opcode."""

from typing import Any, ClassVar

from gantry.opcodes.base import OpCode, find, param
from gantry.opcodes.types import BOOL, DEPENDS, NESTR, PRIORITY, PRIVATE, PRIVATE_BY_OS, REASON, SECRET, STR, UINT

REDACTED = "<redacted>"


class Command(OpCode):
    """What every opcode takes."""

    abstract = True

    dry_run: bool | None = param(BOOL, "run the checks and show the plan, change nothing", default=None)
    debug_level: int | None = param(UINT, "debug verbosity", default=None)
    priority: int = param(PRIORITY, "priority in the queue: -10 (high), 0 (normal) or 10 (low)", default=0)
    depends: tuple[tuple[int, tuple[str, ...]], ...] | None = param(
        DEPENDS, "jobs to wait for: [[job id, [final states]], ...]", default=None)
    comment: str | None = param(STR, "free text", default=None)
    reason: tuple[tuple[str, str, int], ...] = param(
        REASON, "reason trail: [[source, text, nanoseconds], ...]", default=())


class InstanceCommand(Command):
    """A command for one instance."""

    abstract = True
    summary_field: ClassVar[str | None] = "instance_name"

    instance_name: str = param(STR, "instance name")
    instance_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)


class NodeCommand(Command):
    """A command for one node."""

    abstract = True
    summary_field: ClassVar[str | None] = "node_name"

    node_name: str = param(NESTR, "node name")
    node_uuid: str | None = param(NESTR, "filled in by the server", default=None, hidden=True)


def redacted(wire: dict[str, Any]) -> dict[str, Any]:
    """A wire form as it may be stored and shown: private values are left out, secrets read `<redacted>`."""
    cls = find(wire.get("OP_ID", ""))
    if cls is None:
        return wire
    kinds = {name: field.metadata.get("kind") for name, field in cls.__dataclass_fields__.items()}
    out = dict(wire)
    for name, value in wire.items():
        if not isinstance(value, dict):
            continue
        if kinds.get(name) is SECRET:
            out[name] = dict.fromkeys(value, REDACTED)
        elif kinds.get(name) in (PRIVATE, PRIVATE_BY_OS):
            out[name] = {}
    return out
