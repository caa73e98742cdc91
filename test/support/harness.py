# SPDX-License-Identifier: BSD-2-Clause
"""A virtual cluster for functional and fault tests, with what such tests ask and break."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.luxi.client import Client
from vcluster import layout, processes, up
from vcluster.layout import Layout

FINAL = ("success", "error", "canceled")


class Harness:
    """Commands run on the master unless a node is named."""

    def __init__(self, folder: Path, *, nodes: int, hypervisor: str) -> None:
        self.folder = folder
        self.layout: Layout = up.up(folder, count=nodes, hypervisor=hypervisor, demo=False)
        self.master = self.layout.nodes[0]

    def close(self) -> None:
        for node in self.layout.nodes:
            processes.power_cut(self.layout, node)

    # --- commands -------------------------------------------------------------------------------------

    def run(self, *argv: str, node: str | None = None, seconds: float = 120,
            env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        return processes.run(self.layout, node or self.master, argv, capture=True, seconds=seconds, env=env)

    def gnt(self, *argv: str, node: str | None = None, seconds: float = 120) -> str:
        """Output of a command that must succeed."""
        done = self.run(*argv, node=node, seconds=seconds)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def fails(self, *argv: str, status: int = 1) -> str:
        """The error output of a command that must fail with this status, without a traceback."""
        done = self.run(*argv)
        assert done.returncode == status, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr + done.stdout
        return done.stderr

    def client(self) -> Client:
        return Client(str(self.paths().luxi))

    def paths(self, node: str | None = None) -> paths.Paths:
        return paths.below(str(self.layout.root(node or self.master)))

    # --- jobs -----------------------------------------------------------------------------------------

    def submit(self, *ops: dict[str, Any]) -> int:
        job = self.client().call("SubmitJob", [list(ops)])
        assert isinstance(job, int)
        return job

    def wait_job(self, job: int, *, seconds: float = 90) -> dict[str, Any]:
        """Status, opresult and oplog of the job when it has ended; asks again while the daemon is away."""
        end = time.monotonic() + seconds
        row: Any = None
        while time.monotonic() < end:
            try:
                rows = self.client().call("QueryJobs", [[job], ["status", "opresult", "oplog", "opstatus"]])
            except Exception:
                time.sleep(0.2)
                continue
            row = rows[0] if rows else None
            if row and row[0] in FINAL:
                return {"status": row[0], "result": row[1], "log": row[2], "opstatus": row[3]}
            time.sleep(0.05)
        raise AssertionError(f"job {job} did not end within {seconds} s: {row}")

    def plan_steps(self, job: int) -> int:
        """How many steps the plan of a dry-run job has, read off its log."""
        log = self.wait_job(job)["log"][0]
        numbers = [int(entry[3].split(".")[0].strip()) for entry in log
                   if isinstance(entry[3], str) and entry[3].strip().split(".")[0].isdigit()]
        return max(numbers, default=0)

    # --- breaking things ------------------------------------------------------------------------------

    def pid(self, daemon: str, node: str | None = None) -> int:
        return int(self.paths(node).pid_file(daemon).read_text().split()[0])

    def is_running(self, daemon: str, node: str | None = None) -> bool:
        return up.is_running(self.layout, node or self.master, daemon)

    def kill(self, daemon: str, node: str | None = None) -> None:
        pid = self.pid(daemon, node)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: not Path(f"/proc/{pid}").exists() or self._zombie(pid), what=f"{daemon} is gone")

    def start(self, daemon: str, node: str | None = None, *, kill_at: str = "") -> None:
        done = self.run(daemon, node=node, env={"GANTRY_KILL_AT": kill_at} if kill_at else None)
        assert done.returncode == 0, done.stderr + done.stdout

    def restart(self, daemon: str, node: str | None = None, *, kill_at: str = "") -> None:
        if self.is_running(daemon, node):
            self.kill(daemon, node)
        self.start(daemon, node, kill_at=kill_at)

    @staticmethod
    def _zombie(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True

    @staticmethod
    def until(condition: Callable[[], bool], *, seconds: float = 30, what: str = "the condition") -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{what} did not come true within {seconds} s"
            time.sleep(0.05)

    # --- what is there --------------------------------------------------------------------------------

    def guests(self) -> dict[str, list[str]]:
        """Nodes by instance name, of guests that run."""
        found: dict[str, list[str]] = {}
        for node in self.layout.nodes:
            for process in processes.of_node(self.layout, node):
                if process.name().startswith("qemu-system"):
                    argv = process.cmdline()
                    name = argv[argv.index("-name") + 1].split(",")[0].removeprefix("guest=")
                    found.setdefault(name, []).append(node)
            for file in self.paths(node).fake_vms.glob("*.json"):
                data = json.loads(file.read_text())
                found.setdefault(data["spec"]["name"], []).append(node)
        return found

    def disk_files(self) -> set[str]:
        """Everything in the storage folders."""
        folders = [self.layout.shared, self.layout.own]
        return {str(path) for folder in folders for path in folder.rglob("*")}

    def locks(self) -> list[Any]:
        rows = self.client().call("Query", ["lock", ["name", "mode", "owner", "pending"], None])["data"]
        return [[cell[1] for cell in row] for row in rows]

    def verify(self) -> None:
        """`gnt-cluster verify` finds nothing to complain of."""
        done = self.run("gnt-cluster", "verify", "--error-codes")
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        assert "ERROR" not in text, text
        assert "WARNING" not in text, text


@contextmanager
def virtual_cluster(folder: Path, *, nodes: int = 3, hypervisor: str = "fake") -> Iterator[Harness]:
    harness = Harness(folder, nodes=nodes, hypervisor=hypervisor)
    try:
        yield harness
    finally:
        harness.close()


__all__ = ["Harness", "layout", "virtual_cluster"]
