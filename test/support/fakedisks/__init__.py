# SPDX-License-Identifier: BSD-2-Clause
"""LVM and DRBD without a kernel: programs of the same names over plain files and one state that all nodes share.

`install` makes a folder of programs to put first in PATH.  Each node is known by its GANTRY_ROOT; volumes are files
in ROOT/dev/VG/LV.  The options understood are those that the drivers use, others are refused.  `World` looks into
the state and breaks things: it cuts links, fills volume groups, reboots nodes.
"""

import os
import sys
from pathlib import Path

from .state import Json, World, new_node

PROGRAMS = ("lvs", "vgs", "pvs", "lvcreate", "lvremove", "lvextend", "lvrename", "lvchange", "pvchange", "vgreduce",
            "blkdiscard", "modprobe", "drbdsetup", "drbdmeta")

__all__ = ["PROGRAMS", "Json", "World", "install", "new_node"]


def install(folder: Path) -> Path:
    """The folder of the programs; their state lies beside it in `folder`."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    place = Path(__file__).parents[1]
    for name in PROGRAMS:
        file = programs / name
        file.write_text(f"#!{sys.executable} -IS\nimport sys\nsys.path.insert(0, {os.fspath(place)!r})\n"
                        f"from fakedisks.main import main\nmain({name!r}, {os.fspath(folder)!r})\n")
        file.chmod(0o755)
    return programs
