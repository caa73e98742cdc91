# SPDX-License-Identifier: BSD-2-Clause
"""The driver for QEMU with KVM, or with software emulation where KVM does not work."""

import builtins
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.errors import ConfigurationError, Error, HypervisorError
from gantry.hypervisor.base import Hypervisor, Progress
from gantry.hypervisor.hv_kvm import (
    cmdline,
    console,
    exchange,
    files,
    hostfacts,
    hotplug,
    launch,
    migration,
    plugnic,
    process,
    runtime,
    security,
    status,
    stopping,
    transfer,
)
from gantry.hypervisor.hv_kvm.runtime import Phase, Runtime
from gantry.net import base as net
from gantry.objects.base import Params
from gantry.objects.hvparams import DEFAULTS, check, check_merged
from gantry.objects.instance import Disk
from gantry.objects.vm import (
    Console,
    DeviceChange,
    DiskTarget,
    MigrationStatus,
    MigrationTarget,
    VmDisk,
    VmNic,
    VmSpec,
    VmStatus,
)

_log = logging.getLogger(__name__)
_FILES = ("kernel_path", "initrd_path", "cdrom_image_path", "cdrom2_image_path", "floppy_image_path", "mem_path",
          "vnc_x509_path", "vnc_password_file", "spice_password_file")

FIRMWARE_SECONDS = 3.0
"""Within this time the PC firmware resets the machine once more after a reset."""


class Kvm(Hypervisor, name="kvm"):
    """Guests are processes of their own: this object has no state, and no guest needs the daemon."""

    def list(self) -> builtins.list[VmStatus]:
        return status.everything()

    def spec(self, guest: str) -> VmSpec | None:
        record = runtime.load(guest)
        return record.spec if record else None

    def dead(self) -> builtins.list[str]:
        found = []
        for guest in runtime.known():
            with suppress(ConfigurationError):
                record = runtime.load(guest)
                if record is not None and record.phase is not Phase.USER_DOWN and launch.find(record) is None:
                    found.append(guest)
        return found

    def start(self, spec: VmSpec, disks: dict[str, str], *, paused: bool) -> VmStatus:
        with files.held(spec.uuid):
            record = self._settled(spec)
            if record is None:
                record = launch.begin(launch.launch(spec, disks, incoming=False), paused=paused)
        own = launch.find(record)
        found = status.report(record, own)
        if found is None:
            said = files.of(spec.uuid).said()
            launch.clear(record)
            raise HypervisorError(detail=f"guest {spec.name} ended right after its start: {said or 'no reason given'}")
        return found

    def stop(self, guest: str, *, seconds: float, progress: Progress) -> None:
        stopping.stop(guest, seconds=seconds, progress=progress)

    def reset(self, guest: str) -> None:
        record = self._running(guest)
        exits = cmdline.params(record.spec)["reboot_behavior"] == "exit"
        with launch.talk(record) as qmp:
            if exits:  # a reboot by the operator is none by the guest
                qmp.execute("set-action", reboot="reset")
            qmp.execute("system_reset")
            qmp.wait_event("RESET", seconds=5)
            if exits:
                qmp.wait_event("RESET", seconds=FIRMWARE_SECONDS, reason="guest-reset")
                qmp.wait_event("RESET", seconds=0.2, reason="none")
                qmp.execute("set-action", reboot="shutdown")
            if qmp.execute("query-status")["status"] in ("shutdown", "guest-panicked", "internal-error"):
                qmp.execute("cont")

    def pause(self, guest: str, *, paused: bool) -> None:
        record = self._running(guest)
        with launch.talk(record) as qmp:
            qmp.execute("stop" if paused else "cont")

    def balloon(self, guest: str, *, memory: int) -> None:
        record = self._running(guest)
        if not 0 < memory <= record.spec.memory:
            raise HypervisorError(detail=f"guest {record.spec.name} was started with {record.spec.memory} MiB, it "
                                         f"cannot have {memory} MiB now; more needs a restart")
        with launch.talk(record) as qmp:
            qmp.execute("balloon", value=memory << 20)

    def console(self, guest: str, *, name: str, host: str) -> Console:
        return console.console(self._running(guest).spec, name=name, host=host)

    def accept(self, spec: VmSpec, disks: dict[str, str], *, listen: str) -> MigrationTarget:
        with files.held(spec.uuid):
            record = self._settled(spec, incoming=True)
            if record is not None and not record.uri:
                raise HypervisorError(detail=f"guest {spec.name} runs on this node already")
            if record is None:
                record = migration.listen(spec, disks, listen)
        return MigrationTarget(uri=record.uri, key=record.key)

    def receive_disks(self, guest: str, *, listen: str) -> DiskTarget:
        with files.held(guest):
            record = self._running(guest)
            if record.phase is not Phase.INCOMING:
                raise HypervisorError(detail=f"guest {record.spec.name} runs on this node already")
            return transfer.receive(record, listen)

    def mirror_disks(self, guest: str, target: DiskTarget, *, bandwidth: int, progress: Progress) -> None:
        transfer.mirror(self._running(guest), target, bandwidth=bandwidth, progress=progress)

    def send(self, guest: str, target: MigrationTarget, *, live: bool, bandwidth: int, downtime: int,
             progress: Progress) -> MigrationStatus:
        limits = migration.Limits(live=live, bandwidth=bandwidth, downtime=downtime)
        return migration.send(self._running(guest), target, limits, progress)

    def finish_target(self, spec: VmSpec, *, success: bool) -> bool:
        record = runtime.load(spec.uuid)
        if record is None or record.phase is Phase.USER_DOWN or launch.find(record) is None:
            if record is not None and record.phase is not Phase.USER_DOWN:
                self._clear(record)
            return False
        if not success:
            if migration.arrived(record):
                return True  # asked too late: it runs here and nowhere else
            self._clear(record)
            return False
        if not migration.arrived(record):
            return False
        if record.phase is Phase.INCOMING:
            self._finish_nics(record)
            migration.settled(replace(transfer.close_inbox(record), process=launch.find(record)))
        return True

    def finish_source(self, guest: str, *, success: bool) -> None:
        record = runtime.load(guest)
        if record is None:
            return
        if success or launch.find(record) is None:
            self._clear(record)
        else:
            migration.resume(record)

    # --- devices of a guest that runs ---

    def present(self, guest: str) -> VmSpec | None:
        record = runtime.load(guest)
        if record is None or record.phase is not Phase.RUNNING or launch.find(record) is None:
            return record.spec if record else None
        with self._changing(guest) as record:
            return record.spec

    def obstacle(self, guest: str, change: DeviceChange) -> str:
        try:
            with self._changing(guest) as record:
                return hotplug.obstacle(record, change)
        except HypervisorError as err:
            return str(err)

    def plug_disk(self, guest: str, disk: VmDisk, path: str, *, index: int) -> None:
        with self._changing(guest) as record:
            hotplug.plug_disk(record, disk, path, index=index)

    def unplug_disk(self, guest: str, uuid: str) -> None:
        if self._runs(guest):
            with self._changing(guest) as record:
                hotplug.unplug_disk(record, uuid)

    def plug_nic(self, guest: str, nic: VmNic, *, index: int) -> None:
        with self._changing(guest) as record:
            plugnic.plug(record, nic, index=index)

    def unplug_nic(self, guest: str, uuid: str) -> None:
        if self._runs(guest):
            with self._changing(guest) as record:
                plugnic.unplug(record, uuid)

    def resize_disk(self, guest: str, uuid: str, *, size: int) -> None:
        if self._runs(guest):
            with self._changing(guest) as record:
                hotplug.resize_disk(record, uuid, size)

    def exchange_disk(self, guest: str, new: Disk, path: str, *, progress: Progress) -> None:
        exchange.exchange(self._running(guest), new, path, progress)

    def validate(self, hvparams: dict[str, Any]) -> None:
        hv = DEFAULTS["kvm"] | check("kvm", hvparams)
        check_merged("kvm", hv)
        facts = hostfacts.gather(hv["kvm_path"], kvm=hv["kvm_flag"] != "disabled", again=hv["kvm_flag"] == "enabled")
        hostfacts.machine(hv["machine_version"], "", facts)
        cmdline.accelerator(hv, works=bool(facts.kvm))
        if hv["spice_bind"] and not facts.spice:
            raise HypervisorError(detail="spice_bind: the emulator of this node has no SPICE; install "
                                         "qemu-system-modules-spice")
        for name in _FILES:
            if hv[name] and "://" not in hv[name] and not Path(hv[name]).exists():
                raise HypervisorError(detail=f"{name}: {hv[name]} does not exist on this node")
        if hv["security_model"] == "user":
            security.user(hv["security_domain"])
        if hv["security_model"] != "none" and os.geteuid() != 0:
            security.run_as(hv, taken=())

    def verify(self) -> builtins.list[str]:
        """KVM that does not work is a problem where the cluster insists on it; else guests are emulated."""
        problems = []
        hv = _cluster_params()
        try:
            facts = hostfacts.gather(hv["kvm_path"], kvm=hv["kvm_flag"] == "enabled")
            cmdline.accelerator(hv, works=bool(facts.kvm))
        except Error as err:
            problems.append(str(err))
        for guest in runtime.known():
            try:
                runtime.load(guest)
            except ConfigurationError as err:
                problems.append(f"the record of a guest is damaged: {err}; stop and start that instance")
        return problems

    # --- what several of them need ---

    def _settled(self, spec: VmSpec, *, incoming: bool = False) -> Runtime | None:
        """The guest's record if it runs here or waits for a migration; other leftovers are cleared away.

        The caller holds the guest.  Raises HypervisorError when it runs here for a newer owner.
        """
        try:
            record = runtime.load(spec.uuid)
        except ConfigurationError as err:
            if process.find(files.of(spec.uuid).pid) is not None:
                raise HypervisorError(detail=f"guest {spec.name} runs here, but its record is damaged ({err}); "
                                             "shut it down first") from err
            _log.warning("guest %s: a damaged record is replaced: %s", spec.name, err)
            runtime.forget(spec.uuid)
            return None
        own = launch.find(record) if record else process.find(files.of(spec.uuid).pid)
        if process.dying(own):  # no list has it any more, but its disks may still be open
            process.end(own)
            own = None
        if record is None:
            if own is not None:
                raise HypervisorError(detail=f"guest {spec.name} runs here, but its record is lost; shut it down first")
            return None
        if own is None or (record.phase is Phase.STARTING and not _began(record)):
            launch.clear(record)
            return None
        _not_older(record, spec)
        if record.phase is not Phase.INCOMING:
            return migration.settled(replace(record, process=own, spec=_owned(record, spec)))
        if incoming and (not record.uri or record.spec.owner_epoch < spec.owner_epoch):  # of an earlier attempt
            launch.clear(record)
            return None
        if not incoming and not migration.arrived(record):
            raise HypervisorError(detail=f"guest {spec.name} is about to arrive here by migration; "
                                         "end the migration first")
        return record

    def _runs(self, guest: str) -> bool:
        record = runtime.load(guest)
        return record is not None and launch.find(record) is not None

    @contextmanager
    def _changing(self, guest: str) -> Iterator[Runtime]:
        """Hold a guest that runs; its record, with the devices it really has."""
        with files.held(guest):
            yield hotplug.settled(self._running(guest), plugnic.drop)

    def _running(self, guest: str) -> Runtime:
        record = runtime.load(guest)
        if record is None or launch.find(record) is None:
            raise HypervisorError(detail=f"guest {record.spec.name if record else guest} does not run on this node")
        return record

    def _clear(self, record: Runtime) -> None:
        with files.held(record.spec.uuid):
            launch.clear(record)

    def _finish_nics(self, record: Runtime) -> None:
        for index, nic in enumerate(record.spec.nics):
            try:
                net.load().finish(record.spec, nic, index, record.taps.get(nic.uuid, ""))
            except Error as err:
                _log.warning("guest %s: NIC %d is not configured after the migration: %s", record.spec.name, index,
                             err)


def _cluster_params() -> Params:
    """The cluster's parameters as this node was told; those it was not told at their defaults."""
    try:
        lines = paths.here().ssconf("hvparams_kvm").read_text().splitlines()
    except OSError:
        lines = []
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    known = {name: value for name, value in told.items() if name in ("kvm_path", "kvm_flag")}
    return DEFAULTS["kvm"] | known


def _not_older(record: Runtime, spec: VmSpec) -> None:
    theirs, ours = record.spec.owner_epoch, spec.owner_epoch
    if ours < theirs:
        raise HypervisorError(detail=f"guest {spec.name} runs here for the owner of epoch {theirs}, this call is of "
                                     f"epoch {ours}; it is out of date")


def _owned(record: Runtime, spec: VmSpec) -> VmSpec:
    """What the guest was started with, for the owner of now: a migration that was undone leaves a newer epoch."""
    return replace(record.spec, owner_epoch=spec.owner_epoch)


def _began(record: Runtime) -> bool:
    """Whether a start that was cut off had come as far as the guest's first instruction."""
    with suppress(HypervisorError), launch.talk(record) as qmp:
        return bool(qmp.execute("query-status")["status"] != "prelaunch")
    return False
