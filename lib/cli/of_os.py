# SPDX-License-Identifier: BSD-2-Clause
"""gnt-os: OS definitions."""

from gantry.cli.declare import Command, flag, opt
from gantry.cli.options import HYPERVISORS, OS_PARAMS, OS_PRIVATE

PUBLIC = OS_PARAMS._replace(param="", help="Parameters of the OS scripts")
PRIVATE = OS_PRIVATE._replace(param="", help="The same, stored but never shown")

COMMANDS = {
    "list": Command("", "List OS definitions and their variants", (
        flag("--no-headers", help="Print no line with titles"),), "P", "cluster.OsDiagnose", run="os_show:names"),
    "diagnose": Command("", "Show the state of OS definitions on each node", (), "P", "cluster.OsDiagnose",
                        run="os_show:diagnose"),
    "info": Command("[OS...]", "Show all about OS definitions", (), "P", "cluster.OsDiagnose", run="os_show:info"),
    "modify": Command("OS", "Change what the cluster knows of an OS", sets="SPN", opcode="cluster.ClusterSetParams",
                      run="os_modify:run", options=(
        HYPERVISORS._replace(param=""), PUBLIC, PRIVATE,
        opt("--hidden", kind="yesno", metavar="yes|no", help="Hide it from lists"),
        opt("--blacklisted", kind="yesno", metavar="yes|no", help="Forbid its use"))),
}
