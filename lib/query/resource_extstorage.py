# SPDX-License-Identifier: BSD-2-Clause
"""The providers of external storage; only jobs ask for them.  This release has no such disks, and no rows."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from gantry.query.fields import Field, Kind
from gantry.query.world import Resource, World, table

O = Kind.OTHER  # noqa: E741  (for other)

FIELDS = (
    Field("name", "Name", Kind.TEXT, "Its name", attrgetter("name")),
    Field("node_status", "NodeStatus", O, "What was found on each node", attrgetter("node_status")),
    Field("nodegroup_status", "NodegroupStatus", O, "Whether each node group can use it",
          attrgetter("nodegroup_status")),
    Field("parameters", "Parameters", O, "Parameters that it takes, as [name, help]", attrgetter("parameters")),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[Any]:
    return []


RESOURCE: Resource[Any] = Resource("extstorage", "name", table(FIELDS), rows, over_luxi=False)
