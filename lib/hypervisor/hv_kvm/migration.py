# SPDX-License-Identifier: BSD-2-Clause
"""Live migration: the target waits, the source sends, both are asked how it went.  What is sent is encrypted, and who
does not have the key of this one move (`movekey`) is not let in.

The disks are seen by both nodes, or the source copies them before (`transfer`).

QEMU itself guarantees the one thing that matters: the source's guest stops before the target's starts, and goes
on when the target does not say that it has taken it.  Disks are opened by the target without locks and taken over at
the end.

Under software emulation the guest is stopped before it is sent: QEMU before 9.0 misses writes then (its TLB is not
told that pages were sent), and what arrives is a guest with damaged memory.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from gantry.errors import HypervisorError
from gantry.hypervisor.base import Progress, gone_over
from gantry.hypervisor.hv_kvm import cmdline, copying, launch, movekey, runtime, transfer
from gantry.hypervisor.hv_kvm.qmp import Qmp
from gantry.hypervisor.hv_kvm.runtime import Phase, Runtime
from gantry.objects.base import Params
from gantry.objects.vm import MigrationStatus, MigrationTarget, VmSpec
from gantry.utils import retry
from gantry.utils.clock import PATIENCE, SYSTEM

PORTS = 100
"""How many ports from migration_port on are tried: several guests may arrive at once."""

STOPPED_DOWNTIME_MS = 2_000_000
"""The longest QEMU takes.  A pause of any length is tolerable then, so the guest stops before it is sent."""

ARRIVAL_SECONDS = 20.0 * PATIENCE
HANDOVER_SECONDS = 8.0 * PATIENCE
"""How long a target may take to let the guest run once it has all of it, before the source gives it up.  A task that is
cancelled is killed after 12 s."""
UNLIMITED = 1 << 40
RUNNING = frozenset({"running", "paused", "suspended"})
ENDED = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`bandwidth` in MiB/s (0: none), `downtime` in ms; not `live`: the guest stops while it is sent."""

    live: bool
    bandwidth: int
    downtime: int

    def parameters(self) -> dict[str, int]:
        return {"max-bandwidth": self.bandwidth << 20 if self.bandwidth else UNLIMITED,
                "downtime-limit": min(self.downtime, STOPPED_DOWNTIME_MS) if self.live else STOPPED_DOWNTIME_MS}


def capabilities(hv: Params, *, source: bool) -> list[str]:
    """What both ends switch on; at the source also that the target says whether it has taken the guest (else the source
    is done once all was sent), and the slowing down of a guest that writes faster than we send.
    """
    wanted = [name for name in hv["migration_caps"].split(":") if name]
    if source:
        wanted += ["return-path"] if "postcopy-ram" in wanted else ["return-path", "auto-converge"]
    return list(dict.fromkeys(wanted))


def listen(spec: VmSpec, disks: dict[str, str], address: str) -> Runtime:
    """Start a QEMU that waits for the guest on a free port of `address`."""
    hv = cmdline.params(spec)
    record = launch.launch(spec, disks, incoming=True)
    try:
        with launch.talk(record) as qmp:
            launch.prepare(qmp, record, hv)
            _enable(qmp, capabilities(hv, source=False))
            record = replace(record, key=movekey.new())
            movekey.put(qmp, record, "server", record.key)
            qmp.execute("migrate-set-parameters", tls_creds=movekey.NAME)
            host, first = f"[{address}]" if ":" in address else address, int(hv["migration_port"])
            qmp.execute("migrate-incoming", uri=f"tcp:{host}:{first},to={min(first + PORTS, 65535)}")
            port = qmp.execute("query-migrate")["socket-address"][0]["port"]
        record = replace(record, uri=f"tcp:{host}:{port}")
        runtime.save(record)
    except BaseException:
        launch.clear(record)
        raise
    return record


def send(record: Runtime, target: MigrationTarget, limits: Limits, progress: Progress) -> MigrationStatus:
    """Until the target has the guest.  Whatever goes wrong, or when `progress` raises: the guest runs on here."""
    with launch.talk(record) as qmp:
        state = qmp.execute("query-status")["status"]
        past = qmp.execute("query-migrate")
        stands_still = _emulated(qmp)
        if state == "postmigrate" and past.get("status") == "completed":
            return _with_pause(status(past), stands_still=stands_still)
        if state not in RUNNING | {"finish-migrate"}:
            raise HypervisorError(detail=f"guest {record.spec.name} cannot be migrated, it is {state}")
        if past.get("status") in (None, "none", *ENDED):
            _begin(qmp, record, target, limits)
    try:
        found = _watch(record, progress)
    except BaseException:
        found = _stop_sending(record)
        if found.status != "completed":  # else it was too late, and the guest is over there
            _stay(record)
            raise
    if found.status != "completed":
        _stay(record)
        reason = found.error or f"it was {found.status}"
        raise HypervisorError(detail=f"guest {record.spec.name}: migration failed, it runs on here: {reason}")
    return _with_pause(found, stands_still=stands_still)


def _emulated(qmp: Qmp) -> bool:
    return not qmp.execute("query-kvm")["enabled"]


def _with_pause(found: MigrationStatus, *, stands_still: bool) -> MigrationStatus:
    """QEMU counts from when it stopped the guest itself."""
    return replace(found, downtime_ms=found.total_ms) if stands_still else found


def status(answer: dict[str, Any]) -> MigrationStatus:
    """From the answer to `query-migrate`."""
    ram = answer.get("ram", {})
    state = str(answer.get("status", "none"))
    return MigrationStatus(
        status=state if state in ENDED else "active", transferred=int(ram.get("transferred", 0)),
        total=int(ram.get("transferred", 0)) + int(ram.get("remaining", 0)), downtime_ms=answer.get("downtime"),
        total_ms=answer.get("total-time"), error=str(answer.get("error-desc", "")))


def arrived(record: Runtime) -> bool:
    """Whether the guest runs (or is paused) here; waits while it is still coming in."""
    end = SYSTEM.now() + ARRIVAL_SECONDS
    while launch.find(record) is not None:
        with suppress(HypervisorError), launch.talk(record) as qmp:
            if qmp.execute("query-status")["status"] in RUNNING:
                return True
            incoming = qmp.execute("query-migrate").get("status", "none")
            if incoming in ("none", "setup", "failed"):
                return False
        if SYSTEM.now() > end:
            return False
        SYSTEM.sleep(0.05)
    return False


def resume(record: Runtime) -> None:
    """The guest runs on at the source, unless the target has taken it: then raises HypervisorError."""
    found = _stop_sending(record)
    with launch.talk(record) as qmp:
        if found.status == "completed" and qmp.execute("query-status")["status"] == "postmigrate":
            raise gone_over(record.spec.name)
    _stay(record)


def _stay(record: Runtime) -> None:
    _run_on(record)
    transfer.abandon(record)


def _begin(qmp: Qmp, record: Runtime, target: MigrationTarget, limits: Limits) -> None:
    transfer.require_mirrored(qmp, record)
    movekey.put(qmp, record, "client", target.key)
    _enable(qmp, capabilities(cmdline.params(record.spec), source=True))
    qmp.execute("migrate-set-capabilities", capabilities=[
        {"capability": "pause-before-switchover", "state": bool(record.mirrored)}])
    emulated = _emulated(qmp)
    qmp.execute("migrate-set-parameters", tls_creds=movekey.NAME,
                **replace(limits, live=limits.live and not emulated).parameters())
    if emulated:
        qmp.execute("stop")
    qmp.execute("migrate", uri=target.uri)


def _enable(qmp: Qmp, names: list[str]) -> None:
    if names:
        qmp.execute("migrate-set-capabilities",
                    capabilities=[{"capability": name, "state": True} for name in names])


def _watch(record: Runtime, progress: Progress) -> MigrationStatus:
    """Poll until it ended.  A guest that may be fetched later (postcopy) is handed over after one full pass."""
    later = "postcopy-ram" in capabilities(cmdline.params(record.spec), source=True)
    pause, progressing = 0.02, copying.Progressing(record, "its migration")
    progress(0.0, "memory transfer progress: 0.00 %")
    while True:
        with launch.talk(record) as qmp:
            answer = qmp.execute("query-migrate")
            passes = answer.get("ram", {}).get("dirty-sync-count", 0)
            if later and answer.get("status") == "active" and passes > 1:
                qmp.execute("migrate-start-postcopy")
                later = False
                retry.wait_for(lambda: qmp.execute("query-migrate").get("status") != "active",  # see _stop_sending
                               seconds=ARRIVAL_SECONDS, waits=retry.growing(0.01, most=0.2))
            if answer.get("status") == "pre-switchover":
                transfer.hand_over(qmp, record)
                qmp.execute("migrate-continue", state="pre-switchover")
        found = status(answer)
        if found.status != "active":
            return found
        if answer.get("status") == "postcopy-paused":
            raise _over_there(record, answer)
        if record.mirrored or answer.get("status") == "active":
            progressing.look(found.transferred)
        if found.total:
            done = found.transferred / found.total
            progress(min(done, 0.99), f"memory transfer progress: {100 * done:.2f} %")
        else:
            progress(0.0, "memory transfer progress: 0.00 %")
        SYSTEM.sleep(pause)
        pause = pause if record.mirrored else min(pause * 1.5, 0.5)  # it stands still until the disks are handed over


def _stop_sending(record: Runtime) -> MigrationStatus:
    """Cancel, and wait for how it ended.  A guest that runs on the target, and fetches its memory, is not cancelled: it
    would run here as well.  One that the target has all of, and is about to run, is given a while.
    """
    def taken_over() -> bool:
        with launch.talk(record) as qmp:
            return bool(qmp.execute("query-migrate").get("status") != "device")

    retry.wait_for(taken_over, seconds=HANDOVER_SECONDS, waits=retry.growing(0.02, most=0.2))
    with launch.talk(record) as qmp:
        answer = qmp.execute("query-migrate")
        if status(answer).status == "active" and not _fetched(answer):
            qmp.execute("migrate_cancel")
    end = SYSTEM.now() + ARRIVAL_SECONDS
    while SYSTEM.now() < end and answer.get("status") != "postcopy-paused":
        with launch.talk(record) as qmp:
            answer = qmp.execute("query-migrate")
        if answer.get("status") in (None, "none", *ENDED):
            return status(answer)
        SYSTEM.sleep(0.05)
    if _fetched(answer):
        raise _over_there(record, answer)
    raise HypervisorError(detail=f"guest {record.spec.name}: its migration does not end after it was cancelled")


def _fetched(answer: dict[str, Any]) -> bool:
    return str(answer.get("status")).startswith("postcopy-")


def _over_there(record: Runtime, answer: dict[str, Any]) -> HypervisorError:
    what = ("the connection broke while memory was fetched from the source, neither side can go on without it; end the "
            "guest on both nodes and start it again" if answer.get("status") == "postcopy-paused" else
            "it runs on the target already, which still fetches memory from here; when that has ended, gnt-instance "
            "migrate --cleanup records where it is")
    return HypervisorError(detail=f"guest {record.spec.name}: {what}")


def _run_on(record: Runtime) -> None:
    """Under software emulation a guest that was paused before goes on as well: nobody can tell who paused it."""
    with launch.talk(record) as qmp:
        state = qmp.execute("query-status")["status"]
        if state in ("postmigrate", "finish-migrate") or (state == "paused" and _emulated(qmp)):
            qmp.execute("cont")


def settled(record: Runtime) -> Runtime:
    """The record of a guest that has arrived; the key of its move is of no use any more."""
    if record.key:
        with suppress(HypervisorError), launch.talk(record) as qmp:  # then it is forgotten at the next move
            movekey.forget(qmp, record)
    done = replace(record, phase=Phase.RUNNING, key="")
    runtime.save(done)
    return done
