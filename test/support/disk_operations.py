# SPDX-License-Identifier: BSD-2-Clause
"""Operations on the disks of one running instance that fault tests cut off, and what must hold when they have ended."""

from collections.abc import Mapping
from typing import Any

from support.operations import NAME, Operation

OP_IDS = {"replace": "OP_INSTANCE_REPLACE_DISKS", "grow": "OP_INSTANCE_GROW_DISK", "convert": "OP_INSTANCE_SET_PARAMS"}
MORE = {"disk_template": "drbd", "snode": "node3", "disks": [{"size": 8}]}


class DiskOperation(Operation):
    """`replace`: another secondary node, there and back; `grow`: by a little; `convert`: to plain and back, live."""

    @property
    def op_id(self) -> str:
        return OP_IDS[self.kind]

    def prepare(self) -> dict[str, Any]:
        if self.instance() is not None and self.kind != "convert" and self.disk()["dev_type"] == "plain":
            self.cluster.remove(NAME)
        if self.instance() is None:
            self.cluster.add(NAME, **MORE)
        self.be_whole()
        disk = self.disk()
        op = {"OP_ID": self.op_id, "instance_name": NAME}
        if self.kind == "grow":
            return op | {"disk": 0, "amount": disk["size"] + 4, "absolute": True}
        if self.kind == "convert":
            more = {"disk_template": "drbd", "remote_node": "node3"} if disk["dev_type"] == "plain" else \
                {"disk_template": "plain"}
            return op | more | {"live": True}
        return op | {"mode": "replace_new_secondary", "remote_node": "node1" if "node3" in self.nodes() else "node3"}

    def disk(self) -> dict[str, Any]:
        [found] = self.cluster.rows("disks")["disks"].values()
        return dict(found)

    def be_whole(self) -> None:
        """An end that is not known to be whole changes the plan; after an undone operation it takes a look to know."""
        if self.disk().get("degraded_since") is not None:
            self.cluster.do({"OP_ID": "OP_GROUP_VERIFY_DISKS", "group_name": "default"})
            assert self.disk().get("degraded_since") is None, self.disk()

    def nodes(self) -> set[str]:
        """Names of the nodes with an end of the disk."""
        names = self.cluster.rows("nodes")["nodes"]
        return {names[uuid]["name"] for uuid in self.disk()["nodes"]}

    def ended(self, op: Mapping[str, Any], job: Mapping[str, Any]) -> None:
        assert job["status"] in ("success", "error"), job
        done, there, disk = job["status"] == "success", self.instance(), self.disk()
        assert there is not None
        assert there["admin_state"] == "up"
        self.cluster.nothing_left()
        self.cluster.matches()
        if self.kind == "grow":
            assert (disk["size"] == op["amount"]) == done, job
        elif self.kind == "convert":
            assert (disk["dev_type"] == op["disk_template"] == there["disk_template"]) == done, job
        else:
            assert (op["remote_node"] in self.nodes()) == done, job
