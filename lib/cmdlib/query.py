# SPDX-License-Identifier: BSD-2-Clause
"""OP_QUERY: a query as a job: the way to the resources that LUXI does not answer for (cluster, os, extstorage)."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput
from gantry.objects.plan import Plan
from gantry.opcodes.query import Query
from gantry.query import query
from gantry.query.world import World

PROGRAMS = {"job": "job list", "lock": "debug locks"}
"""What shows the resources of the queue itself; jobs may not look at it."""


class QueryUnit(LogicalUnit[Query, dict[str, Any]], op=Query):
    """Result: {"fields": [...], "data": [...]}.  It takes no lock: an answer is made from one moment's copy."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> dict[str, Any]:
        op = self.op
        if op.what in PROGRAMS:
            raise WrongInput(detail=f"The resource '{op.what}' cannot be queried by a job; use "
                                    f"gnt-{PROGRAMS[op.what]}, or Query over LUXI")
        return await query.query(World(config=view.config, nodes=view.nodes), op.what, op.fields, op.qfilter)

    def plan(self, seen: dict[str, Any]) -> Plan:
        return Plan(result=seen)
