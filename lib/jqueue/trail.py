# SPDX-License-Identifier: BSD-2-Clause
"""Reason trails: who asked for an opcode, and the ad-hoc rate limits that can stand in them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gantry.utils import clock

_LIMIT = re.compile(r"^rate-limit:(\d+):(.*)$", re.DOTALL)

Bucket = tuple[int, str]
"""(how many at once, label)."""


def received(op_id: str, job: int, index: int) -> list[Any]:
    """The entry that every opcode gets when it is accepted."""
    return [f"gnt:opcode:{op_id.removeprefix('OP_').lower()}", f"job={job};index={index}", clock.nanoseconds()]


def inherit(child: Mapping[str, Any], parent: Mapping[str, Any]) -> dict[str, Any]:
    """The wire form of an opcode that another opcode submits: priority, debug level, comment and trail."""
    out = {"priority": parent.get("priority", 0), "debug_level": parent.get("debug_level"),
           "comment": f"Submitted by {parent.get('OP_ID')}"}
    out.update({key: value for key, value in child.items() if value is not None or key not in out})
    return out | {"reason": [*(child.get("reason") or ()), *(parent.get("reason") or ())]}


def buckets(inputs: Iterable[Mapping[str, Any]]) -> frozenset[Bucket]:
    """The rate-limit buckets that a job with these opcodes is in."""
    found = set()
    for wire in inputs:
        for entry in wire.get("reason") or ():
            match = _LIMIT.match(entry[1]) if isinstance(entry[1], str) else None
            if match and int(match[1]) > 0:
                found.add((int(match[1]), match[2]))
    return frozenset(found)
