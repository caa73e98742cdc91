# SPDX-License-Identifier: BSD-2-Clause
"""The group of the daemons that do not run as root, where the site has made one."""

import grp
import os
from pathlib import Path

DAEMONS = "gnt-daemons"


def daemons_group() -> int | None:
    """Its number; None when there is none."""
    try:
        return grp.getgrnam(DAEMONS).gr_gid
    except KeyError:
        return None


def share_with_daemons(path: Path) -> None:
    """Give a file or folder to that group; its mode says what the group may.  Only root can, and only root needs to."""
    group = daemons_group() if os.geteuid() == 0 else None
    if group is not None:
        os.chown(path, -1, group)
