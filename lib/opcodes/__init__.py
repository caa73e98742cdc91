# SPDX-License-Identifier: BSD-2-Clause
"""What can be asked of a cluster.  A family is imported when one of its opcodes is first needed."""

import importlib

FAMILIES = ("cluster", "node", "instance", "group", "network", "tags", "backup", "test", "query")


def load_all() -> None:
    """Import every family: afterwards `base.REGISTRY` knows all opcodes."""
    for family in FAMILIES:
        importlib.import_module(f"gantry.opcodes.{family}")
