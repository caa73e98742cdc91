# SPDX-License-Identifier: BSD-2-Clause
"""Startup, shutdown, reboot, activation, removal and renaming of instances with mirrored disks."""

import pytest

from gantry.cmdlib import move
from gantry.cmdlib.instance_activate_disks import InstanceActivateDisksUnit
from gantry.cmdlib.instance_deactivate_disks import InstanceDeactivateDisksUnit
from gantry.cmdlib.instance_failover import InstanceFailoverUnit
from gantry.cmdlib.instance_reboot import InstanceRebootUnit
from gantry.cmdlib.instance_remove import InstanceRemoveUnit
from gantry.cmdlib.instance_rename import InstanceRenameUnit
from gantry.cmdlib.instance_set_params import InstanceSetParamsUnit
from gantry.cmdlib.instance_shutdown import InstanceShutdownUnit
from gantry.cmdlib.instance_startup import InstanceStartupUnit
from gantry.constants import DiskTemplate
from gantry.errors import StorageError, WrongState
from gantry.opcodes.instance import (
    InstanceActivateDisks,
    InstanceDeactivateDisks,
    InstanceFailover,
    InstanceReboot,
    InstanceRemove,
    InstanceRename,
    InstanceSetParams,
    InstanceShutdown,
    InstanceStartup,
)
from support.cuts import check_every_cut, fails_and_undoes, run
from support.guest_world import DOWN, UP, cluster_config, instance
from support.mirror_world import MirrorWorld, mirrored
from support.view import look, plan_of

WEB1 = {"instance_name": "web1"}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(move, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(move, "LINK_PAUSES", ())


def stopped(*, nodes=None, **fields):
    disks = (mirrored(), mirrored("d2", port=11002, minor=1, pci=14, index=1))
    found = instance(**({"template": DiskTemplate.DRBD, "disks": ("d1", "d2"), "admin_state": DOWN} | fields))
    return MirrorWorld(cluster_config(found, disks=disks, nodes=nodes, cluster={
        "enabled_disk_templates": ("drbd", "plain"), "volume_group_name": "xenvg"}))


def running(**fields):
    world = stopped(**({"admin_state": UP, "disks_active": True} | fields))
    return world.run(world.config.instance("web1"))


def start(world, **fields):
    return plan_of(InstanceStartupUnit, InstanceStartup, world, **(WEB1 | fields))


def activate(world, **fields):
    return plan_of(InstanceActivateDisksUnit, InstanceActivateDisks, world, **(WEB1 | fields))


def state(world):
    found = world.config.instance("web1")
    ends = {(node, end.up, end.role) for (node, _), end in world.ends.items()}
    return found.owner_epoch, world.running("i1"), sorted(ends)


PAIR = [("n1", True, "Primary"), ("n2", True, "Secondary")]
CLOSED = [("n1", False, "Secondary"), ("n2", False, "Secondary")]


def test_the_secondary_is_brought_up_before_the_primary():
    world = stopped()
    run(world, start(world))
    assert state(world) == (1, ["n1"], PAIR)
    opened = [(node, name) for node, name in world.asked if name in ("disks_assemble", "disks_open")]
    assert opened == [("n2", "disks_assemble"), ("n1", "disks_open")]


def test_startup_cut_off_anywhere():
    def make():
        world = stopped()
        return world, start(world)
    check_every_cut(make)


def test_shutdown_closes_both_ends():
    def make():
        world = running()
        return world, plan_of(InstanceShutdownUnit, InstanceShutdown, world, **WEB1)
    check_every_cut(make)
    world, plan = make()
    run(world, plan)
    assert state(world) == (1, [], CLOSED)


@pytest.mark.parametrize("kind", ["soft", "hard", "full"])
def test_reboot(kind):
    world = running()
    run(world, plan_of(InstanceRebootUnit, InstanceReboot, world, reboot_type=kind, **WEB1))
    assert state(world) == (1, ["n1"], PAIR)
    assert world.starts == (kind != "soft")


# --- an end that is away ---


def test_a_secondary_that_is_marked_offline_is_left_out_and_known_to_be_old():
    world = stopped(nodes={"n2": {"offline": True}})
    unit, seen, view = look(InstanceStartupUnit, InstanceStartup, world, **WEB1)
    assert any("secondary node node2 is left out: it is marked offline" in line for line in view.lines)
    run(world, unit.plan(seen))
    assert state(world)[:2] == (2, ["n1"])
    assert world.ends["n2", "d1"].epoch == 1
    assert world.config.disks["d2"].degraded_since


def test_a_secondary_that_does_not_answer_needs_force():
    world = stopped()
    world.fail("n2")
    with pytest.raises(WrongState, match=r"Disk consistency error: secondary node node2.*--force"):
        start(world)
    with pytest.raises(WrongState, match="--ignore-secondaries"):
        plan_of(InstanceRebootUnit, InstanceReboot, world, reboot_type="hard", **WEB1)
    run(world, start(world, force=True))
    assert state(world)[:2] == (2, ["n1"])


def test_started_alone_cut_off_anywhere(monkeypatch):
    monkeypatch.setattr("gantry.utils.clock.epoch", lambda: 1000.0)

    def make():
        world = stopped(nodes={"n2": {"offline": True}})
        return world, start(world)
    check_every_cut(make, undone_without=("owner_epoch",))


def test_the_end_that_was_left_out_is_not_failed_over_to():
    world = stopped()
    world.fail("n2")
    run(world, start(world, force=True))
    world.down.clear()
    world.fail("n1")
    with pytest.raises(WrongState, match="last brought up for owner 1"):
        plan_of(InstanceFailoverUnit, InstanceFailover, world, **WEB1)
    world.down.clear()


def test_an_end_that_comes_back_is_made_whole():
    world = running()
    world.fail("n2")
    world.ends["n1", "d1"].gen += 1
    world.down.clear()
    result = run(world, activate(world, wait_for_sync=True))
    assert result == [["node1", "disk/0", "/dev/drbd0"], ["node1", "disk/1", "/dev/drbd1"]]
    assert state(world) == (1, ["n1"], PAIR)
    assert {disk["mirror"]["status"] for disk in world._disks_status(
        "n2", world.config.disks_of(world.config.instance("web1")))} == {"ok"}


def test_a_secondary_that_lost_its_volumes_needs_force():
    world = stopped()
    del world.ends["n2", "d2"]
    with pytest.raises(WrongState, match=r"disk/1 of instance web1 is broken on secondary node node2.*--force"):
        start(world)
    run(world, start(world, force=True))
    assert world.running("i1") == ["n1"]


def test_a_secondary_that_fails_is_a_warning_with_force_only():
    world = stopped()
    plan = start(world)
    broken = StorageError(detail="no metadata")
    world.refuse["disks_assemble"] = broken
    assert fails_and_undoes(world, plan) is broken
    assert state(world) == (1, [], CLOSED)


# --- disks alone ---


def test_disks_are_activated_and_deactivated():
    world = stopped()
    run(world, activate(world))
    assert state(world) == (1, [], PAIR)
    assert world.config.instance("web1").disks_active
    run(world, plan_of(InstanceDeactivateDisksUnit, InstanceDeactivateDisks, world, **WEB1))
    assert state(world) == (1, [], CLOSED)


def test_without_the_recorded_size():
    assert all(step.action.args["disks"][0]["size"] == 0 for step in activate(stopped(), ignore_size=True).steps
               if getattr(step.action, "call", "") in ("disks_assemble", "disks_open"))


def test_activation_is_refused_where_the_data_is_not_the_newest():
    world = stopped()
    for disk in ("d1", "d2"):
        world.ends["n2", disk].gen = 2
    with pytest.raises(StorageError, match="not UpToDate"):
        run(world, activate(world))


# --- removal ---


def test_removal_at_both_ends():
    def make():
        world = running()
        return world, plan_of(InstanceRemoveUnit, InstanceRemove, world, **WEB1)
    check_every_cut(make)
    world, plan = make()
    run(world, plan)
    assert not world.ends
    assert not world.config.disks
    assert not world.config.ports_in_use()


def test_what_is_left_on_a_dead_secondary_is_said():
    world = running(nodes={"n2": {"offline": True}})
    unit, seen, view = look(InstanceRemoveUnit, InstanceRemove, world, **WEB1)
    assert any("disk/0 (256M, drbd) of instance web1 is left on node node2" in line for line in view.lines)
    run(world, unit.plan(seen))
    assert {node for node, _ in world.ends} == {"n2"}
    assert not world.config.instances


# --- others ---


def test_renaming_moves_no_volume():
    world = stopped()
    run(world, plan_of(InstanceRenameUnit, InstanceRename, world, new_name="web9", **WEB1))
    assert world.config.instance("web9")
    assert {end.content for end in world.ends.values()} == {"renamed from web1"}
    assert {end.up for end in world.ends.values()} == {False}


@pytest.mark.parametrize("active", [False, True])
def test_one_more_mirrored_disk(active, monkeypatch):
    monkeypatch.setattr("gantry.cmdlib.mirror.new_secret", lambda: "s")

    def make():
        world = stopped(disks_active=active)
        return world, plan_of(InstanceSetParamsUnit, InstanceSetParams, world, ignore_ipolicy=True,
                              disks=(("add", -1, {"size": 64}),), **WEB1)
    check_every_cut(make)
    world, plan = make()
    run(world, plan)
    third = world.config.disks_of(world.config.instance("web1"))[2]
    assert [end.minor for end in third.drbd.ends] == [2, 2]
    assert third.drbd.port == 11003
    assert {world.ends[node, third.uuid].up for node in ("n1", "n2")} == {active}
    assert ("minor", "n2/2") in plan.reserves
