# SPDX-License-Identifier: BSD-2-Clause
"""Resetting this node as its power switch would: `python -m gantry.backend.powercycle ROOT`.

A process of its own: it must act after the node daemon has answered, and outlive it where the node is virtual.
"""

import os
import sys
from pathlib import Path

from gantry import paths
from gantry.utils import clock, command

REAL_SECONDS, VIRTUAL_SECONDS = 5.0, 1.0
SYSRQ = Path("/proc/sysrq-trigger")


def schedule(root: Path) -> str:
    """Reset the node in some seconds; what to tell the operator."""
    seconds = VIRTUAL_SECONDS if _is_virtual(root) else REAL_SECONDS
    env = {name: value for name, value in os.environ.items() if name != "GANTRY_ROOT"}  # who has it ends with the node
    command.start([sys.executable, "-m", __name__, str(root)], env=env, cwd=Path("/"),
                  log=paths.below(str(root)).log_file("powercycle")).wait()
    return f"Reboot scheduled in {seconds:g} seconds"


def _is_virtual(root: Path) -> bool:
    return root != Path("/") and paths.below(str(root)).virtual.is_file()


def main() -> int:
    root = Path(sys.argv[1])
    if os.fork():
        return 0  # the other one is nobody's child
    if _is_virtual(root):
        clock.SYSTEM.sleep(VIRTUAL_SECONDS)
        program = [str(Path(sys.executable).parent / "vcluster"), "--dir", str(root.parent)]
        for word in ("kill", "start"):
            command.run([*program, word, root.name], seconds=120)
    elif root == Path("/"):
        clock.SYSTEM.sleep(REAL_SECONDS)
        SYSRQ.write_text("b")
    return 0


if __name__ == "__main__":
    sys.exit(main())
