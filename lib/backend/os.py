# SPDX-License-Identifier: BSD-2-Clause
"""Calls about operating systems: which definitions there are, and running their scripts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gantry import paths
from gantry.backend import disk_data, osfiles, scripts
from gantry.errors import BadEnvironment, ExecError, StorageError, WrongInput
from gantry.objects.dump import Dump
from gantry.objects.instance import Disk
from gantry.objects.node import OsDefinition
from gantry.storage import base
from gantry.utils import command
from gantry.utils.clock import epoch

Progress = Callable[[float, str], None]

SECONDS = 6 * 3600.0
"""The longest an installation may take; cancelling its task ends it at any time."""
_VERIFY_SECONDS = 120.0


def os_list() -> list[OsDefinition]:
    return osfiles.find_all()


def os_verify(*, os: str, params: dict[str, str], force_variant: bool) -> None:
    """See the call; in short: definition, variant, names of parameters, then `verify parameters`."""
    definition, variant = osfiles.usable(os)
    osfiles.check_variant(definition, variant, force=force_variant)
    known = {name for name, _ in definition.parameters}
    unknown = sorted(params.keys() - known)
    if unknown:
        raise WrongInput(detail=f"The following parameters are not supported by the OS {definition.name}: "
                                f"{', '.join(unknown)}")
    if osfiles.api_version(definition) < 20:
        return
    env = {"DEBUG_LEVEL": "0", **_own_variables(definition, variant)}
    env |= {"OSP_" + name.upper().replace("-", "_"): value for name, value in params.items()}
    done = command.run([str(Path(definition.path) / "verify"), "parameters"], seconds=_VERIFY_SECONDS, env=env,
                       cwd=Path(definition.path), may_fail=True)
    if done.status != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "(no output)")[-2000:]
        raise WrongInput(detail=f"OS '{os}' refuses its parameters (verify script, exit status {done.status}): {said}")


def os_create(*, os: str, disks: list[Disk], env: dict[str, str], progress: Progress) -> None:
    definition, variant = osfiles.usable(os)
    if not definition.trusted:
        raise BadEnvironment(detail=f"OS '{os}' is untrusted: its create_untrusted script needs a helper VM and an "
                                    "install image, which this cluster does not have")
    _run(_script("create", definition, _environment(definition, variant, disks, env),
                 _log("add", os, env.get("INSTANCE_NAME", ""))), progress)


def os_rename(*, os: str, disks: list[Disk], env: dict[str, str], progress: Progress) -> None:
    definition, variant = osfiles.usable(os)
    names = f"{env.get('OLD_INSTANCE_NAME', '')}-{env.get('INSTANCE_NAME', '')}"
    _run(_script("rename", definition, _environment(definition, variant, disks, env), _log("rename", os, names)),
         progress)


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script of a definition, ready to run; what it prints is appended to `log`."""

    kind: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    log: Path

    @property
    def message(self) -> str:
        return f"{self.kind} script of {self.cwd.name} runs, log {self.log}"

    def judge(self, status: int | None, seconds: float = SECONDS) -> None:
        """Raises ExecError with the last lines of the log unless it exited with status 0."""
        if status == 0:
            return
        how = (f"did not end within {seconds / 3600:g} hours and was killed" if status is None
               else f"exited with exit code {status}" if status > 0 else f"was terminated by signal {-status}")
        raise ExecError(detail=f"OS {self.kind} script failed ({how}), last lines in the log file {self.log}:\n"
                               f"{scripts.last_lines(self.log)}")


def disk_script(kind: str, dump: Dump) -> Script:
    """`export` or `import`, on the opened disk."""
    definition, variant = osfiles.usable(dump.os)
    path = str(disk_data.path_of(dump.disk))
    where = {f"{kind.upper()}_{name}": path for name in ("DEVICE", "DISK_PATH", "DISK_URI")}
    full = _environment(definition, variant, dump.disks, dump.env) | where
    return _script(kind, definition, full, _log(kind, dump.os, dump.env.get("INSTANCE_NAME", "")))


def _script(kind: str, definition: OsDefinition, env: dict[str, str], log: Path) -> Script:
    folder = Path(definition.path)
    return Script(kind=kind, argv=(str(folder / kind),), env=env, cwd=folder, log=log)


def _run(script: Script, progress: Progress) -> None:
    """Run it to its end."""
    script.judge(scripts.run(script.argv, log=script.log, env=script.env, cwd=script.cwd, seconds=SECONDS,
                             watch=lambda: progress(0.5, script.message)))


def _environment(definition: OsDefinition, variant: str, disks: Sequence[Disk],
                 env: dict[str, str]) -> dict[str, str]:
    return {"DEBUG_LEVEL": "0", **env, **_own_variables(definition, variant), **_disk_paths(disks)}


def _own_variables(definition: OsDefinition, variant: str) -> dict[str, str]:
    version = osfiles.api_version(definition)
    own = {"OS_API_VERSION": str(version), "OS_NAME": definition.name, "PATH": command.CLEAN_PATH}
    return own | {"OS_VARIANT": osfiles.effective_variant(definition, variant) if version >= 15 else ""}


def _disk_paths(disks: Sequence[Disk]) -> dict[str, str]:
    found = {}
    for index, disk in enumerate(disks):
        status = base.load(disk.dev_type).status(disk)
        if not status.exists:
            raise StorageError(detail=f"disk {index} is not there: {status.path}")
        found[f"DISK_{index}_PATH"] = status.path
    return found


def _log(kind: str, os: str, names: str) -> Path:
    """KIND-OS-INSTANCE-TIMESTAMP.log in the folder of OS logs, which is made if need be."""
    folder = paths.here().os_log
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    when = datetime.fromtimestamp(epoch()).strftime("%Y-%m-%d_%H_%M_%S")
    plain = names.replace("/", "_")
    return folder / f"{kind}-{os.replace('/', '_')}-{plain}-{when}.log"
