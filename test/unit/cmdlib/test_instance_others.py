# SPDX-License-Identifier: BSD-2-Clause
"""Rename, reinstall, grow-disk, activate-disks, deactivate-disks, console, query of instances."""

import pytest

from gantry.cmdlib.instance_activate_disks import InstanceActivateDisksUnit
from gantry.cmdlib.instance_console import InstanceConsoleUnit
from gantry.cmdlib.instance_deactivate_disks import InstanceDeactivateDisksUnit
from gantry.cmdlib.instance_grow_disk import InstanceGrowDiskUnit
from gantry.cmdlib.instance_query_data import InstanceQueryDataUnit
from gantry.cmdlib.instance_reinstall import InstanceReinstallUnit
from gantry.cmdlib.instance_rename import InstanceRenameUnit
from gantry.constants import OF_INSTANCE, DiskTemplate
from gantry.errors import ExecError, NoResources, NotUnique, WrongInput, WrongState
from gantry.opcodes.instance import (
    InstanceActivateDisks,
    InstanceConsole,
    InstanceDeactivateDisks,
    InstanceGrowDisk,
    InstanceQueryData,
    InstanceReinstall,
    InstanceRename,
)
from support.cuts import Runner, check_every_cut, fails_and_undoes, run
from support.disk_world import disk_world, mirrored
from support.guest_world import UP, World, cluster_config, disk, instance
from support.view import look, plan_of


def stopped(template=DiskTemplate.SHAREDFILE, nodes=None, **fields):
    return World(cluster_config(instance(template=template, **fields), disks=(disk(template=template),), nodes=nodes))


def running(**fields):
    world = stopped(admin_state=UP, disks_active=True, **fields)
    return world.run(world.config.instance("web1"))


def plan(unit, op, world, **fields):
    return plan_of(unit, op, world, instance_name="web1", **fields)


# --- rename ---


@pytest.mark.parametrize("template", [DiskTemplate.SHAREDFILE, DiskTemplate.FILE])
def test_rename_takes_the_folder_along(template):
    world = stopped(template)
    assert run(world, plan(InstanceRenameUnit, InstanceRename, world, new_name="web2")) == "web2"
    moved = world.config.disks_of(world.config.instance("web2"))[0]
    assert "/web2/d1." in moved.file.path
    [(path, file)] = world.files.items()
    assert path.endswith(moved.file.path)
    assert (file.content, file.open_on) == ("renamed from web1", set())


def test_volumes_are_told_the_new_name_at_both_ends():
    world = disk_world(mirrored(), active=False, os="")
    [first, *_] = plan(InstanceRenameUnit, InstanceRename, world, new_name="db1").steps
    assert [(call.node, call.call, call.args["new"][0]["params"][OF_INSTANCE]) for call in first.action.actions] == [
        ("n1", "disks_rename", "db1"), ("n2", "disks_rename", "db1")]
    assert first.undo.actions[1].args["new"][0]["params"][OF_INSTANCE] == "web1"


def test_rename_cut_off_anywhere():
    def make():
        world = stopped()
        return world, plan(InstanceRenameUnit, InstanceRename, world, new_name="web2")

    def told(world):  # what the script wrote into the guest stays
        for file in world.files.values():
            file.content = ""
    for cut in range(2):
        world, todo = make()
        before = world.snapshot()
        runner = Runner(world, todo)
        for step in todo.steps[:cut]:
            world.act(step.action, {})
        runner.undo(cut)
        assert world.snapshot() == before
    world, todo = make()
    todo = type(todo)(steps=tuple(step for step in todo.steps if "script" not in step.title), result=todo.result)

    def without_script():
        world, todo = make()
        return world, type(todo)(steps=tuple(step for step in todo.steps if "script" not in step.title),
                                 result=todo.result)
    check_every_cut(without_script, check=told)


def test_a_rename_script_that_fails_is_a_warning():
    world = stopped()
    todo = plan(InstanceRenameUnit, InstanceRename, world, new_name="web2")
    world.refuse["os_rename"] = ExecError(detail="exit status 1")
    runner = Runner(world, todo)
    assert runner.forward() == "web2"
    assert runner.warnings == ["exit status 1"]


def test_rename_refusals():
    world = World(cluster_config(instance(), instance("web2", "i22", disks=()), disks=(disk(),)))
    with pytest.raises(NotUnique):
        plan(InstanceRenameUnit, InstanceRename, world, new_name="web2")
    with pytest.raises(WrongState, match="marked to be up, cannot rename"):
        plan(InstanceRenameUnit, InstanceRename, running(), new_name="web2")
    with pytest.raises(WrongInput, match="Invalid instance name"):
        plan(InstanceRenameUnit, InstanceRename, stopped(), new_name="not a name")


# --- reinstall ---


def test_reinstall():
    world = stopped()
    next(iter(world.files.values())).content = "old"
    run(world, plan(InstanceReinstallUnit, InstanceReinstall, world, os_type="tiny+big", osparams={"size": "3"}))
    [file] = world.files.values()
    assert (file.content, file.open_on) == ("installed", set())
    assert world.config.instance("web1").os == "tiny+big"
    assert world.config.instance("web1").osparams == {"size": "3"}


def test_reinstall_cut_off_anywhere():
    def make():
        world = stopped()
        return world, plan(InstanceReinstallUnit, InstanceReinstall, world, os_type="tiny+big")
    check_every_cut(make)


def test_reinstall_tells_the_script_and_keeps_secrets_out_of_the_plan():
    todo = plan(InstanceReinstallUnit, InstanceReinstall, stopped(), osparams_secret={"password": "hush"})
    [env] = [step.action.args["env"] for step in todo.steps if "env" in getattr(step.action, "args", {})]
    assert env["INSTANCE_REINSTALL"] == "1"
    assert "hush" not in str(todo.encode())


def test_a_script_that_fails():
    world = stopped()
    before = world.snapshot()
    todo = plan(InstanceReinstallUnit, InstanceReinstall, world, os_type="tiny+big")
    world.refuse["os_create"] = ExecError(detail="exit status 1")
    fails_and_undoes(world, todo)
    assert world.snapshot() == before


def test_reinstall_refusals():
    with pytest.raises(WrongState, match="marked to be up, cannot reinstall"):
        plan(InstanceReinstallUnit, InstanceReinstall, running())
    with pytest.raises(WrongInput, match="no disks"):
        plan(InstanceReinstallUnit, InstanceReinstall,
             World(cluster_config(instance(disks=(), template=DiskTemplate.DISKLESS))))
    with pytest.raises(WrongInput, match="other"):
        plan(InstanceReinstallUnit, InstanceReinstall, stopped(), os_type="other")


# --- disks ---


def test_grow():
    world = running()
    todo = plan(InstanceGrowDiskUnit, InstanceGrowDisk, world, disk=0, amount=768)
    assert todo.steps[0].title == "Growing disk 0 of instance 'web1' by 768M to 1.0G"
    run(world, todo)
    assert world.config.disks["d1"].size == 1024
    assert next(iter(world.files.values())).size == 1024


def test_grow_cut_off_anywhere():
    def make():
        world = stopped()
        return world, plan(InstanceGrowDiskUnit, InstanceGrowDisk, world, disk=0, amount=1024, absolute=True)
    check_every_cut(make)


def test_grow_refusals():
    world = stopped()
    with pytest.raises(WrongState, match="smaller than current"):
        plan(InstanceGrowDiskUnit, InstanceGrowDisk, world, disk=0, amount=4, absolute=True)
    with pytest.raises(WrongInput, match="violates policy"):
        plan(InstanceGrowDiskUnit, InstanceGrowDisk, world, disk=0, amount=200000)
    with pytest.raises(NoResources, match="disk space"):
        plan(InstanceGrowDiskUnit, InstanceGrowDisk, world, disk=0, amount=60000)
    diskless = World(cluster_config(instance(disks=(), template=DiskTemplate.DISKLESS)))
    with pytest.raises(WrongState, match="does not support growing"):
        plan(InstanceGrowDiskUnit, InstanceGrowDisk, diskless, disk=0, amount=4)


def test_activate_and_deactivate():
    world = stopped()
    assert run(world, plan(InstanceActivateDisksUnit, InstanceActivateDisks, world)) == [
        ["node1", "disk/0", "/srv/shared/web1/d1.sharedfile.disk0"]]
    assert world.config.instance("web1").disks_active
    run(world, plan(InstanceDeactivateDisksUnit, InstanceDeactivateDisks, world))
    assert not world.config.instance("web1").disks_active
    assert not next(iter(world.files.values())).open_on


def test_activate_cut_off_anywhere():
    def make():
        world = stopped()
        return world, plan(InstanceActivateDisksUnit, InstanceActivateDisks, world)
    check_every_cut(make)


def test_disks_in_use_are_not_deactivated():
    with pytest.raises(WrongState, match="cannot shutdown disks"):
        plan(InstanceDeactivateDisksUnit, InstanceDeactivateDisks, running())
    assert plan(InstanceDeactivateDisksUnit, InstanceDeactivateDisks, running(), force=True).steps


# --- asking ---


def test_console():
    world = running()
    assert run(world, plan(InstanceConsoleUnit, InstanceConsole, world)) == {
        "instance": "web1", "kind": "ssh", "host": "node1", "port": 22, "user": "root", "command": ["socat", "x"]}
    with pytest.raises(WrongState, match="Instance web1 is not running, can't get console"):
        plan(InstanceConsoleUnit, InstanceConsole, stopped())


def test_query_data():
    world = running()
    unit, seen, _ = look(InstanceQueryDataUnit, InstanceQueryData, world, instances=("web1",))
    found = unit.plan(seen).result["web1"]
    assert (found["config_state"], found["run_state"], found["pnode"], found["pnode_group_name"]) == (
        "up", "up", "node1", "default")
    assert found["disks"][0]["pstatus"][0] == "/srv/shared/web1/d1.sharedfile.disk0"
    assert found["disks"][0]["logical_id"] == ["loop", "/srv/shared/web1/d1.sharedfile.disk0"]
    assert found["nics"][0][3:7] == ["aa:00:00:00:00:02", "bridged", "br0", ""]
    assert found["be_actual"]["maxmem"] == 128
    assert "migration_mode" not in found["hv_actual"]


def test_static_query_data_asks_no_node():
    world = running()
    _, seen, _ = look(InstanceQueryDataUnit, InstanceQueryData, world, static=True)
    assert world.asked == []
    assert (seen["web1"]["run_state"], seen["web1"]["disks"][0]["pstatus"]) == (None, None)


def test_query_data_of_stopped_offline_and_unreachable():
    assert look(InstanceQueryDataUnit, InstanceQueryData, stopped())[1]["web1"]["run_state"] == "down"
    offline = stopped(nodes={"n1": {"offline": True}})
    assert look(InstanceQueryDataUnit, InstanceQueryData, offline)[1]["web1"]["run_state"] is None
    silent = stopped(admin_state=UP)
    silent.down = {"n1"}
    _, seen, view = look(InstanceQueryDataUnit, InstanceQueryData, silent)
    assert seen["web1"]["run_state"] is None
    assert any("node1" in line for line in view.lines)
