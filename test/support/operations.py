# SPDX-License-Identifier: BSD-2-Clause
"""Operations on one instance that fault tests cut off, and what must hold when they have ended."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from support.harness import OP_CREATE, Harness

NAME = "guest"
OP_IDS = {"add": "OP_INSTANCE_CREATE", "remove": "OP_INSTANCE_REMOVE", "migrate": "OP_INSTANCE_MIGRATE",
          "failover": "OP_INSTANCE_FAILOVER"}
CHANGES = ("put", "update", "delete")


@dataclass
class Operation:
    """One of add, remove, migrate, failover.  `more`: parameters of the instance that is used."""

    cluster: Harness
    kind: str
    more: Mapping[str, Any]
    starts: int = 0
    """How often a fake guest was started before the operation."""

    @property
    def op_id(self) -> str:
        return OP_IDS[self.kind]

    def instance(self) -> dict[str, Any] | None:
        found = [item for item in self.cluster.rows("instances")["instances"].values() if item["name"] == NAME]
        return found[0] if found else None

    def prepare(self) -> dict[str, Any]:
        """The opcode, to be submitted to the cluster as it is then."""
        there = self.instance()
        if self.kind == "add":
            if there is not None:
                self.cluster.remove(NAME)
            return dict(OP_CREATE | {"instance_name": NAME, "pnode": "node2"} | self.more)
        if there is None:
            self.cluster.add(NAME, **self.more)
            there = self.instance()
            assert there is not None
        if there["admin_state"] != "up":
            self.cluster.do({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": NAME})
        self.starts = self.cluster.starts(there["uuid"])
        if self.kind == "remove":
            return {"OP_ID": self.op_id, "instance_name": NAME, "shutdown_timeout": 0}
        target = "node3" if self.place(there) == "node2" else "node2"
        extra = {"shutdown_timeout": 0} if self.kind == "failover" else {}
        return {"OP_ID": self.op_id, "instance_name": NAME, "target_node": target} | extra

    def cut(self, point: str, *, failing: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
        """Kill the master daemon at the point of a job of this kind, start it again; the opcode, and how the job ended.

        `failing`: where the job fails, so that it is on its way back.
        """
        cluster, op = self.cluster, self.prepare()
        if failing:
            cluster.arm("fail", failing)
        armed = cluster.arm("kill", point)
        job = cluster.submit_and_die(op)
        assert job is not None
        cluster.until(lambda: not armed.exists(), what=f"the master daemon comes to {point}", seconds=90)
        cluster.died("gnt-masterd")
        cluster.start("gnt-masterd")
        return op, cluster.wait_job(job)

    def place(self, instance: Mapping[str, Any]) -> str:
        return str(self.cluster.rows("nodes")["nodes"][instance["primary_node"]]["name"])

    def ended(self, op: Mapping[str, Any], job: Mapping[str, Any]) -> None:
        """The operation is done or undone, and nothing speaks of it any more."""
        cluster, there = self.cluster, self.instance()
        assert job["status"] in ("success", "error"), job
        done = job["status"] == "success"
        cluster.nothing_left()
        cluster.matches()
        cluster.verify()
        if self.kind in ("add", "remove"):
            assert (there is not None) == (done == (self.kind == "add")), job
        if there is None:
            return
        assert there["admin_state"] == "up", job
        if self.kind in ("migrate", "failover"):
            assert (self.place(there) == op["target_node"]) == done, job
        if cluster.layout.hypervisor == "fake":
            now = cluster.starts(there["uuid"])
            wanted = {"add": 1, "failover": self.starts + 1}.get(self.kind, self.starts)
            assert now == wanted if done else now in (self.starts, self.starts + 1), (now, job)

    # --- where it can be cut off ------------------------------------------------------------------------

    def stored_plan(self) -> list[dict[str, Any]]:
        """Steps of the plan, as the master daemon stored them before it died; it is running again then."""
        op = self.prepare()
        self.cluster.arm("kill", f"step:{self.op_id}:0:recorded")
        job = self.cluster.submit(op)
        self.cluster.died("gnt-masterd")
        steps = self.cluster.plan(job)
        self.cluster.start("gnt-masterd")
        self.ended(op, self.cluster.wait_job(job))
        return steps

    def points_forward(self, steps: list[dict[str, Any]]) -> Iterator[str]:
        """Planned, before the first step; each step done but not recorded, and recorded (that is before the next)."""
        yield f"job:{self.op_id}:planned"
        yield f"step:{self.op_id}:0:before"
        for index, when in itertools.product(range(len(steps)), ("after", "recorded")):
            yield f"step:{self.op_id}:{index}:{when}"
        yield f"job:{self.op_id}:finished"

    def points_back(self, steps: list[dict[str, Any]]) -> tuple[str, list[str]]:
        """The last step that can fail so that all is undone, and the points of undoing that are reached then."""
        last = next((index for index, step in enumerate(steps) if step.get("no_return")), len(steps) - 1)
        back = [index for index in range(last) if steps[index].get("undo") or _changes(steps[index]["action"])]
        points = [f"step:{self.op_id}:{index}:undo:{when}" for index in reversed(back) for when in ("before", "after")]
        return f"step:{self.op_id}:{last}:before", points


def _changes(action: Mapping[str, Any]) -> bool:
    """Whether the action changes the configuration only; the master knows how to undo that."""
    if action["kind"] == "several":
        return all(_changes(item) for item in action["actions"])
    return action["kind"] in CHANGES
