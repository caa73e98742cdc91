# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_MULTI_ALLOC: one creation job for each of several new instances."""

from dataclasses import dataclass

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import AlreadyExists, NotUnique, WrongInput
from gantry.objects.plan import Plan, Step, Submit, ref
from gantry.opcodes import base as opcodes
from gantry.opcodes.instance import InstanceCreate, InstanceMultiAlloc


@dataclass(frozen=True)
class Wanted:
    ops: tuple[InstanceCreate, ...]


class InstanceMultiAllocUnit(LogicalUnit[InstanceMultiAlloc, Wanted], op=InstanceMultiAlloc):
    """Each instance names its node.  Result: {"jobs": [[true, id], ...], "allocatable": names, "failed": []}."""

    def locks(self, view: View) -> Locks:
        nodes = frozenset(view.config.node(data["pnode"]).uuid for data in self.op.instances if data.get("pnode"))
        return Locks(shared={"node": nodes, "node-res": nodes})

    async def check(self, view: View) -> Wanted:
        ops = tuple(self._decoded(data) for data in self.op.instances)
        if not ops:
            raise WrongInput(detail="No instances to be created are given")
        names = [op.instance_name for op in ops]
        for op in ops:
            if not op.pnode:
                raise WrongInput(detail=f"No node is named for instance {op.instance_name}: this release does not ask "
                                        "an allocator for several instances at once, give each its node")
            if names.count(op.instance_name) > 1:
                raise NotUnique(detail=f"Instance name '{op.instance_name}' is given twice")
            if view.config.name_taken("instances", op.instance_name):
                raise AlreadyExists(kind="Instance", name=op.instance_name)
        return Wanted(ops)

    def _decoded(self, data: dict[str, object]) -> InstanceCreate:
        op = opcodes.decode({"OP_ID": InstanceCreate.OP_ID, **data})
        if not isinstance(op, InstanceCreate):
            raise WrongInput(detail=f"Only {InstanceCreate.OP_ID} can be asked for here, not {op.OP_ID}")
        return op

    def plan(self, seen: Wanted) -> Plan:
        step = Step(title=f"submitting {len(seen.ops)} jobs that create instances", key="jobs",
                    action=Submit(jobs=[[op.encode()] for op in seen.ops]))
        return Plan(steps=(step,), result={"jobs": ref("jobs"), "failed": [],
                                           "allocatable": [op.instance_name for op in seen.ops]})
