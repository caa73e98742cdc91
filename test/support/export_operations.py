# SPDX-License-Identifier: BSD-2-Clause
"""Exports and imports that fault tests cut off, and what must hold when they have ended."""

from collections.abc import Mapping
from typing import Any

from support.disk_operations import MORE
from support.operations import NAME, Operation

OP_IDS = {"export": "OP_BACKUP_EXPORT", "import": "OP_INSTANCE_CREATE"}
TARGET = "node3"
OTHER = "other"


class ExportOperation(Operation):
    """`export`: of a mirrored disk of a guest that runs; `import`: onto a mirrored disk, under another name."""

    before: set[str]

    @property
    def op_id(self) -> str:
        return OP_IDS[self.kind]

    def prepare(self) -> dict[str, Any]:
        if self.instance() is None:
            self.cluster.add(NAME, **MORE)
            [disk] = self.cluster.rows("disks")["disks"].values()
            self.write(disk)
        if self.kind == "export":
            self.before = self.files()
            return {"OP_ID": self.op_id, "instance_name": NAME, "target_node": TARGET, "shutdown_timeout": 0}
        if not self.files():
            self.cluster.do({"OP_ID": OP_IDS["export"], "instance_name": NAME, "target_node": TARGET})
        if self.other() is not None:
            self.cluster.remove(OTHER)
        return {"OP_ID": self.op_id, "instance_name": OTHER, "mode": "import", "src_path": NAME, "pnode": "node2",
                "snode": "node3", "disks": [], "nics": [], "start": False}

    def other(self) -> dict[str, Any] | None:
        found = [item for item in self.cluster.rows("instances")["instances"].values() if item["name"] == OTHER]
        return found[0] if found else None

    def write(self, disk: Mapping[str, Any]) -> None:
        """Something to be found again."""
        for end in disk["drbd"]["ends"]:
            node = self.cluster.rows("nodes")["nodes"][end["node"]]["name"]
            with self.volume(node, end).open("r+b") as file:
                file.seek(1 << 20)
                file.write(b"what the guest wrote")

    def volume(self, node: str, end: Mapping[str, Any]) -> Any:
        return self.cluster.paths(node).devices / end["data"]["vg"] / end["data"]["lv"]

    def files(self) -> set[str]:
        """What all nodes have in their folders of exports, and when it was written."""
        found = set()
        for node in self.cluster.layout.nodes:
            folder = self.cluster.paths(node).exports
            found |= {f"{node}:{path.relative_to(folder)}:{path.stat().st_mtime_ns}" for path in folder.rglob("*")
                      if path.is_file()}
        return found

    def ended(self, op: Mapping[str, Any], job: Mapping[str, Any]) -> None:
        assert job["status"] in ("success", "error"), job
        done, there = job["status"] == "success", self.instance()
        assert there is not None
        assert there["admin_state"] == "up"
        self.cluster.nothing_left()
        self.cluster.matches()
        if self.kind == "import":
            assert (self.other() is not None) == done, job
            return
        if not done:
            assert self.files() == self.before, "the older export is as it was"
            return
        folder = self.cluster.paths(TARGET).exports / NAME
        assert {path.name for path in folder.iterdir()} == {"config.ini", *there["disks"]}
        content = (folder / there["disks"][0]).read_bytes()
        assert (len(content), content.count(b"what the guest wrote")) == (8 << 20, 1)
