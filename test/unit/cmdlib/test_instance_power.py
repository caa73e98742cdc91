# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_STARTUP, OP_INSTANCE_SHUTDOWN, OP_INSTANCE_REBOOT."""

import pytest

from gantry.cmdlib.instance_reboot import InstanceRebootUnit
from gantry.cmdlib.instance_shutdown import InstanceShutdownUnit
from gantry.cmdlib.instance_startup import InstanceStartupUnit
from gantry.errors import HypervisorError, NoResources, NotFound, ParameterError, WrongState
from gantry.opcodes.instance import InstanceReboot, InstanceShutdown, InstanceStartup
from support.cuts import check_every_cut, fails_and_undoes, run
from support.guest_world import DOWN, OFFLINE, UP, World, cluster_config, disk, instance
from support.view import look, plan_of


def stopped(*, nodes=None, **fields):
    return World(cluster_config(instance(**fields), disks=(disk(),), nodes=nodes))


def running(**fields):
    world = stopped(admin_state=UP, disks_active=True, **fields)
    return world.run(world.config.instance("web1"))


def plan(unit, op, world, **fields):
    return plan_of(unit, op, world, instance_name="web1", **fields)


# --- startup ---


def test_startup():
    world = stopped(machine="")
    run(world, plan(InstanceStartupUnit, InstanceStartup, world))
    found = world.config.instance("web1")
    assert (found.admin_state, found.disks_active, found.machine) == (UP, True, "pc-q35-7.2")
    assert world.running("i1") == ["n1"]


def test_startup_cut_off_anywhere():
    def make():
        world = stopped(machine="")
        return world, plan(InstanceStartupUnit, InstanceStartup, world)
    check_every_cut(make)


def test_startup_of_a_running_instance_does_nothing():
    world = running()
    before = world.snapshot()
    assert plan(InstanceStartupUnit, InstanceStartup, world).steps == ()
    assert world.snapshot() == before


def test_startup_that_fails_changes_nothing():
    world = stopped()
    before = world.snapshot()
    todo = plan(InstanceStartupUnit, InstanceStartup, world)
    world.refuse["instance_start"] = HypervisorError(detail="no QEMU")
    fails_and_undoes(world, todo)
    assert world.snapshot() == before


def test_overrides_are_for_one_start():
    world = stopped()
    todo = plan(InstanceStartupUnit, InstanceStartup, world, beparams={"memory": 256}, startup_paused=True)
    run(world, todo)
    assert world.guests["n1"]["i1"].memory == 256
    assert world.config.instance("web1").beparams == {}
    assert [step.action.args["paused"] for step in todo.steps if step.key == "guest"] == [True]


def test_startup_with_an_offline_primary():
    world = stopped(nodes={"n1": {"offline": True}})
    with pytest.raises(WrongState, match="offline"):
        plan(InstanceStartupUnit, InstanceStartup, world)
    run(world, plan(InstanceStartupUnit, InstanceStartup, world, ignore_offline_nodes=True))
    assert world.config.instance("web1").admin_state == UP


def test_startup_no_remember():
    world = stopped()
    run(world, plan(InstanceStartupUnit, InstanceStartup, world, no_remember=True))
    assert world.config.instance("web1").admin_state == DOWN


def test_startup_refusals():
    with pytest.raises(WrongState, match="marked to be offline, cannot start"):
        plan(InstanceStartupUnit, InstanceStartup, stopped(admin_state=OFFLINE))
    with pytest.raises(NotFound):
        plan_of(InstanceStartupUnit, InstanceStartup, stopped(), instance_name="web9")
    with pytest.raises(ParameterError):
        plan(InstanceStartupUnit, InstanceStartup, stopped(), beparams={"strange": 1})
    world = stopped()
    world.memory_free = 64
    with pytest.raises(NoResources, match="needed 128 MiB, available 64 MiB"):
        plan(InstanceStartupUnit, InstanceStartup, world)


# --- shutdown ---


def test_shutdown():
    world = running()
    run(world, plan(InstanceShutdownUnit, InstanceShutdown, world))
    found = world.config.instance("web1")
    assert (found.admin_state, found.disks_active) == (DOWN, False)
    assert not world.guests["n1"]


def test_shutdown_cut_off_anywhere():
    def make():
        world = running()
        return world, plan(InstanceShutdownUnit, InstanceShutdown, world, timeout=7)
    check_every_cut(make)


def test_shutdown_of_a_stopped_instance_is_remembered():
    world = stopped(admin_state=UP)
    run(world, plan(InstanceShutdownUnit, InstanceShutdown, world, admin_state_source="user"))
    found = world.config.instance("web1")
    assert (found.admin_state, found.admin_state_source) == (DOWN, "user")


def test_shutdown_tells_its_timeout():
    todo = plan(InstanceShutdownUnit, InstanceShutdown, running(), timeout=7)
    stop = next(step for step in todo.steps if "shutting down" in step.title)
    assert stop.title == "* shutting down instance web1 on node1, it is given 7s"
    assert stop.action.args["timeout"] == 7.0
    assert not stop.action.args["force"]


def test_shutdown_with_an_offline_primary():
    world = stopped(admin_state=UP, nodes={"n1": {"offline": True}})
    with pytest.raises(WrongState, match="offline"):
        plan(InstanceShutdownUnit, InstanceShutdown, world)
    run(world, plan(InstanceShutdownUnit, InstanceShutdown, world, ignore_offline_nodes=True))
    assert world.config.instance("web1").admin_state == DOWN


def test_shutdown_of_an_offline_instance_needs_force():
    world = stopped(admin_state=OFFLINE)
    with pytest.raises(WrongState, match="marked to be offline"):
        plan(InstanceShutdownUnit, InstanceShutdown, world)
    run(world, plan(InstanceShutdownUnit, InstanceShutdown, world, force=True))
    assert world.config.instance("web1").admin_state == OFFLINE


# --- reboot ---


@pytest.mark.parametrize("kind", ["soft", "hard", "full"])
def test_reboot_cut_off_anywhere(kind):
    def make():
        world = running()
        return world, plan(InstanceRebootUnit, InstanceReboot, world, reboot_type=kind)
    check_every_cut(make)


@pytest.mark.parametrize(("kind", "starts"), [("soft", 0), ("hard", 1), ("full", 1)])
def test_reboot_of_a_running_instance(kind, starts):
    world = running()
    run(world, plan(InstanceRebootUnit, InstanceReboot, world, reboot_type=kind))
    assert (world.starts, world.running("i1")) == (starts, ["n1"])


def test_a_stopped_instance_is_just_started():
    world = stopped()
    run(world, plan(InstanceRebootUnit, InstanceReboot, world, reboot_type="soft"))
    assert world.running("i1") == ["n1"]
    assert world.config.instance("web1").admin_state == UP


def test_reboot_refusals():
    with pytest.raises(WrongState, match="cannot reboot"):
        plan(InstanceRebootUnit, InstanceReboot, stopped(admin_state=OFFLINE), reboot_type="hard")
    with pytest.raises(WrongState, match="offline node"):
        plan(InstanceRebootUnit, InstanceReboot, stopped(nodes={"n1": {"offline": True}}), reboot_type="hard")


@pytest.mark.parametrize(("unit", "op", "fields", "path", "extra"), [
    (InstanceStartupUnit, InstanceStartup, {"force": True}, "instance-start", {"FORCE": "True"}),
    (InstanceShutdownUnit, InstanceShutdown, {"timeout": 9}, "instance-stop", {"TIMEOUT": "9"}),
    (InstanceRebootUnit, InstanceReboot, {"reboot_type": "soft"}, "instance-reboot",
     {"REBOOT_TYPE": "soft", "IGNORE_SECONDARIES": "False", "SHUTDOWN_TIMEOUT": "120"})])
def test_hooks(unit, op, fields, path, extra):
    made, seen, _ = look(unit, op, running(), instance_name="web1", **fields)
    hooks = made.hooks(seen)
    assert (hooks.path, hooks.target, hooks.pre_nodes) == (path, "web1", ("n1",))
    assert extra.items() <= hooks.env.items()
    assert hooks.env["INSTANCE_STATUS"] == "up"
    assert hooks.env["INSTANCE_DISK0_DEV_TYPE"] == "sharedfile"
    assert hooks.env["INSTANCE_DISK0_DRIVER"] == "loop"
