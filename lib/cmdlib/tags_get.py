# SPDX-License-Identifier: BSD-2-Clause
"""OP_TAGS_GET: the tags of an object."""

from gantry.cmdlib import tags_owner
from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.base import ConfigObject
from gantry.objects.plan import Plan
from gantry.opcodes.tags import TagsGet


class TagsGetUnit(LogicalUnit[TagsGet, ConfigObject], op=TagsGet):
    """Changes nothing, takes no lock: an object is replaced whole, never seen half changed."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> ConfigObject:
        return tags_owner.owner(view.config, self.op.kind, self.op.name)

    def plan(self, seen: ConfigObject) -> Plan:
        return Plan(result=sorted(seen.tags))
