# SPDX-License-Identifier: BSD-2-Clause
"""OP_TAGS_SEARCH: objects whose tags match a regular expression."""

import re

from gantry.cmdlib import tags_owner
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput
from gantry.objects.plan import Plan
from gantry.opcodes.tags import TagsSearch

Found = tuple[tuple[str, str], ...]


class TagsSearchUnit(LogicalUnit[TagsSearch, Found], op=TagsSearch):
    """Result: [[path, tag], ...], sorted."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> Found:
        try:
            pattern = re.compile(self.op.pattern)
        except re.error as err:
            raise WrongInput(detail=f"Invalid search pattern '{self.op.pattern}': {err}") from err
        found = []
        for kind, table in tags_owner.TABLES.items():
            for thing in view.config.tables[table].values():
                path = tags_owner.FOLDERS[kind] + ("" if kind == "cluster" else f"/{thing.name}")
                found += [(path, tag) for tag in thing.tags if pattern.search(tag)]
        return tuple(sorted(found))

    def plan(self, seen: Found) -> Plan:
        return Plan(result=[list(row) for row in seen])
