# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_QUERY: what the cluster is, as a job."""

from typing import Any

from gantry.cmdlib.base import Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.objects import codec
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import ClusterQuery
from gantry.query import resource_cluster


class ClusterQueryUnit(LogicalUnit[ClusterQuery, dict[str, Any]], op=ClusterQuery):
    """Result: the object of `gnt-cluster info`."""

    def locks(self, view: View) -> Locks:
        return Locks()

    async def check(self, view: View) -> dict[str, Any]:
        found: dict[str, Any] = codec.encode(resource_cluster.info(view.config))
        return found

    def plan(self, seen: dict[str, Any]) -> Plan:
        return Plan(result=seen)
