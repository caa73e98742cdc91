# SPDX-License-Identifier: BSD-2-Clause
"""Which module declares the commands of which program; only the one asked for is imported."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from gantry.cli.declare import Command

if TYPE_CHECKING:
    from gantry.cli.context import Context

PROGRAMS = {
    "gnt-backup": "of_backup", "gnt-cluster": "of_cluster", "gnt-debug": "of_debug", "gnt-filter": "of_filter",
    "gnt-group": "of_group", "gnt-instance": "of_instance", "gnt-job": "of_job", "gnt-network": "of_network",
    "gnt-node": "of_node", "gnt-os": "of_os", "gnt-storage": "of_storage",
}

ALIASES = {
    "gnt-cluster": {"masterfailover": "master-failover", "show": "info"},
    "gnt-instance": {"start": "startup", "stop": "shutdown", "show": "info"},
    "gnt-node": {"show": "info"}, "gnt-job": {"show": "info"}, "gnt-os": {"show": "info"},
    "gnt-debug": {"allocator": "iallocator"},
}


def commands(program: str) -> dict[str, Command]:
    """The program's subcommands by name."""
    module = importlib.import_module(f"gantry.cli.{PROGRAMS[program]}")
    found: dict[str, Command] = module.COMMANDS
    return found


def runner(command: Command) -> "Callable[[Context], int]":
    """The function that runs the command."""
    module, _, function = command.run.partition(":")
    found: Callable[[Context], int] = getattr(importlib.import_module(f"gantry.cli.{module}"), function)
    return found
