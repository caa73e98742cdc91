# SPDX-License-Identifier: BSD-2-Clause
"""OP_TAGS_SET: add tags to an object."""

from gantry.cmdlib import tags_owner
from gantry.cmdlib.base import SETTINGS, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput
from gantry.objects.base import ConfigObject
from gantry.objects.params import check_tags
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.tags import TagsSet


class TagsSetUnit(LogicalUnit[TagsSet, ConfigObject], op=TagsSet):
    """Tags that are there already are kept silently."""

    def locks(self, view: View) -> Locks:
        if self.op.kind == "cluster":
            return Locks(exclusive={"cluster": SETTINGS})
        thing = tags_owner.owner(view.config, self.op.kind, self.op.name)
        name = tags_owner.lock_name(self.op.kind, thing)
        return Locks(exclusive={tags_owner.LEVELS[self.op.kind]: frozenset({name})})

    async def check(self, view: View) -> ConfigObject:
        if not self.op.tags:
            raise WrongInput(detail="No tags to be added")
        thing = tags_owner.owner(view.config, self.op.kind, self.op.name)
        check_tags(self.op.tags, thing.tags)
        return thing

    def plan(self, seen: ConfigObject) -> Plan:
        old, new = sorted(seen.tags), sorted(seen.tags | set(self.op.tags))
        table = tags_owner.TABLES[self.op.kind]
        return Plan(steps=(Step(title="", action=Update(table=table, uuid=seen.uuid, fields={"tags": new}),
                                undo=Update(table=table, uuid=seen.uuid, fields={"tags": old})),))
