# SPDX-License-Identifier: BSD-2-Clause
"""A virtual cluster for functional and fault tests: commands, jobs, and how its daemons are broken."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.errors import Error, LuxiError
from gantry.luxi.client import Client
from support.remains import Remains
from vcluster import layout, processes, up
from vcluster.layout import Layout

FINAL = ("success", "error", "canceled")
OP_CREATE: dict[str, Any] = {"OP_ID": "OP_INSTANCE_CREATE", "mode": "create", "disk_template": "sharedfile",
                             "disks": [{"size": 16}], "nics": [{}], "os_type": "gantry-guest"}
"""An instance that takes little; the name and the node are missing."""


class Harness(Remains):
    """Commands run on the master unless a node is named."""

    def __init__(self, folder: Path, *, nodes: int, hypervisor: str) -> None:
        self.folder = folder
        try:
            self.layout: Layout = up.up(folder, count=nodes, hypervisor=hypervisor, demo=False)
        except BaseException:
            self._end(layout.load(folder))
            raise
        self.master = self.layout.nodes[0]

    def close(self) -> None:
        self._end(self.layout)

    @staticmethod
    def _end(cluster: Layout | None) -> None:
        for node in cluster.nodes if cluster else ():
            processes.power_cut(cluster, node)

    # --- commands -------------------------------------------------------------------------------------

    def run(self, *argv: str, node: str | None = None, seconds: float = 120,
            env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Nobody is at the terminal."""
        env = {"COLUMNS": "200", "TZ": "UTC"} | dict(env or {})
        return processes.run(self.layout, node or self.master, argv, capture=True, seconds=seconds, env=env)

    def gnt(self, *argv: str, node: str | None = None, seconds: float = 120) -> str:
        """Output of a command that must succeed."""
        done = self.run(*argv, node=node, seconds=seconds)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def fails(self, *argv: str, status: int = 1, node: str | None = None,
              env: Mapping[str, str] | None = None) -> str:
        """The error output of a command that must fail with this status, without a traceback."""
        done = self.run(*argv, node=node, env=env)
        assert done.returncode == status, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr + done.stdout
        assert done.stderr.strip(), f"{' '.join(argv)} does not say what is wrong"
        return done.stderr

    def client(self, node: str | None = None) -> Client:
        return Client(str(self.paths(node).luxi))

    def paths(self, node: str | None = None) -> paths.Paths:
        return paths.below(str(self.layout.root(node or self.master)))

    # --- jobs -----------------------------------------------------------------------------------------

    def submit(self, *ops: Mapping[str, Any]) -> int:
        with self.client() as client:
            job = client.call("SubmitJob", [list(ops)])
        assert isinstance(job, int)
        return job

    def submit_and_die(self, *ops: Mapping[str, Any]) -> int | None:
        """Submit to a master daemon that will die; None when it died before it acknowledged."""
        with self.client() as client:
            try:
                return int(client.call("SubmitJob", [list(ops)]))
            except LuxiError:
                return None

    def job(self, job: int) -> dict[str, Any] | None:
        """Status, result, log, opstatus; None when the daemon does not know the job."""
        with self.client() as client:
            row = client.call("QueryJobs", [[job], ["status", "opresult", "oplog", "opstatus"]])[0]
        return None if row[0] is None else {"status": row[0], "result": row[1], "log": row[2], "opstatus": row[3]}

    def wait_job(self, job: int, *, seconds: float = 90) -> dict[str, Any]:
        """The job when it has ended; asks again while the daemon is away."""
        end, found = time.monotonic() + seconds, None
        while time.monotonic() < end:
            try:
                found = self.job(job)
            except (Error, OSError):
                time.sleep(0.1)
                continue
            assert found is not None, f"job {job} is lost"
            if found["status"] in FINAL:
                return found
            time.sleep(0.02)
        raise AssertionError(f"job {job} did not end within {seconds} s: {found}")

    def do(self, *ops: Mapping[str, Any]) -> Any:
        """Results of a job that must succeed."""
        ended = self.wait_job(self.submit(*ops))
        assert ended["status"] == "success", ended
        return ended["result"]

    def add(self, name: str, node: str = "node2", **more: Any) -> None:
        self.do(OP_CREATE | {"instance_name": name, "pnode": node} | more)

    def remove(self, name: str) -> None:
        self.do({"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": name, "shutdown_timeout": 0})

    def query(self, what: str, fields: list[str], qfilter: Any = None) -> list[list[Any]]:
        with self.client() as client:
            rows = client.call("Query", [what, fields, qfilter])["data"]
        return [[cell[1] for cell in row] for row in rows]

    # --- breaking things ------------------------------------------------------------------------------

    def arm(self, action: str, point: str, node: str | None = None) -> Path:
        """`kill` or `fail` at a point of `lib/utils/faults.py`, once; the file is there until that happened."""
        folder = self.paths(node).run / "faults"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{action} {point}"
        file.touch()
        return file

    def disarm(self) -> None:
        for node in self.layout.nodes:
            for file in (self.paths(node).run / "faults").glob("*"):
                file.unlink()

    def pid(self, daemon: str, node: str | None = None) -> int:
        return int(self.paths(node).pid_file(daemon).read_text().split()[0])

    def is_running(self, daemon: str, node: str | None = None) -> bool:
        try:
            return not processes.ended(self.pid(daemon, node))
        except (OSError, IndexError):
            return False

    def died(self, daemon: str, node: str | None = None, *, seconds: float = 30) -> None:
        """Wait until the daemon has died."""
        self.until(lambda: not self.is_running(daemon, node), seconds=seconds, what=f"{daemon} is gone")

    def kill(self, daemon: str, node: str | None = None) -> None:
        pid = self.pid(daemon, node)
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: processes.ended(pid), what=f"{daemon} is gone")

    def start(self, daemon: str, node: str | None = None) -> None:
        done = self.run(daemon, node=node)
        assert done.returncode == 0, done.stderr + done.stdout

    def restart(self, daemon: str, node: str | None = None) -> None:
        if self.is_running(daemon, node):
            self.kill(daemon, node)
        self.start(daemon, node)

    def power_cut(self, node: str) -> None:
        processes.power_cut(self.layout, node)

    def power_on(self, node: str) -> None:
        up.start_node(self.layout, node)

    def vcluster(self, *argv: str) -> str:
        return self.gnt("vcluster", "--dir", str(self.folder), *argv)

    @staticmethod
    def until(condition: Callable[[], bool], *, seconds: float = 30, what: str = "the condition") -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{what} did not come true within {seconds} s"
            time.sleep(0.02)


@contextmanager
def virtual_cluster(folder: Path, *, nodes: int = 3, hypervisor: str = "fake") -> Iterator[Harness]:
    harness = Harness(folder, nodes=nodes, hypervisor=hypervisor)
    try:
        yield harness
    finally:
        harness.close()
