# SPDX-License-Identifier: BSD-2-Clause
"""Calls that run the administrator's own programs: restricted commands, out-of-band power control, and the reset of
the whole node.
"""

import fcntl
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.backend import powercycle, scripts
from gantry.errors import CommandFailed, ExecError
from gantry.utils import clock, command

RESTRICTED_SECONDS = 280.0
PENALTY = 10.0
"""Seconds that pass before a restricted command that may not run is refused: guessing names is no fun then."""
REFUSED = "Executing the restricted command failed"
"""All that a caller is told who asks for what may not run; the daemon's log says more."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
HEALTH = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


class NotAllowed(Exception):
    """Why a restricted command may not run."""


def restricted_command(*, command: str) -> list[Any]:
    """One at a time on a node."""
    try:
        with _alone():
            return _run_restricted(_allowed(command))
    except NotAllowed as err:
        clock.SYSTEM.sleep(PENALTY)
        raise ExecError(detail=REFUSED) from err


def oob_run(*, program: str, command: str, node: str, timeout: float, powered: bool,
            progress: Callable[[float, str], None]) -> dict[str, Any]:
    progress(0.0, "")
    done, problem = _run_oob([program, command, node], timeout)
    if not problem:
        try:
            return _oob_answer(command, done, recorded=powered)
        except (ValueError, TypeError) as err:
            problem = f"its output for {command} is not what it should be: {err}"
    return {"row": [_NODATA, None], "warning": f" - WARNING: node {node}: {program}: {problem}"}


def node_powercycle() -> str:
    """Also in a virtual cluster, where only the processes of this node end and start again."""
    return powercycle.schedule(paths.here().root)


# --- restricted commands ---


@contextmanager
def _alone() -> Iterator[None]:
    path = paths.here().run / "restricted-command.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise NotAllowed("another restricted command is running") from err
        yield
    finally:
        os.close(handle)


def _allowed(name: str) -> Path:
    """The file of that command; raises NotAllowed unless nobody but the administrator can have put it there."""
    if not _PLAIN.fullmatch(name):
        raise NotAllowed(f"'{name}' is no plain name")
    folder = paths.here().restricted_commands
    _check_owner(folder, stat.S_ISDIR)
    _check_owner(folder / name, stat.S_ISREG)
    if not os.access(folder / name, os.X_OK):
        raise NotAllowed(f"{folder / name} is not executable")
    return folder / name


def _check_owner(path: Path, of_kind: Callable[[int], bool]) -> None:
    try:
        facts = os.lstat(path)
    except OSError as err:
        raise NotAllowed(str(err)) from err
    if not of_kind(facts.st_mode) or facts.st_uid not in (0, os.geteuid()) or facts.st_mode & 0o022:
        raise NotAllowed(f"{path} does not belong to root with at most mode 0755")


def _run_restricted(file: Path) -> list[Any]:
    """[whether it succeeded, what it printed]."""
    with tempfile.TemporaryDirectory(prefix="gantry-restricted.") as scratch:
        log = Path(scratch) / "output"
        try:
            status = scripts.run([str(file)], log=log, env={}, cwd=Path("/"), seconds=RESTRICTED_SECONDS)
        except CommandFailed as err:
            return [False, f"Command '{file.name}' cannot be started: {err}"]
        output = log.read_text(errors="replace").strip()
    if status == 0:
        return [True, output]
    how = f"exited with exit code {status}" if status is not None else f"did not end within {RESTRICTED_SECONDS:g} s"
    return [False, f"Command '{file.name}' {how}; output: {output or '(no output)'}"]


# --- out-of-band programs ---

_NORMAL, _NODATA = 0, 1
"""States of a value in a table, as queries have them."""


def _run_oob(argv: list[str], timeout: float) -> tuple[str, str]:
    """What the program printed, and why that does not count."""
    if not os.access(argv[0], os.X_OK):
        return "", "it is missing or not executable"
    try:
        done = command.run(argv, seconds=timeout, may_fail=True, env={"PATH": command.CLEAN_PATH})
    except CommandFailed as err:
        return "", str(err)
    if done.status != 0:
        return "", f"{argv[1]} ended with exit status {done.status}: {(done.stderr or done.stdout).strip()[-500:]}"
    return done.stdout, ""


def _oob_answer(what: str, output: str, *, recorded: bool) -> dict[str, Any]:
    """`row`: the value for the table; `powered`: what is known of the node's power now; `warning`: a line."""
    if what == "power-status":
        found = json.loads(output)
        powered = found["powered"] if isinstance(found, dict) and isinstance(found.get("powered"), bool) else None
        if powered is None:
            raise ValueError('a JSON object {"powered": true} or false is expected')
        warning = "" if powered == recorded else (
            f" - WARNING: Recorded power state ({recorded}) does not match actual power state ({powered})")
        return {"row": [_NORMAL, {"powered": powered}], "warning": warning}
    if what == "health":
        items = [(str(item), str(state)) for item, state in json.loads(output)]
        wrong = [state for _, state in items if state not in HEALTH]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: a state is one of {', '.join(HEALTH)}")
        bad = [f"'{item}' is {state}" for item, state in items if state != "OK"]
        return {"row": [_NORMAL, [list(pair) for pair in items]],
                "warning": f" - WARNING: Node health: {'; '.join(bad)}" if bad else ""}
    if output.strip():
        raise ValueError("no output is expected")
    known = {"power-on": {"powered": True}, "power-off": {"powered": False}}
    return {"row": [_NORMAL, None], "warning": "", **known.get(what, {})}
