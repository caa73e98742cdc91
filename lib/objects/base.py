# SPDX-License-Identifier: BSD-2-Clause
"""What every object of the configuration has."""

from dataclasses import dataclass
from typing import Any

Params = dict[str, Any]
"""Parameters by name: str, int, float, bool or None."""


@dataclass(frozen=True, kw_only=True)
class ConfigObject:
    """`serial_no` counts changes; `ctime` and `mtime` are seconds since 1970; the config sets all three."""

    uuid: str
    name: str
    serial_no: int = 1
    ctime: float = 0.0
    mtime: float = 0.0
    tags: frozenset[str] = frozenset()
