# SPDX-License-Identifier: BSD-2-Clause
"""Sizes and time spans as people write them."""

import math
import re

from gantry.errors import WrongInput

_SIZE = re.compile(r"^([.\d]+)\s*([a-zA-Z]+)?$")
_FACTORS = {"m": 1, "mb": 1, "mib": 1, "g": 1024, "gb": 1024, "gib": 1024, "t": 1 << 20, "tb": 1 << 20,
            "tib": 1 << 20}
_SPAN = re.compile(r"^(\d+)([smhdw]?)$")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_size(text: str) -> int:
    """MiB, rounded up to a multiple of 4, of `20g`, `512`, `0.1t`; raises WrongInput."""
    match = _SIZE.match(text.strip())
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    if match is None or math.isnan(number):
        raise WrongInput(detail=f"Invalid format: '{text}' is not a size such as 512m, 20g or 1.5t")
    unit = (match[2] or "m").lower()
    if unit not in _FACTORS:
        raise WrongInput(detail=f"Unknown unit: {match[2]}")
    return math.ceil(math.ceil(number * _FACTORS[unit]) / 4) * 4


def parse_span(text: str) -> int:
    """Seconds of `90`, `30m`, `6h`, `2d`, `1w`; raises WrongInput."""
    match = _SPAN.match(text.strip())
    if match is None:
        raise WrongInput(detail=f"Invalid time span '{text}': a number and s, m, h, d or w are expected")
    return int(match[1]) * _SECONDS[match[2]]


def format_size(mib: float, unit: str = "h") -> str:
    """`391M`, `62.4G`, `1.9T` for unit h; a plain number for m, g or t."""
    if unit == "m":
        return f"{round(mib)}"
    if unit == "g":
        return f"{mib / 1024:.1f}"
    if unit == "t":
        return f"{mib / (1 << 20):.1f}"
    if mib < 1024:
        return f"{round(mib)}M"
    return f"{mib / 1024:.1f}G" if mib < 1 << 20 else f"{mib / (1 << 20):.1f}T"
