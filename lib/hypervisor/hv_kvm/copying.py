# SPDX-License-Identifier: BSD-2-Clause
"""Jobs of QEMU that copy a disk while its guest uses it.

Each write of the guest goes to both sides before it is acknowledged, so a copy that is ready stays complete, and a
guest that writes faster than can be copied is slowed down instead of being chased for ever.  Jobs stay in QEMU until
they are dismissed, so that nobody has to listen when one ends to learn how.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from gantry.errors import HypervisorError
from gantry.hypervisor.base import Progress
from gantry.hypervisor.hv_kvm import launch
from gantry.hypervisor.hv_kvm.qmp import Qmp
from gantry.hypervisor.hv_kvm.runtime import Runtime
from gantry.utils import retry
from gantry.utils.clock import PATIENCE, SYSTEM

END_SECONDS = 30.0 * PATIENCE
"""How long a job may take to end once it was told to: it finishes the writes it has begun."""
POLL_SECONDS = 0.2
STALL_SECONDS = 60.0 * PATIENCE
"""After so long without any progress the other side is taken for dead: the guest's own writes wait for it."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """`state` as QEMU calls it: created, running, ready, ..., concluded.  Bytes."""

    name: str
    state: str
    done: int
    total: int
    error: str = ""


def jobs(qmp: Qmp) -> dict[str, Job]:
    return {str(item["id"]): Job(name=str(item["id"]), state=str(item["status"]), done=int(item["current-progress"]),
                                 total=int(item["total-progress"]), error=str(item.get("error", "")))
            for item in qmp.execute("query-jobs")}


def begin(qmp: Qmp, name: str, source: str, target: str, *, rate: int = 0) -> None:
    """Copy the node `source`, which a guest's disk is on, to the node `target`.  `rate` in bytes a second, 0: any."""
    qmp.execute("blockdev-mirror", job_id=name, device=source, target=target, sync="full", speed=rate,
                copy_mode="write-blocking", filter_node_name=f"m{name[-30:]}", auto_dismiss=False)


class Progressing:
    """Watches a number that must not stay the same for long."""

    def __init__(self, record: Runtime, what: str) -> None:
        self._name, self._what = record.spec.name, what
        self._last: int | None = None
        self._since = SYSTEM.now()

    def look(self, number: int) -> None:
        """Raises HypervisorError when it has been the same for STALL_SECONDS."""
        now = SYSTEM.now()
        if number != self._last:
            self._last, self._since = number, now
        elif now - self._since > STALL_SECONDS:
            raise HypervisorError(detail=f"guest {self._name}: {self._what} makes no progress for "
                                         f"{STALL_SECONDS:g} s; the other side does not react")


def wait_ready(record: Runtime, names: Sequence[str], progress: Progress) -> None:
    """Until all these copies are complete; raises HypervisorError when one failed.  `progress` may raise."""
    pause, progressing = 0.02, Progressing(record, "the copying of its disks")
    while True:
        with launch.talk(record) as qmp:
            found = jobs(qmp)
        mine = [require(record, found, name) for name in names]
        done, total = sum(job.done for job in mine), sum(job.total for job in mine)
        share = min(done / total, 0.99) if total else 0.0
        progress(share, f"disk transfer progress: {100 * share:.2f} % of {total >> 20} MiB")
        if all(job.state == "ready" for job in mine):
            return
        progressing.look(done)
        SYSTEM.sleep(pause)
        pause = min(pause * 1.5, POLL_SECONDS)


def require(record: Runtime, found: dict[str, Job], name: str) -> Job:
    """A job that lives; raises HypervisorError with the reason when it failed or is gone."""
    job = found.get(name)
    if job is None or job.error or job.state in ("aborting", "undefined", "null"):
        reason = job.error if job is not None and job.error else "QEMU has ended it"
        raise HypervisorError(detail=f"guest {record.spec.name}: its disk could not be copied: {reason}")
    return job


def end(qmp: Qmp, record: Runtime, name: str, command: str, **arguments: object) -> None:
    """Tell a job to end by `command`, and wait until it has; raises HypervisorError when it failed or does not end."""
    qmp.execute(command, **arguments)
    if not retry.wait_for(lambda: require(record, jobs(qmp), name).state == "concluded", seconds=END_SECONDS,
                          waits=retry.growing(0.002, most=0.05)):
        raise HypervisorError(detail=f"guest {record.spec.name}: the copying of its disk does not end")


def abandon(qmp: Qmp, name: str) -> None:
    """End a job whatever it does; the guest stays on what it copied from, unless it was exchanged already.

    It is cancelled once: QEMU may crash when that is repeated while the job is already ending.
    """
    cancelled = False

    def gone() -> bool:
        nonlocal cancelled
        job = jobs(qmp).get(name)
        if job is None:
            return True
        with suppress(HypervisorError):
            if job.state == "concluded":
                qmp.execute("job-dismiss", id=name)
            elif not cancelled:
                qmp.execute("block-job-cancel", device=name, force=True)
                cancelled = True
        return False
    if not retry.wait_for(gone, seconds=END_SECONDS, waits=retry.growing(0.002, most=0.1)):
        raise HypervisorError(detail=f"QEMU does not end the job {name}")
