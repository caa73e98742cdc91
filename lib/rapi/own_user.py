# SPDX-License-Identifier: BSD-2-Clause
"""The user that gnt-rapi runs as, where the site has made one; the group that may talk to the master daemon."""

import grp
import logging
import os
import pwd
from pathlib import Path

from gantry import paths
from gantry.utils.groups import RAPI_USER, daemons_group

log = logging.getLogger(__name__)
NAME = RAPI_USER


def find() -> pwd.struct_passwd | None:
    """None when there is no such user, or this process may not become it; nor in a virtual cluster, which lies in a
    folder of somebody's own.
    """
    if os.geteuid() != 0 or paths.here().virtual.exists():
        return None
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        return None


def may_read(*paths: Path) -> None:
    """Let the daemon's user read these files and folders; nobody else."""
    user = find()
    if user is None:
        return
    for path in paths:
        if path.exists():
            os.chown(path, -1, user.pw_gid)
            path.chmod(0o750 if path.is_dir() else 0o640)


def become(*own: Path) -> None:
    """Be that user from here on, and the owner of the files `own`; nothing where there is no such user."""
    user = find()
    if user is None:
        return
    for path in own:
        if path.exists():
            os.chown(path, user.pw_uid, user.pw_gid)
    group = daemons_group()
    os.setgroups([] if group is None else [group])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    log.info("running as %s, groups %s", NAME, ", ".join(grp.getgrgid(id).gr_name for id in os.getgroups()) or "none")
