# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster master-failover, run on the node that is to be the master."""

from gantry.cli import output
from gantry.cli.context import Context


def run(ctx: Context) -> int:
    """Take over from the master; without the votes of the other nodes only after a question."""
    no_voting = bool(ctx.option("no_voting"))
    question = ("This will perform the failover even if most other nodes are down, or if this node is outdated. This "
                "is dangerous as it can lead to a non-consistent cluster. Check the gnt-cluster(8) man page before "
                "proceeding. Continue?")
    if no_voting and not ctx.option("yes_do_it") and not output.ask(question):
        return 1
    from gantry.bootstrap.failover import master_failover

    return int(master_failover(no_voting, output.error))
