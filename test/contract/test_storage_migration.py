# SPDX-License-Identifier: BSD-2-Clause
"""A guest moves with its disks to a node that has not got them: the same for the fake one and for QEMU."""

import os
import signal
from dataclasses import replace

import pytest

from gantry.backend.tasks import Canceled
from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import copying, files, launch, migration, nodes, process, runtime, transfer
from gantry.objects.instance import FileLocation
from support import tiny_guest
from support.guest_lab import DISK, GUEST, as_root, confined, needs_qemu, quiet, soon

SIZE = 2 << 20


class Move:
    """The same guest on both nodes, each with a disk of its own."""

    def __init__(self, lab, **hvparams):
        self.lab, self.here = lab, lab.spec(hvparams=hvparams)
        self.there = lab.folder / "there.img"
        self.there.write_bytes(b"\xff" * SIZE)
        before = self.here
        disk = replace(before.disks[0].disk, file=FileLocation(path=str(self.there)))
        self.spec = replace(before, owner_epoch=4, disks=(replace(before.disks[0], disk=disk),))
        self.way, self.target = "", None

    def start(self):
        with self.lab.on("n1") as driver:
            driver.start(self.here, self.lab.disks, paused=False)
            if self.lab.name == "kvm":
                self.lab.wait_ticks("n1", 2)

    def accept(self):
        with self.lab.on("n2") as driver:
            self.way = driver.accept(self.spec, {DISK: str(self.there)}, listen="127.0.0.2")
            self.target = driver.receive_disks(GUEST, listen="127.0.0.2")

    def mirror(self, progress=quiet):
        with self.lab.on("n1") as driver:
            driver.mirror_disks(GUEST, self.target, bandwidth=0, progress=progress)

    def send(self, progress=quiet, bandwidth=0):
        with self.lab.on("n1") as driver:
            return driver.send(GUEST, self.way, live=True, bandwidth=bandwidth, downtime=300, progress=progress)

    def finish(self):
        with self.lab.on("n2") as driver:
            assert driver.finish_target(self.spec, success=True)
        with self.lab.on("n1") as driver:
            driver.finish_source(GUEST, success=True)

    def stays(self):
        """It runs at the source on its own disk, and nothing is left of the copying."""
        lab = self.lab
        with lab.on("n1") as driver:
            assert [guest.state for guest in driver.list()] == ["running"]
            if lab.name == "kvm":
                record = runtime.load(GUEST)
                assert record.mirrored == ()
                assert not files.of(GUEST).key_folder.exists()
                with launch.talk(record) as qmp:
                    assert copying.jobs(qmp) == {}
                    assert not [name for name in nodes.files(qmp) if name.startswith("p-")]
                last = lab.ticks("n1")[-1]
                lab.wait_ticks("n1", last + 1)
                assert tiny_guest.ticks_on(lab.disk) > last

    def goes_on_there(self):
        lab = self.lab
        assert lab.leftovers("n1") == []
        with lab.on("n2") as driver:
            assert [(guest.state, guest.owner_epoch) for guest in driver.list()] == [("running", 4)]
            assert driver.spec(GUEST) == self.spec
        if lab.name == "kvm":
            last = lab.ticks("n1")[-1]
            lab.wait_ticks("n2", last + 2)
            ticks = lab.ticks("n1", "n2")
            assert ticks == list(range(1, ticks[-1] + 1)), "each tick was counted once"
            assert "ERR" not in lab.printed("n2")
            assert "UP" not in lab.printed("n2")
            assert soon(lambda: tiny_guest.ticks_on(self.there) > last)
            assert tiny_guest.ticks_on(lab.disk) <= last + 1, "nothing is written to the old disk any more"
        old, new = lab.disk.read_bytes(), self.there.read_bytes()
        assert old[:512] + old[1024:] == new[:512] + new[1024:]


@pytest.fixture
def move(lab):
    return Move(lab)


def test_the_guest_and_its_disks_move(move):
    move.start()
    move.accept()
    with move.lab.on("n2") as driver:
        assert driver.receive_disks(GUEST, listen="127.0.0.2") == move.target, "asked again, the same"
    move.mirror()
    move.mirror()
    assert move.send().status == "completed"
    assert move.send().status == "completed"
    move.finish()
    move.goes_on_there()


def test_nobody_waits_for_the_disks(move):
    move.start()
    move.accept()
    with move.lab.on("n2") as driver:
        driver.finish_target(move.spec, success=False)
    with pytest.raises(HypervisorError):
        move.mirror()
    move.stays()
    assert move.lab.leftovers("n2") == []


def test_a_migration_that_is_undone_leaves_the_guest_on_its_disk(move):
    move.start()
    move.accept()
    move.mirror()
    for _ in range(2):
        with move.lab.on("n1") as driver:
            driver.finish_source(GUEST, success=False)
        with move.lab.on("n2") as driver:
            assert not driver.finish_target(move.spec, success=False)
    move.stays()
    move.accept()
    move.mirror()
    move.send()
    move.finish()
    move.goes_on_there()


@pytest.mark.qemu
class TestQemu:
    """What only QEMU can show."""

    pytestmark = needs_qemu

    def test_nothing_is_left_open_on_the_target(self, qemu):
        move = Move(qemu)
        move.start()
        move.accept()
        with qemu.on("n2"):
            assert files.of(GUEST).key_folder.exists()
        move.mirror()
        move.send()
        move.finish()
        with qemu.on("n2"):
            assert not files.of(GUEST).key_folder.exists()
            assert runtime.load(GUEST).inbox is None
            with launch.talk(runtime.load(GUEST)) as qmp:
                assert qmp.execute("query-block-exports") == []
                assert not [name for name in nodes.files(qmp) if name.startswith(("n-", "i-"))]
                assert "disks-tls" not in [item["name"] for item in qmp.execute("qom-list", path="/objects")]

    @pytest.mark.parametrize("preallocation", ["off", "falloc"])
    def test_what_is_empty_takes_room_where_that_is_wanted(self, qemu, preallocation):
        move = Move(qemu)
        [item] = move.spec.disks
        disk = replace(item.disk, params={"preallocation": preallocation})
        move.spec = replace(move.spec, disks=(replace(item, disk=disk),))
        move.start()
        move.accept()
        move.mirror()
        assert (move.there.stat().st_blocks * 512 >= SIZE) == (preallocation == "falloc")

    def test_without_the_key_nobody_writes(self, qemu):
        move = Move(qemu)
        move.start()
        move.accept()
        move.target = replace(move.target, key="00" * 32)
        with pytest.raises(HypervisorError):
            move.mirror()
        move.stays()
        assert move.there.read_bytes() == b"\xff" * SIZE

    def test_cancelled_while_copying(self, qemu):
        def cancel(fraction, message):
            raise Canceled

        move = Move(qemu)
        move.start()
        move.accept()
        with pytest.raises(Canceled):
            move.mirror(cancel)
        move.stays()
        move.mirror()
        with pytest.raises(Canceled):
            move.send(cancel, bandwidth=1)
        move.stays()

    def test_the_target_dies_when_the_disks_are_alike(self, qemu):
        move = Move(qemu)
        move.start()
        move.accept()
        move.mirror()
        with qemu.on("n2"):
            process.end(runtime.load(GUEST).process)
        qemu.wait_ticks("n1", qemu.ticks("n1")[-1] + 1)
        with pytest.raises(HypervisorError, match="could not be copied"):
            move.send()
        with qemu.on("n1") as driver:
            driver.finish_source(GUEST, success=False)
        move.stays()

    def test_a_target_that_does_not_react_is_given_up(self, qemu, monkeypatch):
        """The guest's writes wait for it."""
        monkeypatch.setattr(copying, "STALL_SECONDS", 1.0)
        move = Move(qemu)
        move.start()
        move.accept()
        with qemu.on("n2"):
            there = runtime.load(GUEST).process.pid

        def stopped_before(*args, **kwargs):
            os.kill(there, signal.SIGSTOP)
            real(*args, **kwargs)

        real = copying.begin
        monkeypatch.setattr(copying, "begin", stopped_before)
        try:
            with pytest.raises(HypervisorError, match="no progress"):
                move.mirror()
            move.stays()
        finally:
            os.kill(there, signal.SIGCONT)

    def test_a_disk_that_is_not_alike_keeps_the_guest_here(self, qemu, monkeypatch):
        """The copying ends at the worst moment: the guest has stopped to be handed over."""
        move = Move(qemu)
        move.start()
        move.accept()
        move.mirror()

        def broken(qmp, record):
            copying.abandon(qmp, transfer._peer(DISK))
            real(qmp, record)

        real = transfer.hand_over
        monkeypatch.setattr(transfer, "hand_over", broken)
        with pytest.raises(HypervisorError, match="could not be copied"):
            move.send()
        move.stays()

    def test_a_sender_that_was_killed_is_followed_by_another(self, qemu, monkeypatch):
        """It stands still for its hand-over, nobody carries that out; the next one does."""
        move = Move(qemu)
        move.start()
        move.accept()
        move.mirror()
        with qemu.on("n1"):
            record = runtime.load(GUEST)
            with launch.talk(record) as qmp:
                migration._begin(qmp, record, move.way, migration.Limits(live=True, bandwidth=0, downtime=300))

            def switches():
                with launch.talk(record) as qmp:
                    return qmp.execute("query-migrate").get("status") == "pre-switchover"
            assert soon(switches)
        assert move.send().status == "completed"
        move.finish()
        move.goes_on_there()

    def test_a_sender_that_was_killed_is_undone(self, qemu):
        move = Move(qemu)
        move.start()
        move.accept()
        move.mirror()
        with qemu.on("n1") as driver:
            record = runtime.load(GUEST)
            with launch.talk(record) as qmp:
                migration._begin(qmp, record, move.way, migration.Limits(live=True, bandwidth=0, downtime=300))
            driver.finish_source(GUEST, success=False)
        move.stays()

    @pytest.mark.root
    @as_root
    @confined
    def test_a_confined_guest_moves(self, qemu, hvparams):
        move = Move(qemu, **hvparams)
        for disk in (qemu.disk, move.there):
            disk.chmod(0o600)
        move.start()
        move.accept()
        move.mirror()
        move.send()
        move.finish()
        move.goes_on_there()
