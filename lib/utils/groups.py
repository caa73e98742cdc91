# SPDX-License-Identifier: BSD-2-Clause
"""The group of the daemons that do not run as root, where the site has made one."""

import grp
import os
import pwd
from pathlib import Path

DAEMONS, RAPI_USER = "gnt-daemons", "gnt-rapi"


def daemons_group() -> int | None:
    """Its number; that of the only user it would have, where there is none; None when there is neither."""
    try:
        return grp.getgrnam(DAEMONS).gr_gid
    except KeyError:
        pass
    try:
        return pwd.getpwnam(RAPI_USER).pw_gid
    except KeyError:
        return None


def share_with_daemons(path: Path) -> None:
    """Give a file or folder to that group; its mode says what the group may.  Only root can, and only root needs to."""
    group = daemons_group() if os.geteuid() == 0 else None
    if group is not None:
        os.chown(path, -1, group)
