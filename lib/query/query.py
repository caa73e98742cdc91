# SPDX-License-Identifier: BSD-2-Clause
"""Queries: which resource, which fields, which of its objects.

    {"fields": [definitions], "data": [[[status, value], ...], ...]}

The order of work: find the rows, drop what the filter can drop without asking anybody, fetch what the
fields need from nodes, apply the rest of the filter, read the cells.  An answer that takes time is made from a
copy of the configuration, so that all of it is of one moment, and long ones are read in turns with other work.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gantry.errors import NotFound, ParameterError, WrongInput
from gantry.query import (
    resource_cluster,
    resource_export,
    resource_extstorage,
    resource_filter,
    resource_group,
    resource_instance,
    resource_job,
    resource_lock,
    resource_network,
    resource_node,
    resource_os,
)
from gantry.query.fields import Field, Missing, nice_sorted, unknown
from gantry.query.filter import Filter, compile_filter, names_only
from gantry.query.world import Resource, World

TURN = 4000
"""Cells that are read before other work gets its turn: a few milliseconds."""

RESOURCES: dict[str, Resource[Any]] = {module.RESOURCE.name: module.RESOURCE for module in (
    resource_node, resource_instance, resource_group, resource_network, resource_job, resource_lock,
    resource_filter, resource_export, resource_os, resource_extstorage, resource_cluster)}


def resource(what: Any) -> Resource[Any]:
    """The resource of this name; raises ParameterError."""
    found = RESOURCES.get(what) if isinstance(what, str) else None
    if found is None:
        raise ParameterError(detail=f"unknown resource {what!r}")
    return found


async def query(world: World, what: str, fields: Sequence[str], qfilter: Any = None) -> dict[str, Any]:
    """Fields and data.  Fields that do not exist are answered as such; raises ParameterError for a filter
    that cannot be, NotFound for an object asked for by name that is not there.
    """
    found = resource(what)
    columns = [found.fields.get(name) or unknown(name) for name in fields]
    names = names_only(qfilter, found.key)
    test = None if names is not None else compile_filter(qfilter, found.fields)
    needs = _needs(columns, test)
    rows = await _rows(_world_for(world, found, columns, needs), found, names, needs, test)
    return {"fields": [field.definition() for field in columns], "data": await _read(rows, columns, _cells)}


async def classic(world: World, what: str, names: Sequence[Any] | None, fields: Sequence[str]) -> list[list[Any]]:
    """Rows of bare values, null for what has none.  Names that are not known are left out; raises WrongInput
    for fields that do not exist.
    """
    found = resource(what)
    missing = [name for name in fields if name not in found.fields]
    if missing:
        raise WrongInput(detail=f"Unknown output fields selected: {', '.join(map(str, missing))}")
    columns = [found.fields[name] for name in fields]
    known = _known(world, found, names) if names else None
    needs = _needs(columns, None)
    rows = await _rows(_world_for(world, found, columns, needs), found, known, needs, None)
    return await _read(rows, columns, _bare)


def query_fields(what: str, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """Definitions of the fields asked for; of all of them, in nice order, when none is."""
    known = resource(what).fields
    wanted = fields or nice_sorted(known)
    return {"fields": [(known.get(name) or unknown(name)).definition() for name in wanted]}


async def _rows(world: World, found: Resource[Any], names: Sequence[Any] | None, needs: frozenset[str],
                test: Filter | None) -> list[Any]:
    """The rows that stay, with all that they need."""
    rows = await found.rows(world, names, needs)
    late = found.fetch is not None and test is not None and any(field.needs for field in test.fields)
    if test is not None and not late:
        rows = [row for row in rows if test.keeps(row)]
    if found.fetch is not None and needs and rows:
        await found.fetch(world, rows, needs)
    if test is not None and late:
        rows = [row for row in rows if test.keeps(row)]
    return rows


def _world_for(world: World, found: Resource[Any], columns: Sequence[Field], needs: frozenset[str]) -> World:
    """A world that stands still, where the answer will take time."""
    waits = found.fetch is not None and bool(needs)
    return world.steady() if waits or len(columns) * len(world.config.instances) > TURN else world


async def _read(rows: Sequence[Any], columns: Sequence[Field], cells: Callable[[Any, Any], Any]) -> list[Any]:
    gets = [field.get for field in columns]
    rows_a_turn = max(1, TURN // max(1, len(gets)))
    data: list[Any] = []
    for start in range(0, len(rows), rows_a_turn):
        if start:
            await asyncio.sleep(0)
        data += cells(rows[start:start + rows_a_turn], gets)
    return data


def _cells(rows: Sequence[Any], gets: Sequence[Callable[[Any], Any]]) -> list[list[list[Any]]]:
    """[status, value] of every column of every row."""
    return [[value.cell if (value := get(row)).__class__ is Missing else [0, value] for get in gets]
            for row in rows]


def _bare(rows: Sequence[Any], gets: Sequence[Callable[[Any], Any]]) -> list[list[Any]]:
    """The value of every column of every row, null where it has none."""
    return [[None if (value := get(row)).__class__ is Missing else value for get in gets] for row in rows]


def _needs(columns: Iterable[Field], test: Filter | None) -> frozenset[str]:
    used = (*columns, *(test.fields if test is not None else ()))
    return frozenset(field.needs for field in used if field.needs)


def _known(world: World, found: Resource[Any], names: Sequence[Any]) -> list[Any]:
    """Full names, each once and in nice order, of those that are known."""
    if found.name == "job":
        return list(names)
    if found.name == "filter":
        return [name for name in names if name in world.config.filters]
    look = {"instance": world.config.instance, "node": world.config.node, "group": world.config.group,
            "network": world.config.network, "export": world.config.node}[found.name]
    full: set[str] = set()
    for name in names:
        try:
            full.add(look(name).name)
        except NotFound:
            continue
    return nice_sorted(full)
