# SPDX-License-Identifier: BSD-2-Clause
"""OP_QUERY_FIELDS: the fields of a resource."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan
from gantry.opcodes.query import QueryFields
from gantry.query import query


class QueryFieldsUnit(LogicalUnit[QueryFields, dict[str, Any]], op=QueryFields):
    """Result: {"fields": [...]}."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> dict[str, Any]:
        return query.query_fields(self.op.what, self.op.fields)

    def plan(self, seen: dict[str, Any]) -> Plan:
        return Plan(result=seen)
