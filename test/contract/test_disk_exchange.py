# SPDX-License-Identifier: BSD-2-Clause
"""The disk under a running guest is exchanged: the same for the fake one and for QEMU.

The guest counts on its disk, so a disk tells how much of what the guest was told to be written is there.
"""

import fcntl
import itertools
import os
import struct
from dataclasses import replace

import pytest

from gantry.backend.tasks import Canceled
from gantry.constants import DiskTemplate
from gantry.errors import HypervisorError
from gantry.hypervisor import exchanged
from gantry.hypervisor.hv_kvm import copying, launch, nodes, runtime
from gantry.objects.instance import Disk, FileLocation
from gantry.objects.vm import VmDisk
from gantry.utils import faults
from support import tiny_guest
from support.guest_lab import DISK, GUEST, needs_qemu, quiet

SIZE = 2 << 20
MOMENTS = ["begun", "copied", "halted", "recorded", "over"]


@pytest.fixture
def other(lab):
    return other_disk(lab)


def other_disk(lab):
    path = lab.folder / "other.img"
    path.write_bytes(b"\xff" * SIZE)
    return Disk(uuid=DISK, name="", dev_type=DiskTemplate.SHAREDFILE, size=2, pci=12,
                file=FileLocation(path=str(path)))


def used(driver):
    """Path of the disk the guest uses, by its spec; QEMU must agree and have nothing left of another."""
    [disk] = driver.spec(GUEST).disks
    record = runtime.load(GUEST)
    if record is not None:
        assert record.pivot is None
        with launch.talk(record) as qmp:
            assert nodes.is_on(qmp, DISK, disk.disk.file.path)
            assert copying.jobs(qmp) == {}
            assert len([name for name in nodes.files(qmp) if name[:2] in ("d-", "f-", "u-", "l-")]) == 2
            assert qmp.execute("query-status")["status"] == "running"
    return disk.disk.file.path


def goes_on(lab, path):
    """The guest counts, on this disk, without a gap."""
    if lab.name == "kvm":
        last = lab.ticks("n1")[-1]
        lab.wait_ticks("n1", last + 2)
        ticks = lab.ticks("n1")
        assert ticks == list(range(1, ticks[-1] + 1))
        assert "ERR" not in lab.printed("n1")
        assert tiny_guest.ticks_on(path) >= last + 2


def start(lab, driver):
    driver.start(lab.spec(), lab.disks, paused=False)
    if lab.name == "kvm":
        lab.wait_ticks("n1", 1)


def test_the_guest_goes_on_with_the_other_disk_and_back(lab, other):
    with lab.on("n1") as driver:
        start(lab, driver)
        first = lab.spec().disks[0].disk
        for disk in (other, other, first, first, other):
            driver.exchange_disk(GUEST, disk, disk.file.path, progress=quiet)
            assert used(driver) == disk.file.path
            assert exchanged.known(DISK) == disk
            goes_on(lab, lab.folder / disk.file.path)
        content = lab.disk.read_bytes()[1024:]
        assert content == (lab.folder / "other.img").read_bytes()[1024:], "everything is there, not only what it wrote"
        assert driver.spec(GUEST).disks[0].disk == other


def test_a_disk_the_guest_has_not_got_is_named(lab, other):
    with lab.on("n1") as driver:
        start(lab, driver)
        uuid = DISK.replace("a", "b")
        with pytest.raises(HypervisorError, match=uuid):
            driver.exchange_disk(GUEST, replace(other, uuid=uuid), other.file.path, progress=quiet)
        assert used(driver) == str(lab.disk)


def test_cancelled_the_guest_stays_where_it_was(lab, other):
    def cancel(fraction, message):
        raise Canceled

    with lab.on("n1") as driver:
        start(lab, driver)
        with pytest.raises(Canceled):
            driver.exchange_disk(GUEST, other, other.file.path, progress=cancel)
        assert used(driver) == str(lab.disk)
        goes_on(lab, lab.disk)
        driver.exchange_disk(GUEST, other, other.file.path, progress=quiet)
        assert used(driver) == other.file.path


@pytest.mark.qemu
class TestQemu:
    """What only QEMU can show."""

    pytestmark = needs_qemu

    def test_what_is_written_meanwhile_is_on_the_new_disk(self, qemu):
        """All over the disk, through the device of the guest."""
        numbers = iter(range(1, 1 << 16))
        disk, other = qemu.folder / "large.img", qemu.folder / "large-too.img"
        for path in (disk, other):
            path.write_bytes(os.urandom(16 << 20))
        old, new = [replace(other_disk(qemu), uuid=DISK.replace("a", "b"), size=16,
                            file=FileLocation(path=str(path))) for path in (disk, other)]
        written = {}

        def write(*_):
            with launch.talk(runtime.load(GUEST)) as qmp:
                for number in itertools.islice(numbers, 20):
                    place = number * 7919 % (16 << 11) << 9
                    written[place] = number % 255 + 1
                    said = qmp.execute("human-monitor-command", command_line=(
                        f'qemu-io -d disk-{old.uuid}/virtio-backend "write -P {written[place]} {place} 512"'))
                    assert "512/512" in said or not said, said

        with qemu.on("n1") as driver:
            start(qemu, driver)
            driver.plug_disk(GUEST, VmDisk(disk=old, pci=20), str(disk), index=1)
            driver.exchange_disk(GUEST, new, str(other), progress=write)
            write()
            driver.unplug_disk(GUEST, old.uuid)
        found, before = other.read_bytes(), disk.read_bytes()
        assert {place: found[place:place + 512] for place in written} == {
            place: bytes([value]) * 512 for place, value in written.items()}
        rest = [place for place in range(0, 16 << 20, 512) if place not in written]
        assert all(found[place:place + 512] == before[place:place + 512] for place in rest)

    def test_a_disk_that_the_guest_may_only_read(self, qemu):
        places = [qemu.folder / name for name in ("read.img", "read-too.img")]
        for path, fill in zip(places, (b"\x55", b"\xff"), strict=True):
            path.write_bytes(fill * SIZE)
        old, new = [replace(other_disk(qemu), uuid=DISK.replace("a", "b"), mode="ro",
                            file=FileLocation(path=str(path))) for path in places]
        with qemu.on("n1") as driver:
            start(qemu, driver)
            driver.plug_disk(GUEST, VmDisk(disk=old, pci=20), str(places[0]), index=1)
            driver.exchange_disk(GUEST, new, str(places[1]), progress=quiet)
            assert driver.spec(GUEST).disks[1].disk == new
            assert places[1].read_bytes() == places[0].read_bytes()
            goes_on(qemu, qemu.disk)

    @pytest.mark.parametrize("moment", MOMENTS)
    @pytest.mark.parametrize("forward", [True, False])
    def test_cut_off_at_any_moment_it_can_go_on_or_back(self, qemu, moment, forward, monkeypatch):
        other = other_disk(qemu)
        first = qemu.spec().disks[0].disk
        with qemu.on("n1") as driver:
            start(qemu, driver)
            killed_at(moment, lambda: driver.exchange_disk(GUEST, other, other.file.path, progress=quiet))
            later = other if forward else first
            driver.exchange_disk(GUEST, later, later.file.path, progress=quiet)
            assert used(driver) == later.file.path
            goes_on(qemu, qemu.folder / later.file.path)

    @pytest.mark.parametrize("moment", MOMENTS)
    def test_when_the_guest_dies_with_it_the_disk_on_record_is_complete(self, qemu, moment):
        """As in a power cut; but what QEMU has not flushed is not lost here."""
        other = other_disk(qemu)
        with qemu.on("n1") as driver:
            start(qemu, driver)
            killed_at(moment, lambda: driver.exchange_disk(GUEST, other, other.file.path, progress=quiet))
            [disk] = driver.spec(GUEST).disks
            launch.process.end(runtime.load(GUEST).process)
            assert tiny_guest.ticks_on(qemu.folder / disk.disk.file.path) >= qemu.ticks("n1")[-1]
            known = exchanged.known(DISK)
            assert (known == other) == (moment in ("recorded", "over"))

    def test_a_disk_that_somebody_else_uses_is_left_alone(self, qemu):
        other = other_disk(qemu)
        with qemu.on("n1") as driver:
            start(qemu, driver)
            with (qemu.folder / "other.img").open("r+b") as file:  # as another QEMU that shares it with nobody
                fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 201, 1, 0))
                with pytest.raises(HypervisorError, match="lock"):
                    driver.exchange_disk(GUEST, other, other.file.path, progress=quiet)
            assert used(driver) == str(qemu.disk)
            goes_on(qemu, qemu.disk)


def killed_at(moment, work):
    """A process of its own that dies at a point."""
    child = os.fork()
    if child == 0:
        faults._POINT = f"exchange:{moment}"
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{moment} was not reached"
