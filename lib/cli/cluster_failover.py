# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster master-failover, run on the node that is to be the master."""

from gantry.cli import output
from gantry.cli.context import Context


def run(ctx: Context) -> int:
    """Take over from the master; without the votes of the other nodes only after a question."""
    no_voting = bool(ctx.option("no_voting"))
    question = ("Without voting this node takes over even if another master is alive, or if its own copy of the "
                "configuration is old. Continue only if the old master is certainly down. Continue?")
    if no_voting and not ctx.option("yes_do_it") and not output.ask(question):
        return 1
    from gantry.bootstrap.failover import master_failover

    return int(master_failover(no_voting, output.error))
