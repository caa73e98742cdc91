# SPDX-License-Identifier: BSD-2-Clause
"""The job filter rules as queries show them."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from gantry.errors import NotFound
from gantry.objects.cluster import FilterRule
from gantry.query.fields import Field, Kind, sort_key
from gantry.query.world import Resource, World, table

O = Kind.OTHER  # noqa: E741  (for other)

FIELDS = (
    Field("action", "Action", O, "ACCEPT, PAUSE, REJECT, CONTINUE or [RATE_LIMIT, n]", attrgetter("action")),
    Field("predicates", "Predicates", O, "What a job must be like, all of it", lambda row: list(row.predicates)),
    Field("priority", "Priority", O, "Lower ones are looked at first", attrgetter("priority")),
    Field("reason_trail", "ReasonTrail", O, "Why it was made", lambda row: list(row.reason_trail)),
    Field("uuid", "UUID", O, "Its UUID", attrgetter("uuid")),
    Field("watermark", "Watermark", O, "Last job when it was stored", attrgetter("watermark")),
)


async def rows(world: World, names: Sequence[Any] | None, needs: frozenset[str]) -> list[FilterRule]:
    rules = world.config.filters
    if names is None:
        return [rules[uuid] for uuid in sorted(rules, key=sort_key)]
    for name in names:
        if name not in rules:
            raise NotFound(kind="Filter", name=name)
    return [rules[name] for name in names]


RESOURCE: Resource[FilterRule] = Resource("filter", "uuid", table(FIELDS), rows)
