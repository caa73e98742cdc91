# SPDX-License-Identifier: BSD-2-Clause
"""What every hypervisor must do: the same tests for the fake one and for QEMU with a guest of 512 bytes."""

import json
import os
import signal
from dataclasses import replace

import pytest

from gantry import paths
from gantry.backend.tasks import Canceled
from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import files, process, runtime
from gantry.objects.vm import MigrationTarget
from gantry.utils import command
from support import tiny_guest
from support.guest_lab import DISK, GUEST, needs_qemu, quiet, soon, type_in

# --- starting ---


def test_a_started_guest_is_listed(lab):
    with lab.on("n1") as driver:
        status = driver.start(lab.spec(), lab.disks, paused=False)
        assert (status.state, status.name, status.owner_epoch) == ("running", "web1.example.org", 3)
        assert status.machine
        assert [item.uuid for item in driver.list()] == [GUEST]
        assert driver.list()[0].memory == 32
        assert driver.spec(GUEST) == lab.spec()
    with lab.on("n2") as driver:
        assert driver.list() == []
        assert driver.spec(GUEST) is None


def test_starting_twice_starts_once(lab):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        before = runtime.load(GUEST)
        driver.start(lab.spec(), lab.disks, paused=False)
        assert runtime.load(GUEST) == before
        assert len(driver.list()) == 1


def test_an_older_owner_is_refused_and_a_newer_one_recorded(lab):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        with pytest.raises(HypervisorError, match=r"epoch 3.*epoch 2"):
            driver.start(lab.spec(owner_epoch=2), lab.disks, paused=False)
        assert driver.start(lab.spec(owner_epoch=4), lab.disks, paused=False).owner_epoch == 4
        assert driver.list()[0].owner_epoch == 4


def test_a_missing_disk_is_named_and_nothing_is_left(lab):
    with lab.on("n1") as driver:
        lab.disk.unlink()
        with pytest.raises(HypervisorError, match=DISK):
            driver.start(lab.spec(), lab.disks, paused=False)
        assert driver.list() == []
        assert lab.leftovers("n1") == []


def test_a_paused_start_can_be_continued(lab):
    with lab.on("n1") as driver:
        assert driver.start(lab.spec(), lab.disks, paused=True).state == "paused"
        driver.pause(GUEST, paused=False)
        assert driver.list()[0].state == "running"
        driver.pause(GUEST, paused=True)
        assert driver.list()[0].state == "paused"


# --- stopping and the rest of a guest's life ---


@pytest.mark.parametrize("seconds", [0, 30])
def test_stopping_leaves_nothing_and_may_be_repeated(lab, seconds):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        if lab.name == "kvm":
            lab.wait_ticks("n1")
        driver.stop(GUEST, seconds=seconds, progress=quiet)
        assert driver.list() == []
        driver.stop(GUEST, seconds=seconds, progress=quiet)
        assert lab.leftovers("n1") == []
        assert lab.name == "fake" or ("BYE" in lab.printed("n1")) == bool(seconds)


def test_asking_a_guest_that_does_not_run_says_so(lab):
    with lab.on("n1") as driver:
        for action in (lambda: driver.reset(GUEST), lambda: driver.pause(GUEST, paused=True),
                       lambda: driver.balloon(GUEST, memory=16),
                       lambda: driver.console(GUEST, name="web1", host="n1")):
            with pytest.raises(HypervisorError, match="does not run"):
                action()


def test_the_balloon_has_bounds(lab):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        driver.balloon(GUEST, memory=32)
        with pytest.raises(HypervisorError, match="33 MiB"):
            driver.balloon(GUEST, memory=33)


# --- migration ---


def test_migration_moves_the_guest(lab):
    seen = []
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        if lab.name == "kvm":
            lab.wait_ticks("n1", 3)
    with lab.on("n2") as driver:
        uri = driver.accept(lab.spec(owner_epoch=4), lab.disks, listen="127.0.0.2")
        assert driver.accept(lab.spec(owner_epoch=4), lab.disks, listen="127.0.0.2") == uri
        assert driver.list() == []
    with lab.on("n1") as driver:
        done = driver.send(GUEST, uri, live=True, bandwidth=0, downtime=300,
                           progress=lambda fraction, message: seen.append((fraction, message)))
        assert done.status == "completed"
        assert done.downtime_ms is not None
        assert done.transferred > 0
        assert driver.send(GUEST, uri, live=True, bandwidth=0, downtime=300, progress=quiet).status == "completed"
        assert driver.list() == []
    with lab.on("n2") as driver:
        assert driver.finish_target(lab.spec(owner_epoch=4), success=True)
        assert driver.finish_target(lab.spec(owner_epoch=4), success=True)
        assert [(item.state, item.owner_epoch) for item in driver.list()] == [("running", 4)]
    with lab.on("n1") as driver:
        driver.finish_source(GUEST, success=True)
        driver.finish_source(GUEST, success=True)
    assert lab.leftovers("n1") == []
    assert any("memory transfer progress" in message for _, message in seen)
    if lab.name == "kvm":
        last = lab.ticks("n1")[-1]
        lab.wait_ticks("n2", last)
        assert "UP" not in lab.printed("n2"), "it was not booted again"
        ticks = lab.ticks("n1", "n2")
        assert ticks == list(range(1, ticks[-1] + 1)), "each tick was counted once"


def test_a_migration_to_nowhere_leaves_the_guest_running(lab):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        with pytest.raises(HypervisorError, match="runs on here"):
            driver.send(GUEST, MigrationTarget(uri="tcp:127.0.0.1:9", key="0" * 64), live=True, bandwidth=0,
                        downtime=300, progress=quiet)
        driver.finish_source(GUEST, success=False)
        assert driver.list()[0].state == "running"


def test_a_migration_cancelled_too_late_is_complete(lab):
    """Whoever cancels is told that the guest has gone, or that it has not: never both."""
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
    with lab.on("n2") as driver:
        uri = driver.accept(lab.spec(owner_epoch=4), lab.disks, listen="127.0.0.2")

    def cancel(fraction, message):
        with lab.on("n2") as there:
            if there.list():
                raise Canceled

    with lab.on("n1") as driver:
        assert driver.send(GUEST, uri, live=True, bandwidth=0, downtime=300, progress=cancel).status == "completed"
        driver.finish_source(GUEST, success=True)


def test_a_guest_that_has_gone_over_does_not_go_on_with_what_it_knew_before(lab):
    """What came back may be asked for late; by then the other node may have written to the disks."""
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
    with lab.on("n2") as driver:
        uri = driver.accept(lab.spec(owner_epoch=4), lab.disks, listen="127.0.0.2")
    with lab.on("n1") as driver:
        driver.send(GUEST, uri, live=True, bandwidth=0, downtime=300, progress=quiet)
        with pytest.raises(HypervisorError, match="has gone over to the other node"):
            driver.finish_source(GUEST, success=False)
        assert driver.list() == []
    with lab.on("n2") as driver:
        assert driver.finish_target(lab.spec(owner_epoch=4), success=False), "a guest that has come in is not ended"
        assert [item.state for item in driver.list()] == ["running"]


def test_an_ended_target_gives_no_guest(lab):
    with lab.on("n2") as driver:
        driver.accept(lab.spec(), lab.disks, listen="127.0.0.2")
        assert not driver.finish_target(lab.spec(), success=False)
        assert not driver.finish_target(lab.spec(), success=True)
        assert driver.list() == []
    assert lab.leftovers("n2") == []


def test_a_target_left_over_from_an_older_attempt_is_replaced(lab):
    with lab.on("n2") as driver:
        driver.accept(lab.spec(owner_epoch=4), lab.disks, listen="127.0.0.2")
        assert driver.accept(lab.spec(owner_epoch=5), lab.disks, listen="127.0.0.2")
        assert driver.spec(GUEST).owner_epoch == 5
        with pytest.raises(HypervisorError, match="about to arrive"):
            driver.start(lab.spec(owner_epoch=5), lab.disks, paused=False)


# --- what only QEMU can show ---


@pytest.mark.qemu
class TestQemu:
    """Real processes."""

    pytestmark = needs_qemu

    def test_the_machine_is_pinned_by_its_versioned_name(self, qemu):
        with qemu.on("n1") as driver:
            for wanted, start in (("", "pc-i440fx-"), ("q35", "pc-q35-")):
                status = driver.start(qemu.spec(hvparams={"machine_version": wanted}), qemu.disks, paused=True)
                assert status.machine.startswith(start)
                assert status.machine[-1].isdigit()
                driver.stop(GUEST, seconds=0, progress=quiet)

    def test_a_q35_guest_finds_its_disk(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(memory=64, hvparams={"machine_version": "q35"}), qemu.disks, paused=False)
            qemu.wait_ticks("n1", 2)
            driver.stop(GUEST, seconds=30, progress=quiet)
        assert "BYE" in qemu.printed("n1")

    def test_a_reset_is_in_place_and_data_stay(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(hvparams={"reboot_behavior": "exit"}), qemu.disks, paused=False)
            qemu.wait_ticks("n1", 2)
            before = runtime.load(GUEST).process
            driver.reset(GUEST)
            assert soon(lambda: qemu.printed("n1").count("UP ") == 2)
            assert runtime.load(GUEST).process == before
            assert driver.list()[0].state == "running"
        assert tiny_guest.ticks_on(qemu.disk) >= 2

    def test_a_guest_that_reboots_may_be_ended(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(hvparams={"reboot_behavior": "exit"}), qemu.disks, paused=False)
            qemu.wait_ticks("n1")
            type_in(b"r")
            assert soon(lambda: driver.list() == [])

    def test_a_killed_qemu_is_noticed_and_can_be_started_again(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            qemu.wait_ticks("n1", 2)
            own = runtime.load(GUEST).process
            os.kill(own.pid, signal.SIGKILL)
            assert soon(lambda: driver.list() == [])
            driver.start(qemu.spec(owner_epoch=4), qemu.disks, paused=False)
            qemu.wait_ticks("n1", 2)
            assert "UP 00000000" not in qemu.printed("n1"), "its data are there"

    def test_a_qemu_that_is_still_ending_is_waited_for(self, qemu, monkeypatch):
        """The kernel shows no command line any more once it frees the memory of a killed process."""
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            own = runtime.load(GUEST).process
            really = process.arguments
            monkeypatch.setattr(process, "arguments", lambda pid: [] if pid == own.pid else really(pid))
            assert driver.list() == []
            driver.start(qemu.spec(owner_epoch=4), qemu.disks, paused=False)
            assert not process.lives(own)
            assert driver.list()[0].owner_epoch == 4

    def test_a_reused_process_number_is_no_guest(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            record = runtime.load(GUEST)
            process.end(record.process)
            ours = process.identify(os.getpid())
            runtime.save(replace(record, process=replace(record.process, pid=ours.pid)))
            assert driver.list() == []
            driver.stop(GUEST, seconds=0, progress=quiet)
        assert process.lives(ours)

    def test_a_start_that_was_cut_off_is_done_again(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=True)
            first = runtime.load(GUEST)
            runtime.save(replace(first, phase=runtime.Phase.STARTING, process=None))
            assert driver.list() == []
            driver.start(qemu.spec(), qemu.disks, paused=False)
            assert not process.lives(first.process)
            assert [file for _, file in process.started()].count(str(files.of(GUEST).pid)) == 1

    def test_bad_input_is_a_sentence_and_leaves_nothing(self, qemu):
        cases = [({"kernel_path": "/no/such/kernel"}, "/no/such/kernel"), ({"kvm_path": "/no/qemu"}, "/no/qemu"),
                 ({"kvm_path": "/bin/true"}, "no QEMU"), ({"machine_version": "pc-q35-99"}, "pc-q35-99"),
                 ({"kvm_extra": "-no-such-option"}, "no-such-option"), ({"cpu_mask": "900"}, "cpu_mask 900"),
                 ({"cpu_type": "Nonsense"}, "Nonsense")]
        with qemu.on("n1") as driver:
            for hvparams, named in cases:
                with pytest.raises(HypervisorError, match=named):
                    driver.start(qemu.spec(hvparams=hvparams), qemu.disks, paused=False)
                assert qemu.leftovers("n1") == [], hvparams
                assert driver.list() == []

    def test_two_guests_cannot_have_one_disk(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            with pytest.raises(HypervisorError, match="lock"):
                driver.start(qemu.spec(uuid=GUEST.replace("1", "2"), name="web2"), qemu.disks, paused=False)
            assert [item.uuid for item in driver.list()] == [GUEST]

    def test_a_damaged_record_does_not_hide_a_guest(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            (paths.here().vm_specs / f"{GUEST}.json").write_text("{ half")
            found = driver.list()
            assert [(item.uuid, item.name, item.memory, item.state) for item in found] == [
                (GUEST, "web1.example.org", 32, "running")]
            assert any("damaged" in sentence for sentence in driver.verify())
            with pytest.raises(HypervisorError, match="damaged"):
                driver.start(qemu.spec(), qemu.disks, paused=False)
            driver.stop(GUEST, seconds=0, progress=quiet)
            assert driver.list() == []
            (paths.here().vm_specs / f"{GUEST}.json").write_text("{ half")
            driver.start(qemu.spec(), qemu.disks, paused=False)

    def test_the_record_holds_the_spec_and_no_command_line(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=True)
            text = (paths.here().vm_specs / f"{GUEST}.json").read_text()
        assert json.loads(text)["spec"]["name"] == "web1.example.org"
        assert "-device" not in text

    def test_the_console_shows_what_was_and_takes_keys(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            qemu.wait_ticks("n1", 1)
            console = driver.console(GUEST, name="web1", host="n1.example.org")
            assert (console.kind, console.host) == ("ssh", "n1.example.org")
            shown = command.run(list(console.command), seconds=20, stdin=b"\x1d")
            assert "UP 00000000" in shown.stdout
            command.run(list(console.command), seconds=20, stdin=b"p")
            assert soon(lambda: driver.list() == [])

    def test_a_shutdown_by_the_guest_is_told_from_a_crash(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(hvparams={"user_shutdown": True}), qemu.disks, paused=False)
            qemu.wait_ticks("n1")
            type_in(b"p")
            assert soon(lambda: [item.state for item in driver.list()] == ["user_down"])
            assert soon(lambda: process.find(files.of(GUEST).pid) is None), "its memory is free"
            assert [item.state for item in driver.list()] == ["user_down"]
            assert driver.start(qemu.spec(), qemu.disks, paused=False).state == "running"
            driver.stop(GUEST, seconds=30, progress=quiet)
            assert driver.list() == []

    def test_a_guest_that_does_not_listen_is_killed_in_the_end(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(memory=16, disks=()), {}, paused=False)
            driver.stop(GUEST, seconds=1, progress=quiet)
            assert driver.list() == []

    def test_waiting_for_a_shutdown_can_be_canceled(self, qemu):
        def cancel(fraction: float, message: str) -> None:
            raise Canceled
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(disks=()), {}, paused=False)
            with pytest.raises(Canceled):
                driver.stop(GUEST, seconds=30, progress=cancel)
            assert driver.list()[0].state == "running"

    def test_canceling_a_migration_leaves_the_guest_running(self, qemu):
        def cancel(fraction: float, message: str) -> None:
            raise Canceled
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(memory=64), qemu.disks, paused=False)
            qemu.wait_ticks("n1")
        with qemu.on("n2") as driver:
            uri = driver.accept(qemu.spec(memory=64), qemu.disks, listen="127.0.0.1")
        with qemu.on("n1") as driver:
            with pytest.raises(Canceled):
                driver.send(GUEST, uri, live=True, bandwidth=1, downtime=1, progress=cancel)
            assert driver.list()[0].state == "running"
            qemu.wait_ticks("n1", qemu.ticks("n1")[-1])
        with qemu.on("n2") as driver:
            assert not driver.finish_target(qemu.spec(memory=64), success=True)
            assert not driver.finish_target(qemu.spec(memory=64), success=False)

    def test_a_target_that_does_not_take_what_was_sent_gives_the_guest_back(self, qemu):
        """All of it fits into the connection: the source is done with sending before the target looks at it."""
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            qemu.wait_ticks("n1")
        with qemu.on("n2") as driver:
            other = qemu.spec(nics=())  # it has not got all the devices
            target = driver.accept(other, qemu.disks, listen="127.0.0.1")
        with qemu.on("n1") as driver:
            with pytest.raises(HypervisorError, match="migration failed, it runs on here"):
                driver.send(GUEST, target, live=True, bandwidth=0, downtime=300, progress=quiet)
            assert driver.list()[0].state == "running"
            qemu.wait_ticks("n1", qemu.ticks("n1")[-1])
        with qemu.on("n2") as driver:
            assert not driver.finish_target(other, success=False)

    def test_nobody_comes_in_without_the_key(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            qemu.wait_ticks("n1")
        with qemu.on("n2") as driver:
            target = driver.accept(qemu.spec(), qemu.disks, listen="127.0.0.1")
        with qemu.on("n1") as driver:
            with pytest.raises(HypervisorError, match="runs on here"):
                driver.send(GUEST, replace(target, key="0" * 64), live=False, bandwidth=0, downtime=1, progress=quiet)
            qemu.wait_ticks("n1", qemu.ticks("n1")[-1])
        with qemu.on("n2") as driver:
            assert not driver.finish_target(qemu.spec(), success=False)
            assert not list(paths.here().kvm.glob("key/*")), "the key is gone with it"

    def test_two_guests_arrive_at_once(self, qemu):
        other = replace(qemu.spec(), uuid=GUEST.replace("1", "2"), name="web2", disks=())
        with qemu.on("n2") as driver:
            uris = {driver.accept(qemu.spec(), qemu.disks, listen="127.0.0.1"),
                    driver.accept(other, {}, listen="127.0.0.1")}
            assert len(uris) == 2
