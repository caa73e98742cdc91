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

    def write(self, path: Path, data: str | bytes, *, mode: int) -> None:
        """Put a file there, at the same place: `path` below this node's root is meant below the other's."""

    def run(self, argv: Sequence[str], *, seconds: float) -> command.Outcome:
        """Run a program there; raises CommandFailed."""

    def read(self, path: Path) -> str | None:
        """The text of a file there; None when there is none."""

    def shell(self, text: str, *, seconds: float) -> command.Outcome:
        """Run a command line there as its administrator would type it; any exit status is an answer."""

    def stop_daemon(self, name: str) -> None:
        """Harmless when it does not run."""

    def start_daemon(self, name: str) -> None:
        """Returns when it is ready; harmless when it runs."""

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

    def _there(self, path: Path) -> Path:
        own = paths.here().root
        return self._root / path.relative_to(own if path.is_relative_to(own) else "/")

    def write(self, path: Path, data: str | bytes, *, mode: int) -> None:
        try:
            files.write_atomic(self._there(path), data, mode=mode)
        except OSError as err:
            raise BadEnvironment(detail=f"cannot write {self._there(path)}: {err}") from err

    def read(self, path: Path) -> str | None:
        try:
            return self._there(path).read_text()
        except FileNotFoundError:
            return None

    def run(self, argv: Sequence[str], *, seconds: float) -> command.Outcome:
        return command.run(argv, seconds=seconds, env=os.environ | {"GANTRY_ROOT": str(self._root)})

    def shell(self, text: str, *, seconds: float) -> command.Outcome:
        env = os.environ | {"GANTRY_ROOT": str(self._root)}
        return command.run(["sh", "-c", text], seconds=seconds, env=env, may_fail=True)  # as sshd would

    def stop_daemon(self, name: str) -> None:
        daemons.stop_daemon(name, self._root)

    def start_daemon(self, name: str) -> None:
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

    def write(self, path: Path, data: str | bytes, *, mode: int) -> None:
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
        done = self.shell(shlex.join(argv), seconds=seconds)
        if done.status != 0:
            output = (done.stderr or done.stdout).strip()[-2000:]
            raise CommandFailed(command=argv[0], status=done.status, output=output)
        return done

    def shell(self, text: str, *, seconds: float) -> command.Outcome:
        import paramiko

        try:
            stdin, out, err = self._client.exec_command(text, timeout=seconds)
            stdin.close()
            stdout, stderr = out.read().decode(errors="replace"), err.read().decode(errors="replace")
            return command.Outcome(out.channel.recv_exit_status(), stdout, stderr)
        except (OSError, paramiko.SSHException) as problem:
            what = text.split(maxsplit=1)[0] if text.split() else "the command"
            raise CommandFailed(command=what, status="none",
                                output=str(problem) or f"no end after {seconds:g} s") from problem

    def stop_daemon(self, name: str) -> None:
        self.run(["systemctl", "stop", f"{name}.service"], seconds=90)

    def start_daemon(self, name: str) -> None:
        self.run(["systemctl", "start", f"{name}.service"], seconds=90)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self._client.close()
