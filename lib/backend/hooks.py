# SPDX-License-Identifier: BSD-2-Clause
"""The call that runs hooks: the administrator's scripts in NAME-pre.d and NAME-post.d."""

import os
import re
import tempfile
from pathlib import Path

from gantry import paths
from gantry.backend import scripts
from gantry.errors import CommandFailed, WrongInput
from gantry.objects.node import HookResult
from gantry.utils.clock import SYSTEM
from gantry.utils.command import CLEAN_PATH

SKIPPED, FAILED, SUCCESS = 0, 1, 2
SECONDS = 270.0
"""For all scripts of one folder together: the call that runs them ends after 300."""
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def hooks_run(*, phase: str, path: str, env: dict[str, str]) -> list[HookResult]:
    """Run the scripts of PATH-PHASE.d in order of name, whatever becomes of each.

    A folder that is not there has no scripts.  A script that does not end is killed with its children and
    counts as failed.
    """
    if phase not in ("pre", "post") or not _NAME.fullmatch(path):
        raise WrongInput(detail=f"'{path}-{phase}' does not name hooks: a name and the phase pre or post are expected")
    folder = paths.here().hooks / f"{path}-{phase}.d"
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as err:
        return [HookResult(script=folder.name, code=FAILED, output=f"{folder} cannot be read: {err.strerror}")]
    end = SYSTEM.now() + SECONDS
    return [_run(folder / name, env, max(1.0, end - SYSTEM.now())) for name in names]


def _run(script: Path, env: dict[str, str], seconds: float) -> HookResult:
    name = f"{script.parent.name}/{script.name}"
    if not (_NAME.fullmatch(script.name) and script.is_file() and os.access(script, os.X_OK)):
        return HookResult(script=name, code=SKIPPED, output="")
    with tempfile.TemporaryDirectory(prefix="gantry-hook.") as scratch:
        log = Path(scratch) / "output"
        try:
            status = scripts.run([str(script)], log=log, env={**env, "PATH": CLEAN_PATH}, cwd=Path("/"),
                                 seconds=seconds)
        except CommandFailed as err:
            return HookResult(script=name, code=FAILED, output=f"Error while executing the script: {err}")
        output = log.read_text(errors="replace").strip()
    if status is None:
        output = f"{output}\nno end after {seconds:.0f} s, killed".strip()
    return HookResult(script=name, code=SUCCESS if status == 0 else FAILED, output=output)
