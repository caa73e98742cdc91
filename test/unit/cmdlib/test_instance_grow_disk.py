# SPDX-License-Identifier: BSD-2-Clause
"""grow-disk of plain and mirrored disks."""

import pytest

from gantry.cmdlib.instance_grow_disk import InstanceGrowDiskUnit
from gantry.errors import NoResources, StorageError, WrongState
from gantry.opcodes.instance import InstanceGrowDisk
from support.cuts import Runner, check_every_cut, run
from support.disk_world import disk_world, mirrored, plain
from support.guest_world import OFFLINE, UP
from support.view import look, plan_of


def grow(world, **fields):
    return plan_of(InstanceGrowDiskUnit, InstanceGrowDisk, world, instance_name="web1",
                   **{"disk": 0, "amount": 64} | fields)


def running(*disks, **fields):
    world = disk_world(*disks, admin_state=UP, **fields)
    return world.run(world.config.instance("web1"))


def volumes(world):
    return {file.size for path, file in world.files.items() if "meta" not in path}


@pytest.mark.parametrize("disk", [plain(), mirrored()])
def test_under_a_guest_that_runs(disk):
    world = running(disk)
    run(world, grow(world))
    assert world.config.disks["d1"].size == 320
    assert volumes(world) == {320}
    assert world.seen == {"d1": 320}
    assert {device.size for device in world.devices.values()} <= {320}


def test_a_mirror_that_is_down_is_brought_up_for_a_while():
    world = disk_world(mirrored(), active=False)
    run(world, grow(world, absolute=True, amount=512))
    assert world.config.disks["d1"].size == 512
    assert volumes(world) == {512}
    assert world.devices == {}
    assert world.seen == {}


def test_only_the_disk_that_is_named():
    world = running(mirrored(), mirrored("d2", index=1, pci=14))
    run(world, grow(world, disk=1))
    assert [world.config.disks[uuid].size for uuid in ("d1", "d2")] == [256, 320]
    assert {device.disk: device.size for device in world.devices.values()} == {"d1": 256, "d2": 320}


def test_what_is_new_is_wiped_before_anybody_sees_it():
    world = running(mirrored(), cluster={"prealloc_wipe_disks": True})
    run(world, grow(world))
    calls = [name for _, name in world.asked]
    assert calls.index("drbd_resize") > max(place for place, name in enumerate(calls) if name == "disk_wipe")
    assert calls.count("disk_wipe") == 2


def wiped(plan):
    return {(part.args["start"], part.args["size"]) for step in plan.steps if "wiping" in step.title
            for part in step.action.actions}


@pytest.mark.parametrize(("disk", "up", "start"), [(plain(), True, 288), (plain(), False, 288), (mirrored(), True, 288),
                                                   (mirrored(), False, 256)])
def test_what_the_guest_has_already_is_not_wiped(disk, up, start):
    """A volume is rounded up to whole extents, of which the guest uses all; a device that has grown is as large as it
    is, whatever is recorded.  What lies above a device that is down nobody has used.
    """
    world = running(disk, cluster={"prealloc_wipe_disks": True}) if up else disk_world(
        disk, active=False, cluster={"prealloc_wipe_disks": True})
    for path, file in world.files.items():
        file.size = file.size if "meta" in path else 288
    for device in world.devices.values():
        device.size = 288
    todo = grow(world)
    assert wiped(todo) == {(start, 320 - start)}
    run(world, todo)
    assert world.config.disks["d1"].size == 320
    assert wiped(grow(world, amount=64)) == {(320, 64)}
    for path, file in world.files.items():
        file.size = file.size if "meta" in path else 512
    for device in world.devices.values():
        device.size = 512
    if up:
        assert wiped(grow(world, amount=64)) == set()


def test_a_disk_is_opened_to_be_wiped():
    world = disk_world(plain(), active=False, cluster={"prealloc_wipe_disks": True})
    run(world, grow(world))
    calls = [name for _, name in world.asked]
    assert calls.index("disks_open") < calls.index("disk_wipe") < calls.index("disks_close")


@pytest.mark.parametrize("disk", [plain(), mirrored()])
@pytest.mark.parametrize("active", [True, False])
def test_cut_off_anywhere(disk, active):
    def make():
        world = disk_world(disk, active=active)
        if active:
            world.run(world.config.instance("web1"))
        return world, grow(world)
    check_every_cut(make)


def test_one_node_has_no_room():
    """Nothing is recorded; grown again, it ends well."""
    world = running(mirrored())
    todo = grow(world)
    world.refuse["disk_grow"] = StorageError(detail="no space left")
    with pytest.raises(StorageError):
        Runner(world, todo).forward()
    assert world.config.disks["d1"].size == 256
    del world.refuse["disk_grow"]
    run(world, grow(world))
    assert volumes(world) == {320}


def test_what_has_grown_takes_no_room_again():
    """The other node had none the first time, and there is none left here."""
    world = running(mirrored())
    sizes = {path: file for path, file in world.files.items() if "data" in path}
    world.disk_free = 10
    with pytest.raises(NoResources, match="node1 in volume group vg0: 64 MiB are needed"):
        grow(world)
    next(file for path, file in sizes.items() if path.startswith("n1")).size = 320
    with pytest.raises(NoResources, match="node2 in volume group vg0: 64 MiB are needed"):
        grow(world)
    next(file for path, file in sizes.items() if path.startswith("n2")).size = 312
    run(world, grow(world))
    assert volumes(world) == {320}


def test_a_sync_that_stalls_is_a_warning():
    world = running(mirrored())
    runner = Runner(world, grow(world))
    world.refuse["drbd_wait_synced"] = StorageError(detail="no progress for 60 s")
    runner.forward()
    assert runner.warnings == ["no progress for 60 s"]
    assert world.config.disks["d1"].size == 320


def test_nobody_waits_when_that_is_not_wanted():
    world = running(mirrored())
    run(world, grow(world, wait_for_sync=False))
    assert "drbd_wait_synced" not in [name for _, name in world.asked]


def test_refusals():
    world = running(mirrored())
    world.disk_free = 10
    with pytest.raises(NoResources, match="node1 in volume group vg0"):
        grow(world)
    world = running(mirrored())
    world.down.add("n2")
    with pytest.raises(WrongState, match="not in sync"):
        grow(world)
    with pytest.raises(WrongState, match="offline node 'node2'"):
        grow(disk_world(mirrored(), nodes={"n2": {"offline": True}}, active=False))
    with pytest.raises(WrongState, match="cannot shrink"):
        grow(running(plain()), absolute=True, amount=8)
    assert OFFLINE


def test_hooks():
    _, seen, _ = look(InstanceGrowDiskUnit, InstanceGrowDisk, running(mirrored()), instance_name="web1", disk=0,
                      amount=64)
    assert seen.hooks.pre_nodes == ("n1", "n2")
    assert seen.hooks.env["AMOUNT"] == "64"
