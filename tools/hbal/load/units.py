# SPDX-License-Identifier: BSD-2-Clause
"""Numbers as text: plain ones of files, sizes with units of options."""

import re
from typing import TypeVar

from hbal.errors import BadUnit

Number = TypeVar("Number", int, float)

BINARY, DECIMAL = {"m": 0, "g": 1, "t": 2}, {"M": 2, "G": 3, "T": 4}
SIZE = re.compile(r"\s*(-?\d+)\s*(.*?)\s*", re.ASCII | re.DOTALL)
INTEGER = re.compile(r"\s*(-?\d+)", re.ASCII)
FLOAT = re.compile(r"\s*(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)", re.ASCII)

MOST = 2.0 ** 53
"""No quantity is as large; the core, which counts in floats, could not tell its neighbours apart."""


def whole(text: str) -> int:
    """The integer that the text is; raises ValueError with a sentence."""
    return _possible(int(_number(INTEGER, text)), text)


def number(text: str) -> float:
    """The finite float that the text is; raises ValueError with a sentence."""
    return _possible(float(_number(FLOAT, text)), text)


def _possible(value: Number, text: str) -> Number:
    if abs(value) >= MOST:
        raise ValueError(f"number '{text}' is too large")
    return value


def _number(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.match(text)
    if not found:
        raise ValueError(f"cannot parse string '{text}'")
    if found.end() != len(text):
        raise ValueError(f"leftover characters when parsing '{text}': '{text[found.end():]}'")
    return found[1]


def mebibytes(text: str) -> int:
    """A size in whole MiB: no unit, `m g t` and MiB GiB TiB (any case) are binary, `M G T` and MB GB TB decimal."""
    found = SIZE.fullmatch(text)
    if not found:
        raise BadUnit(f"Can't parse string '{text}'")
    value, unit = int(found[1]), found[2]
    if unit == "":
        return value
    if unit in BINARY:
        return value << 10 * BINARY[unit]
    if unit in DECIMAL:
        return _truncated(value * 1000 ** DECIMAL[unit])
    upper = unit.upper()
    if len(unit) == 3 and upper[0] in DECIMAL and upper.endswith("IB"):
        return value << 10 * BINARY[upper[0].lower()]
    if len(unit) == 2 and upper[0] in DECIMAL and upper.endswith("B"):
        return _truncated(value * 1000 ** DECIMAL[upper[0]])
    raise BadUnit(f"Unknown unit '{unit}'")


def _truncated(size: int) -> int:
    """Bytes as MiB, towards zero."""
    return size // 1048576 if size >= 0 else -(-size // 1048576)
