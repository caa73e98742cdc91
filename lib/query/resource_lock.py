# SPDX-License-Identifier: BSD-2-Clause
"""The locks in use as queries show them."""

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.errors import WrongInput
from gantry.query.fields import Field, Kind, sort_key
from gantry.query.world import Resource, World, table

LOCKS = "locks"

Row = Mapping[str, Any]

FIELDS = (
    Field("name", "Name", Kind.OTHER, "Its name, such as cluster/BGL or instance/NAME", lambda row: row["name"]),
    Field("mode", "Mode", Kind.OTHER, "exclusive, shared, or null when nobody holds it", lambda row: row["mode"],
          LOCKS),
    Field("owner", "Owner", Kind.OTHER, "Jobs that hold it", lambda row: [str(owner) for owner in row["owner"]],
          LOCKS),
    Field("pending", "Pending", Kind.OTHER, "Who waits for it, as [mode, [job]]",
          lambda row: [[mode, [str(owner) for owner in owners]] for mode, owners in row["pending"]], LOCKS),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[Row]:
    if world.locks is None:
        raise WrongInput(detail="Locks cannot be queried by a job")
    found = {row["name"]: row for row in world.locks.rows()}
    if names is not None:
        return [found[name] for name in names if name in found]
    return [found[name] for name in sorted(found, key=sort_key)]


RESOURCE: Resource[Row] = Resource("lock", "name", table(FIELDS), rows)
