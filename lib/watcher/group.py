# SPDX-License-Identifier: BSD-2-Clause
"""One node group: look, decide, submit jobs, look again."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from gantry import paths
from gantry.utils import clock
from gantry.watcher import files
from gantry.watcher.decide import InstanceSeen, NodeSeen, decide

log = logging.getLogger(__name__)
FINAL = ("success", "error", "canceled")
WAIT_SECONDS = 60.0
JOB_SECONDS = 3600.0
"""A job that takes longer is left alone; the next run finds what came of it."""
LOW = 10


class Master(Protocol):
    """The master daemon (`lib/luxi/client.py`)."""

    def call(self, method: str, args: Sequence[Any] = ...) -> Any: ...


class GroupWatcher:
    """Acts through jobs only."""

    def __init__(self, master: Master, group: str, *, strict: bool, now: Callable[[], float] = clock.epoch) -> None:
        self._master, self._group, self._strict, self._now = master, group, strict, now

    def run(self, *, disks: bool) -> None:
        """Raises files.Busy when another watcher is at this group."""
        with files.locked(paths.here().run / f"watcher.{self._group}.lock"):
            self._run(disks=disks)

    def _run(self, *, disks: bool) -> None:
        decision = decide(self._nodes(), instances := self._instances(), files.read_notes(self._group), self._now())
        files.write_states(self._group, {item.name: item.status for item in instances})
        files.write_notes(self._group, decision.notes)
        for name in decision.given_up:
            log.warning("instance %s could not be started several times; it is left down for now", name)
        started = {name for name in decision.start
                   if self._do(f"starting instance {name}", "OP_INSTANCE_STARTUP", name)}
        for name in decision.clean:
            self._do(f"recording that the guest of {name} shut itself down", "OP_INSTANCE_SHUTDOWN", name,
                     admin_state_source="user")
        activated = set(started)
        for name in decision.activate:
            if self._do(f"activating the disks of {name}: a node was rebooted", "OP_INSTANCE_ACTIVATE_DISKS", name):
                activated.add(name)
        if disks:
            self._verify_disks(activated)
        if started or decision.clean:
            files.write_states(self._group, {item.name: item.status for item in self._instances()})

    # --- looking ---

    def _nodes(self) -> list[NodeSeen]:
        rows = self._query("node", ["name", "bootid", "offline"], ["==", "group.uuid", self._group])
        return [NodeSeen(name=name, boot_id=boot or "", offline=bool(offline)) for name, boot, offline in rows]

    def _instances(self) -> list[InstanceSeen]:
        rows = self._query("instance", ["name", "status", "snodes"], ["==", "pnode.group.uuid", self._group])
        return [InstanceSeen(name=name, status=status or "unknown", secondaries=tuple(nodes or ()))
                for name, status, nodes in rows]

    def _query(self, what: str, fields: list[str], qfilter: list[Any]) -> list[list[Any]]:
        answer = self._master.call("Query", [what, fields, qfilter])
        return [[value for _, value in row] for row in answer["data"]]

    # --- acting ---

    def _verify_disks(self, activated: Iterable[str]) -> None:
        good, result = self._job({"OP_ID": "OP_GROUP_VERIFY_DISKS", "group_name": self._group,
                                  "is_strict": self._strict, "priority": LOW})
        if not good:
            log.error("the disks of group %s could not be verified: %s", self._group, result)
            return
        bad_nodes, inactive, missing = result
        for node, text in bad_nodes.items():
            log.warning("the disks on node %s could not be looked at: %s", node, text)
        for name in missing:
            log.warning("disks of instance %s are missing; see gnt-cluster verify-disks", name)
        for name in inactive:
            if name not in missing and name not in activated:
                self._do(f"activating the disks of {name}", "OP_INSTANCE_ACTIVATE_DISKS", name)

    def _do(self, what: str, op_id: str, instance: str, **more: Any) -> bool:
        log.info("%s", what)
        good, result = self._job({"OP_ID": op_id, "instance_name": instance, **more})
        if not good:
            log.error("%s failed: %s", what, result)
        return good

    def _job(self, op: dict[str, Any]) -> tuple[bool, Any]:
        """Whether it succeeded, and the result or the reason."""
        op = op | {"reason": [["gnt:watcher", "", clock.nanoseconds()]]}
        job = self._master.call("SubmitJob", [[op]])
        end, state = clock.SYSTEM.now() + JOB_SECONDS, ""
        while state not in FINAL:
            if clock.SYSTEM.now() >= end:
                return False, f"job {job} takes too long, it is not waited for"
            changed = self._master.call("WaitForJobChange", [job, ["status"], [state], None, WAIT_SECONDS])
            if isinstance(changed, list):
                state = changed[0][0]
        (_, (result, *_)), = self._master.call("QueryJobs", [[job], ["status", "opresult"]])
        return state == "success", result
