# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_VERIFY: submit one job for the configuration and one for each node group."""

from dataclasses import dataclass
from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects.plan import Plan, Step, Submit, ref
from gantry.opcodes.cluster import ClusterVerify
from gantry.utils.names import nice_key

_SHARED = ("debug_simulate_errors", "error_codes", "ignore_errors", "verbose")
_GROUP_ONLY = ("skip_checks", "verify_clutter")


@dataclass(frozen=True)
class Groups:
    names: tuple[str, ...]


class ClusterVerifyUnit(LogicalUnit[ClusterVerify, Groups], op=ClusterVerify):
    """Result: {"jobs": [[true, id], ...]}.  With `group_name` there is only that group's job."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> Groups:
        if self.op.group_name:
            return Groups((view.config.group(self.op.group_name).name,))
        return Groups(tuple(sorted((group.name for group in view.config.groups.values()), key=nice_key)))

    def plan(self, seen: Groups) -> Plan:
        shared: dict[str, Any] = {name: getattr(self.op, name) for name in _SHARED}
        jobs: list[list[dict[str, Any]]] = []
        if not self.op.group_name:
            jobs.append([{"OP_ID": "OP_CLUSTER_VERIFY_CONFIG", **shared}])
        more = {name: getattr(self.op, name) for name in _GROUP_ONLY}
        for name in seen.names:
            opcode = {"OP_ID": "OP_CLUSTER_VERIFY_GROUP", "group_name": name, **shared, **more}
            if not self.op.group_name:
                opcode["depends"] = [[-len(jobs), []]]
            jobs.append([opcode])
        return Plan(steps=(Step(title="", action=Submit(jobs=jobs), key="jobs"),), result={"jobs": ref("jobs")})
