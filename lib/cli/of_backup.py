# SPDX-License-Identifier: BSD-2-Clause
"""gnt-backup: exports of instances."""

from gantry.cli.declare import Command, opt
from gantry.cli.lists import Listing, fields_command, list_command
from gantry.cli.of_instance import CREATION, NAME
from gantry.cli.options import FORCE, NODE, NODES, SHUTDOWN_TIMEOUT

COMMANDS = {
    "list": list_command(Listing("export", "node,export", key="node"), "", "List exports", NODES, units=True,
                         run="backup_run:show"),
    "list-fields": fields_command("export"),
    "export": Command("INSTANCE", "", sets="SPN", opcode="backup.BackupExport", positional=NAME,
                      run="backup_run:export", options=(
        FORCE, NODE._replace(param="target_node"), opt("--transport-compression", param="compress", metavar="TOOL"),
        opt("--noshutdown", param="shutdown", help="Do not stop the instance"), SHUTDOWN_TIMEOUT,
        opt("--remove-instance", param="remove_instance"),
        opt("--ignore-remove-failures", param="ignore_remove_failures"),
        opt("--zero-free-space", param="zero_free_space"),
        opt("--zeroing-timeout-fixed", param="zeroing_timeout_fixed", metavar="SECONDS"),
        opt("--zeroing-timeout-per-mib", param="zeroing_timeout_per_mib", metavar="SECONDS"),
        opt("--long-sleep", param="long_sleep"))),
    "import": Command("INSTANCE", "Create an instance from an export", sets="SPN", opcode="instance.InstanceCreate",
                      positional=NAME, run="instance_add:import_", options=(
        *CREATION, opt("--identify-defaults",
                        param="identify_defaults"),
        opt("--src-dir", param="src_path", metavar="DIR"), opt("--src-node", param="src_node", metavar="NODE"),
        opt("--compress", param="compress", metavar="TOOL"))),
    "remove": Command("INSTANCE", "", (), "SPN", "backup.BackupRemove", NAME),
}
