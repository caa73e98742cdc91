# SPDX-License-Identifier: BSD-2-Clause
"""Names as people give them: whole, or the part before a dot."""

from collections.abc import Sequence


def lookup(wanted: str, names: Sequence[str]) -> int | None:
    """The position of the name that is `wanted` or begins with it and a dot; None where that is not one alone."""
    if wanted in names:
        return names.index(wanted)
    found = [index for index, name in enumerate(names) if name.startswith(f"{wanted}.")]
    return found[0] if len(found) == 1 else None
