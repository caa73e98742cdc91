# SPDX-License-Identifier: BSD-2-Clause
"""Reaching a machine that is not in the cluster yet: put files there, run programs there."""

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from gantry import paths
from gantry.bootstrap import daemons
from gantry.errors import BadEnvironment, CommandFailed
from gantry.utils import command, files


class Transport(Protocol):
    """A way into one machine; a context manager."""

    def write(self, path: Path, data: str, *, mode: int) -> None:
        """Put a file there; `path` is below this node's root, and goes to the same place below the other's."""

    def run(self, argv: Sequence[str], *, seconds: float) -> command.Outcome:
        """Run a program there; raises CommandFailed."""

    def read(self, path: Path) -> str | None:
        """The text of a file there; None when there is none."""

    def restart_daemon(self, name: str) -> None:
        """Stop the daemon if it runs, start it and wait until it is ready."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None: ...


def connect(node: str, address: str, *, ssh_port: int = 22, check_key: bool = True) -> Transport:
    """The way into `node`: its root folder when it is a node of a virtual cluster, else SSH."""
    roots = virtual_roots()
    if node in roots:
        return VirtualTransport(roots[node])
    return SshTransport(address, port=ssh_port, check_key=check_key)


def virtual_roots() -> dict[str, Path]:
    """Root folders of the nodes of a virtual cluster, by name; empty in a real one."""
    where = paths.here().virtual
    if not where.is_file():
        return {}
    return {name: Path(entry["root"]) for name, entry in json.loads(where.read_text()).items()}


class VirtualTransport:
    """A node on this very machine, below a root folder of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: Path, data: str, *, mode: int) -> None:
        files.write_atomic(self._root / path.relative_to(paths.here().root), data, mode=mode)

    def read(self, path: Path) -> str | None:
        try:
            return (self._root / path.relative_to(paths.here().root)).read_text()
        except FileNotFoundError:
            return None

    def run(self, argv: Sequence[str], *, seconds: float) -> command.Outcome:
        return command.run(argv, seconds=seconds, env=os.environ | {"GANTRY_ROOT": str(self._root)})

    def restart_daemon(self, name: str) -> None:
        daemons.stop_daemon(name, self._root)
        daemons.start_daemon(name, self._root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        return None


class SshTransport:
    """A machine reached as root by SSH with the keys root has here."""

    def __init__(self, address: str, *, port: int, check_key: bool) -> None:
        import paramiko

        self._client = paramiko.SSHClient()
        self._client.load_system_host_keys()
        self._client.set_missing_host_key_policy(
            paramiko.RejectPolicy() if check_key else paramiko.AutoAddPolicy())
        self._address = address
        try:
            self._client.connect(address, port=port, username="root", timeout=20)
        except (OSError, paramiko.SSHException) as err:
            raise BadEnvironment(detail=f"cannot log in to root@{address} by SSH: {err}; the master's root user "
                                        "must be able to log in there without a password") from err

    def write(self, path: Path, data: str, *, mode: int) -> None:
        sftp = self._client.open_sftp()
        try:
            self.run(["mkdir", "-p", str(path.parent)], seconds=30)
            temporary = f"{path}.new"
            with sftp.open(temporary, "w") as out:
                sftp.chmod(temporary, mode)
                out.write(data)
            sftp.posix_rename(temporary, str(path))
        except OSError as err:
            raise BadEnvironment(detail=f"cannot write {path} on {self._address}: {err}") from err
        finally:
            sftp.close()

    def read(self, path: Path) -> str | None:
        sftp = self._client.open_sftp()
        try:
            with sftp.open(str(path)) as source:
                return source.read().decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as err:
            raise BadEnvironment(detail=f"cannot read {path} on {self._address}: {err}") from err
        finally:
            sftp.close()

    def run(self, argv: Sequence[str], *, seconds: float) -> command.Outcome:
        import paramiko

        try:
            _, out, err = self._client.exec_command(shlex.join(argv), timeout=seconds)
            stdout, stderr = out.read().decode(errors="replace"), err.read().decode(errors="replace")
            status = out.channel.recv_exit_status()
        except (OSError, paramiko.SSHException) as problem:
            raise CommandFailed(command=argv[0], status="none", output=str(problem)) from problem
        if status != 0:
            raise CommandFailed(command=argv[0], status=status, output=(stderr or stdout).strip()[-2000:])
        return command.Outcome(status, stdout, stderr)

    def restart_daemon(self, name: str) -> None:
        self.run(["systemctl", "restart", f"{name}.service"], seconds=90)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self._client.close()
