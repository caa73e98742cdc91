# SPDX-License-Identifier: BSD-2-Clause
"""OP_GROUP_SET_PARAMS: modify a node group."""

from dataclasses import dataclass
from typing import Any

from gantry.cmdlib import group_params
from gantry.cmdlib.base import Hooks, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import WrongInput
from gantry.objects import codec
from gantry.objects.cluster import NodeGroup
from gantry.objects.plan import Plan, Step, Update
from gantry.opcodes.group import GroupSetParams

FIELDS = ("alloc_policy", "ndparams", "diskparams", "ipolicy", "hv_state_static", "disk_state_static")


@dataclass(frozen=True)
class Change:
    before: NodeGroup
    after: NodeGroup
    master: str


class GroupSetParamsUnit(LogicalUnit[GroupSetParams, Change], op=GroupSetParams):
    """Result: [[parameter, new value], ...] for node and disk parameters."""

    def locks(self, view: View) -> Locks:
        config = view.config
        group = config.group(self.op.group_name)
        names = frozenset(instance.name for node in config.members_of(group.uuid)
                          for instance in config.primaries_of(node.uuid))
        return Locks(exclusive={"nodegroup": frozenset({group.uuid})}, shared={"instance": names})

    async def check(self, view: View) -> Change:
        group = view.config.group(self.op.group_name)
        after = group_params.changed(group, self.op)
        if after == group and not self._anything_given():
            raise WrongInput(detail="Please pass at least one modification")
        return Change(group, after, view.config.cluster.master_node)

    def _anything_given(self) -> bool:
        op = self.op
        return any(value is not None for value in (op.alloc_policy, op.ndparams, op.diskparams, op.ipolicy,
                                                   op.hv_state, op.disk_state))

    def plan(self, seen: Change) -> Plan:
        old = {name: codec.encode(getattr(seen.before, name)) for name in FIELDS}
        new = {name: codec.encode(getattr(seen.after, name)) for name in FIELDS}
        changes = {name: value for name, value in new.items() if value != old[name]}
        result: list[list[Any]] = []
        if self.op.ndparams:
            result.append(["ndparams", str(seen.after.ndparams)])
        if self.op.diskparams:
            result.append(["diskparams", str(seen.after.diskparams)])
        if not changes:
            return Plan(result=result)
        undo = Update(table="nodegroups", uuid=seen.before.uuid, fields={name: old[name] for name in changes})
        action = Update(table="nodegroups", uuid=seen.before.uuid, fields=changes)
        return Plan(steps=(Step(title="", action=action, undo=undo),), result=result)

    def hooks(self, seen: Change) -> Hooks:
        name = seen.before.name
        return group_params.hooks("group-modify", name, (seen.master,),
                                  {"GROUP_NAME": name, "NEW_ALLOC_POLICY": str(self.op.alloc_policy)})
