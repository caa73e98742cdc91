# SPDX-License-Identifier: BSD-2-Clause
"""gnt-storage: providers of external storage."""

from gantry.cli.declare import Command

COMMANDS = {
    "diagnose": Command("", "Show the state of storage providers on each node", (), "P", "cluster.ExtStorageDiagnose",
                        run="storage_show:diagnose"),
    "info": Command("[PROVIDER...]", "Show all about storage providers", (), "P", "cluster.ExtStorageDiagnose",
                    run="storage_show:info"),
}
