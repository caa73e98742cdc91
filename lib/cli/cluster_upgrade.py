# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster upgrade: to the release that is installed.

A release reads what older ones have stored, and its daemons take over from older ones when they are restarted; so
there is nothing to convert, and nothing that could be left half done.
"""

from gantry.cli import output
from gantry.cli.context import Context
from gantry.constants import RELEASE_VERSION
from gantry.errors import WrongInput


def run(ctx: Context) -> int:
    """Say that the installed release is in use, or what to do to get another."""
    wanted, resume = ctx.option("to"), bool(ctx.option("resume"))
    if bool(wanted) == resume:
        output.error("Precisely one of --to and --resume has to be given.")
        return 1
    if resume:
        output.line("No upgrade is under way, there is nothing to resume.")
        return 0
    present = RELEASE_VERSION.split(".")[:2]
    if wanted.split(".")[:2] != present:
        raise WrongInput(detail=f"The installed release speaks version {'.'.join(present)} and no other; install the "
                                f"packages for {wanted} on all nodes, and restart the daemons, the master's last")
    output.line(f"The cluster is at version {'.'.join(present)} already.")
    return 0
