# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_MULTI_ALLOC: one creation job for each of several new instances."""

from dataclasses import dataclass, replace

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
    """Each instance names its nodes, or none does: then each creation asks the allocator, one after the other, so that
    no two are given the same place.  Result: {"jobs": [[true, id], ...], "allocatable": names, "failed": []}.
    """

    def locks(self, view: View) -> Locks:
        names = [data[key] for data in self.op.instances for key in ("pnode", "snode") if data.get(key)]
        nodes = frozenset(view.config.node(name).uuid for name in names)
        return Locks(shared={"node": nodes, "node-res": nodes})

    async def check(self, view: View) -> Wanted:
        ops = tuple(self._decoded(data) for data in self.op.instances)
        if not ops:
            raise WrongInput(detail="No instances to be created are given")
        names = [op.instance_name for op in ops]
        for op in ops:
            if names.count(op.instance_name) > 1:
                raise NotUnique(detail=f"Instance name '{op.instance_name}' is given twice")
            if view.config.name_taken("instances", op.instance_name):
                raise AlreadyExists(kind="Instance", name=op.instance_name)
            if op.iallocator is not None:
                raise WrongInput(detail=f"Instance {op.instance_name} names an allocator; name one for all of them")
        return Wanted(self._placed(view, ops))

    def _placed(self, view: View, ops: tuple[InstanceCreate, ...]) -> tuple[InstanceCreate, ...]:
        """With an allocator where no node is named."""
        without = [op.instance_name for op in ops if not op.pnode]
        if not without:
            if self.op.iallocator is not None:
                raise WrongInput(detail="Both nodes and an allocator are given: leave one of them out")
            return ops
        if len(without) < len(ops):
            raise WrongInput(detail=f"No node is named for {', '.join(without)}, but for others: name nodes for all "
                                    "instances, or for none")
        allocator = self.op.iallocator or view.config.cluster.default_iallocator
        if not allocator:
            raise WrongInput(detail=f"No node is named for instance {without[0]}, no allocator is given, and the "
                                    "cluster has no default one")
        return tuple(replace(op, iallocator=allocator) for op in ops)

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
