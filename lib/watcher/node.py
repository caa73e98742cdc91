# SPDX-License-Identifier: BSD-2-Clause
"""This node, whatever its role: its daemons run, the site's hooks are called."""

import logging
import os
import re

from gantry import paths
from gantry.bootstrap import daemons
from gantry.errors import BadEnvironment, CommandFailed
from gantry.utils import clock, command, resolver

log = logging.getLogger(__name__)
HOOK_SECONDS = 300.0
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def is_member() -> bool:
    return paths.here().node_certificate.exists()


def is_master() -> bool:
    """Whether this node takes itself for the master."""
    file = paths.here().ssconf("master_node")
    return file.exists() and file.read_text().strip() == resolver.own_name()


def paused_until() -> float:
    """Until when watchers do nothing, in seconds since 1970; 0 when they are not paused."""
    file = paths.here().ssconf("watcher_pause")
    try:
        end = float(file.read_text().strip() or 0)
    except (OSError, ValueError):
        return 0.0
    return end if end > clock.epoch() else 0.0


def start_daemons(*names: str) -> None:
    """Start those that do not run; one that cannot is a line in the log."""
    for name in names:
        if daemons.running(name, paths.here().root) is not None:
            continue
        try:
            daemons.start_daemon(name, paths.here().root)
            log.warning("%s did not run, it was started", name)
        except BadEnvironment as err:
            log.error("%s", err)  # noqa: TRY400 - a sentence, no bug


def run_hooks() -> None:
    """Run the programs in the hooks folder `watcher`, in order of name; what they do is only logged."""
    folder = paths.here().hooks / "watcher"
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        script = folder / name
        if not (_PLAIN.fullmatch(name) and script.is_file() and os.access(script, os.X_OK)):
            continue
        try:
            done = command.run([str(script)], seconds=HOOK_SECONDS, env={"PATH": command.CLEAN_PATH}, may_fail=True)
        except CommandFailed as err:
            log.error("watcher hook %s: %s", name, err)  # noqa: TRY400 - a sentence, no bug
            continue
        text = (done.stdout + done.stderr).strip()
        if done.status or text:
            level = logging.ERROR if done.status else logging.INFO
            log.log(level, "watcher hook %s ended with exit status %d: %s", name, done.status, text or "(no output)")
