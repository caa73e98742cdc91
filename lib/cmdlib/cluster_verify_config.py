# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_VERIFY_CONFIG: check the configuration as a whole."""

from gantry.cmdlib import pool
from gantry.cmdlib.base import ALL, Locks, LogicalUnit
from gantry.cmdlib.verify_report import Problem, Report
from gantry.cmdlib.view import View
from gantry.config import verify
from gantry.config.config import Config
from gantry.errors import Error, NodeError
from gantry.objects import hvparams
from gantry.objects.node import NodeReport
from gantry.objects.plan import Plan
from gantry.opcodes.cluster import ClusterVerifyConfig
from gantry.rpc import calls

DANGLING = ("ECLUSTERDANGLINGNODES", "ECLUSTERDANGLINGINST")
CERTIFICATES = ("ECLUSTERCERT", "ECLUSTERCLIENTCERT")
LEVELS = ("instance", "nodegroup", "node", "node-res", "network")


class ClusterVerifyConfigUnit(LogicalUnit[ClusterVerifyConfig, bool], op=ClusterVerifyConfig):
    """Result: whether no error was found.  It only looks, so all of it is done in `check`.

    The certificate files looked at are the master's; those of the other nodes are in CLUSTER_VERIFY_GROUP.
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
        report.title("Verifying cluster certificate files")
        report.add_all(await _certificates(view))
        report.title("Verifying hypervisor parameters")
        report.add_all(_hypervisors(config))
        report.title("Verifying all nodes belong to an existing group")
        report.add_all(problem for problem in problems if problem.code in DANGLING)
        return not report.failed

    def plan(self, seen: bool) -> Plan:  # noqa: FBT001 - the one value there is
        return Plan(result=seen)


async def _certificates(view: View) -> list[Problem]:
    """Of the certificate files on the master, and of what the configuration says about certificates."""
    cluster, found = view.config.cluster, []
    try:
        report: NodeReport = await view.nodes.call(cluster.master_node, calls.node_verify, what={})
        found = [Problem(problem.code, "cluster", "", problem.message, problem.warning)
                 for problem in report.problems if problem.code in CERTIFICATES]
    except NodeError as err:
        found = [Problem("ECLUSTERCERT", "cluster", "", f"the certificates of the master cannot be looked at: {err}")]
    if cluster.candidate_certs != pool.certificates(view.config.nodes):
        found.append(Problem("ECLUSTERCLIENTCERT", "cluster", "", "the list of the master candidates' certificates is "
                             "stale: it does not hold what is recorded of the nodes"))
    return found


def _hypervisors(config: Config) -> list[Problem]:
    """Parameters that are right one by one and do not go together; the others are found with the configuration."""
    found = []
    for name in config.cluster.enabled_hypervisors:
        try:
            hvparams.check_merged(name, {**hvparams.DEFAULTS.get(name, {}), **config.cluster.hvparams.get(name, {})})
        except Error as err:
            found.append(Problem("ECLUSTERCFG", "cluster", "", f"parameters of hypervisor {name}: {err}"))
    return found
