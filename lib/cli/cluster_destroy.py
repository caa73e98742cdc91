# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster destroy."""

from gantry.cli import jobs, output, submit
from gantry.cli.context import Context


def run(ctx: Context) -> int:
    """Check that the cluster is empty, run the hooks, then remove it from this node."""
    if not ctx.option("yes_do_it"):
        output.error("A destroyed cluster cannot be brought back; to destroy it nevertheless, add --yes-do-it.")
        return 1
    jobs.run(ctx, submit.op(ctx))
    from gantry.bootstrap.destroy import destroy_local

    destroy_local()
    return 0
