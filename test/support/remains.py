# SPDX-License-Identifier: BSD-2-Clause
"""What a virtual cluster holds: its records, files, guests and processes, to compare before and after."""

import json
import sqlite3
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.backend.task_runner import SERVER
from vcluster import processes
from vcluster.layout import Layout

CONFIG = ("cluster", "nodes", "nodegroups", "instances", "disks", "networks", "filters")
SETTLING = 5.0
"""Seconds a half-written file may be there."""
WATCHING = "drbdsetup events2"
DAEMONS = ("gantry.server.noded", "gantry.server.masterd", "gantry.server.rapi", "gnt-noded", "gnt-masterd", "gnt-rapi")


class Remains:
    """Asks the files and the processes; of the daemons only for locks and for `verify`."""

    layout: Layout
    master: str

    @abstractmethod
    def paths(self, node: str | None = None) -> paths.Paths: ...

    @staticmethod
    @abstractmethod
    def until(condition: Callable[[], bool], *, seconds: float = 30, what: str = "the condition") -> None: ...

    @abstractmethod
    def query(self, what: str, fields: list[str], qfilter: Any = None) -> list[list[Any]]: ...

    @abstractmethod
    def submit(self, *ops: Mapping[str, Any]) -> int: ...

    @abstractmethod
    def wait_job(self, job: int, *, seconds: float = 90) -> dict[str, Any]: ...

    # --- the store ------------------------------------------------------------------------------------

    def rows(self, *tables: str, node: str | None = None) -> dict[str, dict[str, Any]]:
        """Of the node's copy of the store: values by table and key."""
        found: dict[str, dict[str, Any]] = {table: {} for table in tables}
        with closing(sqlite3.connect(f"file:{self.paths(node).store}?mode=ro", uri=True)) as database:
            marks = ",".join("?" * len(tables))
            for table, key, value in database.execute(
                    f"SELECT tbl, key, value FROM rows WHERE tbl IN ({marks})", tables):
                found[table][key] = json.loads(value)
        return found

    def plan(self, job: int, op: int = 0) -> list[dict[str, Any]]:
        """Steps of the job's stored plan."""
        steps: list[dict[str, Any]] = self.rows("plans")["plans"][f"{job}.{op}"]["plan"]["steps"]
        return steps

    # --- guests, files, processes ---------------------------------------------------------------------

    def guests(self) -> dict[str, list[str]]:
        """Nodes by instance name, of guests that run; one that waits for a migration counts as well."""
        found: dict[str, list[str]] = {}
        for node in self.layout.nodes:
            for process in processes.of_node(self.layout, node) if self.layout.hypervisor == "kvm" else ():
                if process.name().startswith("qemu-system"):
                    argv = process.cmdline()
                    name = argv[argv.index("-name") + 1].split(",")[0].removeprefix("guest=")
                    found.setdefault(name, []).append(node)
            for file in self.paths(node).fake_vms.glob("*.json"):
                data = json.loads(file.read_text())
                found.setdefault(data["spec"]["name"], []).append(node)
        return found

    def on_disk(self, sector: int) -> int:
        """A number that the small guest keeps on the disk of the only instance: 1, its boots, 2, its last tick."""
        [disk] = self.rows("disks")["disks"].values()
        with Path(disk["file"]["path"]).open("rb") as file:
            file.seek(sector * 512)
            return int(file.read(512).strip(b"\0 \n") or 0)

    def starts(self, uuid: str) -> int:
        """How often a fake guest was started, on all nodes together."""
        files = [self.paths(node).fake_vms / "starts" / uuid for node in self.layout.nodes]
        return sum(int(file.read_text()) for file in files if file.exists())

    def disk_files(self) -> set[str]:
        """Everything in the storage folders."""
        folders = [self.layout.shared, self.layout.own]
        return {str(path) for folder in folders for path in folder.rglob("*")}

    def workers(self) -> list[str]:
        """Command lines of processes of the nodes, scripts among them, that are neither daemons (or the
        allocator's helpers of the master daemon, or what node daemons watch mirrors and start tasks with) nor
        guests."""
        mark = f"{self.layout.folder}/".encode()  # the environment of programs, and of scripts their disks
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes() and (folder / "comm").read_text().strip() != SERVER:
                    found.append((folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " "))
            except OSError:  # it has ended, or is another user's
                continue
        return [line for line in found if line and "qemu-system" not in line and "multiprocessing" not in line
                and not any(name in line for name in (*DAEMONS, WATCHING))]

    def temporary(self) -> list[str]:
        """Half-written files in the nodes' state and run folders; a daemon may be about to rename them."""
        return [str(path) for node in self.layout.nodes for folder in (self.paths(node).state, self.paths(node).run)
                for path in folder.rglob("*") if path.name.endswith((".tmp", ".new")) or path.name.startswith(".")]

    def snapshot(self) -> dict[str, Any]:
        """All that an operation that failed must leave as it was."""
        return {"config": self.rows(*CONFIG), "disks": self.disk_files(), "guests": self.guests(),
                "plans": self.rows("plans", "steps"), "workers": self.workers(), "locks": self.locks()}

    # --- the daemons ----------------------------------------------------------------------------------

    def locks(self) -> list[Any]:
        return [row for row in self.query("lock", ["name", "mode", "owner", "pending"]) if row[2] or row[3]]

    def verify(self) -> None:
        """`gnt-cluster verify` finds nothing to complain of."""
        ended = self.wait_job(self.submit({"OP_ID": "OP_CLUSTER_VERIFY"}))
        assert ended["status"] == "success", ended
        for accepted, job in ended["result"][0]["jobs"]:
            assert accepted, job
            part = self.wait_job(job)
            assert part["status"] == "success", part
            text = "\n".join(entry[3] for entry in part["log"][0] if isinstance(entry[3], str))
            assert part["result"] == [True], text
            assert "ERROR" not in text, text
            assert "WARNING" not in text, text

    def nothing_left(self) -> None:
        """No plan, lock or worker is there when all jobs have ended."""
        assert self.rows("plans", "steps") == {"plans": {}, "steps": {}}
        assert self.locks() == []
        assert self.workers() == []
        left, end = set(self.temporary()), time.monotonic() + SETTLING
        while left and time.monotonic() < end:  # a daemon may just be writing one
            time.sleep(0.02)
            left &= set(self.temporary())
        assert left == set(), left

    def matches(self) -> None:
        """Files, guests and records tell the same story: nothing is missing, left over or there twice."""
        config = self.rows("instances", "disks", "nodes")
        wanted = {disk["file"]["path"] for disk in config["disks"].values() if disk.get("file")}
        files = {path for path in self.disk_files() if ".disk" in path and not path.endswith(".owner")}
        assert files == wanted
        names = {uuid: node["name"] for uuid, node in config["nodes"].items()}
        run = {item["name"]: [names[item["primary_node"]]] for item in config["instances"].values()
               if item.get("admin_state") == "up"}
        assert self.guests() == run
        here = {(path.stem, node) for node in self.layout.nodes for path in self.paths(node).vm_specs.glob("*")}
        if self.layout.hypervisor == "kvm":
            assert here == {(item["uuid"], names[item["primary_node"]]) for item in config["instances"].values()
                            if item.get("admin_state") == "up"}
