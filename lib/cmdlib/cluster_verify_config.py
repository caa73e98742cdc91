# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_VERIFY_CONFIG: check the configuration as a whole."""

from gantry.cmdlib.base import ALL, Locks, LogicalUnit
from gantry.cmdlib.verify_report import Problem, Report
from gantry.cmdlib.view import View
from gantry.config import verify
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import ClusterVerifyConfig

DANGLING = ("ECLUSTERDANGLINGNODES", "ECLUSTERDANGLINGINST")
LEVELS = ("instance", "nodegroup", "node", "node-res", "network")


class ClusterVerifyConfigUnit(LogicalUnit[ClusterVerifyConfig, bool], op=ClusterVerifyConfig):
    """Result: whether no error was found.  It only looks, so all of it is done in `check`.

    Certificates are looked at by each node itself, see CLUSTER_VERIFY_GROUP.
    """

    def locks(self, view: View) -> Locks:
        return Locks(shared=dict.fromkeys(LEVELS, ALL))

    async def check(self, view: View) -> bool:
        op, config = self.op, view.config
        report = Report(view.say, error_codes=op.error_codes, ignore=op.ignore_errors,
                        simulate=op.debug_simulate_errors)
        report.title("Verifying cluster config")
        if report.simulate:
            report.add(Problem("ECLUSTERCFG", "cluster", "", "simulated error"))
        problems = [Problem(found.code, found.kind, found.item, found.text, found.warning)
                    for found in verify.verify(config)]
        report.add_all(problem for problem in problems if problem.code not in DANGLING)
        report.title("Verifying all nodes belong to an existing group")
        report.add_all(problem for problem in problems if problem.code in DANGLING)
        return not report.failed

    def plan(self, seen: bool) -> Plan:  # noqa: FBT001 - the one value there is
        return Plan(result=seen)
