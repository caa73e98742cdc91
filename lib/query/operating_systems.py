# SPDX-License-Identifier: BSD-2-Clause
"""The list of operating systems that people choose from."""

from collections.abc import Collection, Sequence
from typing import Any

from gantry.query import query
from gantry.query.world import World

SHOWN = ("name", "valid", "hidden", "blacklisted")
"""Fields that decide whether an OS is shown."""


async def listed(world: World, fields: Sequence[str], names: Collection[str] = ()) -> list[list[Any]]:
    """A row an OS, columns as asked; of those named, if any are.  Invalid, hidden and blacklisted ones are left out
    unless the field that shows it is asked for.
    """
    def shown(row: dict[str, Any]) -> bool:
        return ((not names or row["name"] in names) and (row["valid"] or "valid" in fields)
                and (not row["hidden"] or "hidden" in fields) and (not row["blacklisted"] or "blacklisted" in fields))

    rows = await query.classic(world, "os", None, (*SHOWN, *fields))
    return [row[len(SHOWN):] for row in rows if shown(dict(zip(SHOWN, row, strict=False)))]
