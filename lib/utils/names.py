# SPDX-License-Identifier: BSD-2-Clause
"""Host names, nice order, unambiguous short forms."""

import re
from collections.abc import Iterable

_DIGITS = re.compile(r"(\d+)")
_NAME = re.compile(r"^[a-z0-9_]([a-z0-9_.-]{0,253}[a-z0-9_])?$", re.IGNORECASE)


def nice_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which node2 comes before node10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name) if part]


def is_host_name(name: str) -> bool:
    return bool(_NAME.match(name)) and ".." not in name


def find_short(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is `name` or starts with its components (`web1` finds `web1.example.org`).

    None when there is none, or more than one.
    """
    lowered = name.lower()
    found = [full for full in names if full.lower() == lowered]
    if not found:
        found = [full for full in names if full.lower().startswith(lowered + ".")]
    return found[0] if len(found) == 1 else None
