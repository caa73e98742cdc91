# SPDX-License-Identifier: BSD-2-Clause
"""Ending a guest: asked through the power button, then made to."""

from contextlib import suppress

from gantry.errors import ConfigurationError, HypervisorError
from gantry.hypervisor.base import Progress
from gantry.hypervisor.hv_kvm import cmdline, files, launch, process, runtime
from gantry.hypervisor.hv_kvm.process import ProcessId
from gantry.hypervisor.hv_kvm.runtime import Phase, Runtime
from gantry.utils.clock import PATIENCE, SYSTEM

AGAIN_SECONDS = 3.0
"""How often the button is pressed: a guest that is booting does not notice the first time."""

QUIT_SECONDS = 5.0 * PATIENCE


def stop(guest: str, *, seconds: float, progress: Progress) -> None:
    """Return when the guest is gone and its files are cleared away.  Stops waiting when `progress` raises."""
    try:
        record = runtime.load(guest)
    except ConfigurationError:
        record = None
    if record is None:
        _end_unknown(guest)
        return
    own = launch.find(record)
    if own is not None and seconds > 0 and record.phase is Phase.RUNNING and cmdline.params(record.spec)["acpi"]:
        _ask(record, own, seconds, progress)
    if own is not None and process.lives(own):
        _quit(record, own)
    with files.held(guest):
        launch.clear(record)


def _ask(record: Runtime, own: ProcessId, seconds: float, progress: Progress) -> None:
    begin = SYSTEM.now()
    asked = begin - AGAIN_SECONDS
    while process.lives(own):
        now = SYSTEM.now()
        if now - begin >= seconds:
            return
        if now - asked >= AGAIN_SECONDS:
            asked = now
            with suppress(HypervisorError):
                if _pressed(record):
                    return
            progress(min((now - begin) / seconds, 0.99), f"waiting for instance {record.spec.name} to shut down")
        process.wait(own, min(0.5, seconds - (now - begin)))
        with suppress(HypervisorError):
            if _is_down(record):
                return


def _pressed(record: Runtime) -> bool:
    """Press the button; True when the guest is down already.  A paused guest could not react."""
    with launch.talk(record) as qmp:
        state = qmp.execute("query-status")["status"]
        if state == "shutdown":
            return True
        if state in ("paused", "prelaunch"):
            qmp.execute("cont")
        qmp.execute("system_powerdown")
    return False


def _is_down(record: Runtime) -> bool:
    """Whether a guest whose QEMU stays after the shutdown (user_shutdown) is down."""
    if not cmdline.params(record.spec)["user_shutdown"]:
        return False
    with launch.talk(record) as qmp:
        return bool(qmp.execute("query-status")["status"] == "shutdown")


def _quit(record: Runtime, own: ProcessId) -> None:
    """QEMU writes out what it holds when it quits by itself; a kill comes after it."""
    with suppress(HypervisorError), launch.talk(record, seconds=QUIT_SECONDS) as qmp:
        qmp.execute("quit")
    process.wait(own, QUIT_SECONDS)


def _end_unknown(guest: str) -> None:
    """A guest whose record is lost or damaged."""
    own = process.find(files.of(guest).pid)
    with files.held(guest):
        process.end(own)
        files.of(guest).remove()
        runtime.forget(guest)
