# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_VERIFY_DISKS: submit one job for the disks of each node group."""

from dataclasses import dataclass

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.objects.plan import Plan, Step, Submit, ref
from gantry.opcodes.cluster import ClusterVerifyDisks
from gantry.opcodes.group import GroupVerifyDisks
from gantry.utils.names import nice_key


@dataclass(frozen=True)
class Groups:
    names: tuple[str, ...]


class ClusterVerifyDisksUnit(LogicalUnit[ClusterVerifyDisks, Groups], op=ClusterVerifyDisks):
    """Result: {"jobs": [[true, id], ...]}."""

    def locks(self, view: View) -> Locks:
        return Locks(shared={"nodegroup": frozenset(view.config.group(name).uuid for name in self._names(view.config))})

    async def check(self, view: View) -> Groups:
        return Groups(self._names(view.config))

    def _names(self, config: Config) -> tuple[str, ...]:
        if self.op.group_name:
            return (config.group(self.op.group_name).name,)
        return tuple(sorted((group.name for group in config.groups.values()), key=nice_key))

    def plan(self, seen: Groups) -> Plan:
        jobs = [[GroupVerifyDisks(group_name=name, is_strict=self.op.is_strict).encode()] for name in seen.names]
        return Plan(steps=(Step(title="", action=Submit(jobs=jobs), key="jobs"),), result={"jobs": ref("jobs")})
