# SPDX-License-Identifier: BSD-2-Clause
"""Devices that come and go while a guest runs: the same for the fake one and for QEMU."""

from dataclasses import replace

import pytest

from gantry.constants import DiskTemplate
from gantry.errors import HypervisorError
from gantry.hypervisor.hv_kvm import hotplug, launch, nodes, runtime
from gantry.objects.instance import Disk, FileLocation
from gantry.objects.vm import DeviceChange, VmDisk, VmNic
from support import tiny_guest
from support.guest_lab import DISK, GUEST, as_root, confined, needs_qemu, quiet, soon

SECOND = "bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee"
NIC = VmNic(uuid="88888888-0000-4000-8000-000000000000", mac="aa:00:00:01:02:04", mode="bridged", link="br0", pci=15)


@pytest.fixture
def second(lab):
    return second_disk(lab)


def second_disk(lab, pci=14, size=3):
    path = lab.folder / "second.img"
    path.write_bytes(bytes(size << 20))
    disk = Disk(uuid=SECOND, name="", dev_type=DiskTemplate.SHAREDFILE, size=size, pci=pci,
                file=FileLocation(path=str(path)))
    return VmDisk(disk=disk, pci=pci)


def path_of(disk):
    return disk.disk.file.path


def seen_by_qemu():
    """(ids of disks and NICs, block nodes of disks)."""
    with launch.talk(runtime.load(GUEST)) as qmp:
        return ({name for name in hotplug.plugged(qmp) if name.startswith(("disk-", "nic-"))},
                {name for name in nodes.files(qmp) if not name.startswith("#")})


def test_a_disk_comes_and_goes(lab, second):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        before = seen_by_qemu() if lab.name == "kvm" else None
        change = DeviceChange(disks_added=(second,))
        assert driver.obstacle(GUEST, change) == ""
        for _ in range(2):
            driver.plug_disk(GUEST, second, path_of(second), index=1)
            assert driver.spec(GUEST) == driver.present(GUEST) == lab.spec(disks=(*lab.spec().disks, second))
        if before:
            assert f"disk-{SECOND}" in seen_by_qemu()[0]
            lab.wait_ticks("n1", 2)
        for _ in range(2):
            driver.unplug_disk(GUEST, SECOND)
            assert driver.spec(GUEST) == lab.spec()
        assert before is None or seen_by_qemu() == before


def test_an_interface_comes_goes_and_is_exchanged(lab):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        if lab.name == "kvm":
            lab.wait_ticks("n1", 1)
        first = lab.spec().nics[0]
        for _ in range(2):
            driver.plug_nic(GUEST, NIC, index=0)
            assert driver.spec(GUEST).nics == (NIC, first)
        other = replace(first, mac="aa:00:00:01:02:05")
        assert driver.obstacle(GUEST, DeviceChange(nics_removed=(first.uuid,), nics_added=(other,))) == ""
        with pytest.raises(HypervisorError, match="still as it was"):
            driver.plug_nic(GUEST, other, index=1)
        driver.unplug_nic(GUEST, first.uuid)
        driver.plug_nic(GUEST, other, index=1)
        assert driver.present(GUEST).nics == (NIC, other)
        for _ in range(2):
            driver.unplug_nic(GUEST, NIC.uuid)
        assert driver.present(GUEST).nics == (other,)


def test_a_slot_is_given_once(lab, second):
    taken = replace(second, pci=13)
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        assert "13" in driver.obstacle(GUEST, DeviceChange(disks_added=(taken,)))
        with pytest.raises(HypervisorError, match="13"):
            driver.plug_disk(GUEST, taken, path_of(taken), index=1)
        with pytest.raises(HypervisorError, match="12"):
            driver.plug_nic(GUEST, replace(NIC, pci=12), index=1)
        assert driver.present(GUEST) == lab.spec()


def test_a_guest_that_does_not_run_gets_nothing_and_loses_nothing(lab, second):
    with lab.on("n1") as driver:
        assert "does not run" in driver.obstacle(GUEST, DeviceChange(disks_added=(second,)))
        with pytest.raises(HypervisorError, match="does not run"):
            driver.plug_disk(GUEST, second, path_of(second), index=1)
        with pytest.raises(HypervisorError, match="does not run"):
            driver.plug_nic(GUEST, NIC, index=1)
        driver.unplug_disk(GUEST, SECOND)
        driver.unplug_nic(GUEST, NIC.uuid)
        driver.resize_disk(GUEST, SECOND, size=9)


def test_a_disk_that_is_not_there_is_named_and_nothing_is_left(lab, second):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        with pytest.raises(HypervisorError, match=SECOND):
            driver.plug_disk(GUEST, second, "/no/such/disk", index=1)
        assert driver.present(GUEST) == lab.spec()
        driver.plug_disk(GUEST, second, path_of(second), index=1)


def test_a_guest_sees_that_its_disk_has_grown(lab):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        with lab.disk.open("r+b") as file:
            file.truncate(5 << 20)
        for size in (5, 5, 4):
            driver.resize_disk(GUEST, DISK, size=size)
            assert driver.spec(GUEST).disks[0].disk.size == 5
        if lab.name == "kvm":
            with launch.talk(runtime.load(GUEST)) as qmp:
                assert [item["inserted"]["image"]["virtual-size"] for item in qmp.execute("query-block")] == [5 << 20]
            lab.wait_ticks("n1", 2)
        assert lab.disk.stat().st_size == 5 << 20


def test_a_migration_takes_along_what_came_and_not_what_went(lab, second):
    with lab.on("n1") as driver:
        driver.start(lab.spec(), lab.disks, paused=False)
        if lab.name == "kvm":
            lab.wait_ticks("n1", 1)
        driver.plug_disk(GUEST, second, path_of(second), index=1)
        driver.plug_nic(GUEST, NIC, index=1)
        driver.unplug_nic(GUEST, lab.spec().nics[0].uuid)
        spec = replace(driver.present(GUEST), owner_epoch=4)
    assert ([disk.disk.uuid for disk in spec.disks], [nic.uuid for nic in spec.nics]) == ([DISK, SECOND], [NIC.uuid])
    with lab.on("n2") as driver:
        uri = driver.accept(spec, lab.disks | {SECOND: path_of(second)}, listen="127.0.0.2")
    with lab.on("n1") as driver:
        assert driver.send(GUEST, uri, live=True, bandwidth=0, downtime=300, progress=quiet).status == "completed"
    with lab.on("n2") as driver:
        assert driver.finish_target(spec, success=True)
    with lab.on("n1") as driver:
        driver.finish_source(GUEST, success=True)
    with lab.on("n2") as driver:
        if lab.name == "kvm":
            lab.wait_ticks("n2", lab.ticks("n1")[-1])
        driver.unplug_disk(GUEST, SECOND)
        driver.unplug_nic(GUEST, NIC.uuid)
        assert (len(driver.present(GUEST).disks), driver.present(GUEST).nics) == (1, ())


@pytest.mark.qemu
class TestQemu:
    """What only QEMU can show."""

    pytestmark = needs_qemu

    @pytest.mark.parametrize(("hvparams", "why"), [
        ({"disk_type": "ide"}, "of type ide"), ({"acpi": False}, "acpi"),
        ({"disk_type": "scsi", "scsi_controller_type": "lsi"}, "lsi"),
        ({"disk_type": "scsi", "scsi_controller_type": "virtio-scsi-pci"}, ""), ({"machine_version": "q35"}, ""),
        ({"kvm_pci_reservations": 0}, "")])
    def test_it_says_why_not(self, qemu, hvparams, why):
        second = second_disk(qemu)
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(hvparams=hvparams, memory=64), qemu.disks, paused=True)
            said = driver.obstacle(GUEST, DeviceChange(disks_added=(second,)))
            assert (why in said) if why else said == ""
            if why:
                with pytest.raises(HypervisorError, match=why):
                    driver.plug_disk(GUEST, second, path_of(second), index=1)
            else:
                driver.plug_disk(GUEST, second, path_of(second), index=1)
                assert f"disk-{SECOND}" in seen_by_qemu()[0]

    def test_the_emulators_own_slots_stay_as_they_are(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(hvparams={"kvm_pci_reservations": 0}), qemu.disks, paused=True)
            assert "kvm_pci_reservations" in driver.obstacle(GUEST, DeviceChange(disks_added=(second_disk(qemu, 3),)))

    def test_the_interface_it_boots_from_stays(self, qemu):
        hvparams = {"boot_order": "network", "nic_type": "paravirtual"}
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(hvparams=hvparams, nics=()), qemu.disks, paused=True)
            first = qemu.spec().nics[0]
            driver.plug_nic(GUEST, NIC, index=0)
            assert "boots from the network" in driver.obstacle(
                GUEST, DeviceChange(nics_added=(first,), nics_removed=(NIC.uuid,)))
            with pytest.raises(HypervisorError, match="boots from another"):
                driver.plug_nic(GUEST, first, index=0)
            driver.plug_nic(GUEST, first, index=1)
            assert driver.present(GUEST).nics == (NIC, first)

    def test_a_guest_that_does_not_let_go_keeps_its_device(self, qemu, monkeypatch):
        """On q35 the tiny guest hears of nothing."""
        monkeypatch.setattr(hotplug, "UNPLUG_SECONDS", 0.5)
        with qemu.on("n1") as driver:
            spec = qemu.spec(memory=64, hvparams={"machine_version": "q35"})
            driver.start(spec, qemu.disks, paused=False)
            qemu.wait_ticks("n1", 1)
            with pytest.raises(HypervisorError, match="does not let go of interface aa:00:00:01:02:03"):
                driver.unplug_nic(GUEST, spec.nics[0].uuid)
            assert driver.present(GUEST) == spec
            driver.pause(GUEST, paused=True)
            with pytest.raises(HypervisorError, match="is paused"):
                driver.unplug_disk(GUEST, DISK)
            assert driver.present(GUEST) == spec

    def test_what_it_lets_go_of_later_is_noticed(self, qemu):
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            qemu.wait_ticks("n1", 1)
            nic = qemu.spec().nics[0]
            with launch.talk(runtime.load(GUEST)) as qmp:
                qmp.execute("device_del", id=f"nic-{nic.uuid}")
            assert soon(lambda: f"nic-{nic.uuid}" not in seen_by_qemu()[0])
            assert driver.spec(GUEST).nics == (nic,)
            assert driver.present(GUEST).nics == ()
            driver.plug_nic(GUEST, nic, index=0)
            assert driver.spec(GUEST) == qemu.spec()

    def test_a_plug_that_was_cut_off_is_done_again(self, qemu):
        second = second_disk(qemu)
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(), qemu.disks, paused=False)
            before = runtime.load(GUEST)
            driver.plug_disk(GUEST, second, path_of(second), index=1)
            driver.plug_nic(GUEST, NIC, index=1)
            after = runtime.load(GUEST)
            runtime.save(before)  # the record is the last thing that is written
            driver.plug_disk(GUEST, second, path_of(second), index=1)
            driver.plug_nic(GUEST, NIC, index=1)
            assert runtime.load(GUEST).spec == after.spec

    @pytest.mark.root
    @as_root
    @confined
    def test_a_confined_guest_gets_what_it_could_not_open_itself(self, qemu, hvparams):
        second, path = second_disk(qemu), qemu.folder / "third.img"
        path.write_bytes(bytes(2 << 20))
        third = replace(qemu.spec().disks[0].disk, file=FileLocation(path=str(path)))
        for disk in (qemu.disk, path, qemu.folder / "second.img"):
            disk.chmod(0o600)
        with qemu.on("n1") as driver:
            driver.start(qemu.spec(hvparams=hvparams), qemu.disks, paused=False)
            qemu.wait_ticks("n1", 1)
            for _ in range(2):
                driver.plug_disk(GUEST, second, path_of(second), index=1)
                driver.plug_nic(GUEST, NIC, index=1)
                driver.exchange_disk(GUEST, third, str(path), progress=quiet)
                qemu.wait_ticks("n1", qemu.ticks("n1")[-1] + 1)
                assert tiny_guest.ticks_on(path) > 0
                driver.exchange_disk(GUEST, qemu.spec().disks[0].disk, str(qemu.disk), progress=quiet)
                driver.unplug_disk(GUEST, SECOND)
                driver.unplug_nic(GUEST, NIC.uuid)
            with launch.talk(runtime.load(GUEST)) as qmp:
                assert len(qmp.execute("query-fdsets")) == 1, "of the disk it uses"
