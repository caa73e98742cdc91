# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_REMOVE."""

import pytest

from gantry.cmdlib.instance_remove import InstanceRemoveUnit
from gantry.constants import DiskTemplate
from gantry.errors import StorageError, WrongState
from gantry.opcodes.instance import InstanceRemove
from support.cuts import Runner, check_every_cut, run
from support.guest_world import UP, World, cluster_config, disk, instance
from support.view import look, plan_of


def running(template=DiskTemplate.SHAREDFILE, nodes=None):
    found = instance(disks=("d1", "d2"), template=template, admin_state=UP, disks_active=True)
    disks = (disk(template=template), disk("d2", index=1, template=template, pci=14))
    world = World(cluster_config(found, disks=disks, nodes=nodes))
    return world.run(found)


def plan(world, **fields):
    return plan_of(InstanceRemoveUnit, InstanceRemove, world, instance_name="web1", **fields)


def gone(world):
    return not (world.config.instances or world.config.disks or world.files or world.running("i1"))


@pytest.mark.parametrize("template", [DiskTemplate.SHAREDFILE, DiskTemplate.FILE])
def test_nothing_is_left(template):
    world = running(template)
    run(world, plan(world))
    assert gone(world)


def test_cut_off_anywhere():
    def make():
        world = running()
        return world, plan(world)
    check_every_cut(make)


def test_a_second_removal_finishes_what_a_first_left():
    world = running()
    first = plan(world)
    world.refuse["disk_remove"] = StorageError(detail="busy")
    with pytest.raises(StorageError):
        Runner(world, first).forward()
    assert world.config.instance("web1").admin_state == "down"
    world.refuse.clear()
    run(world, plan(world))
    assert gone(world)


def test_a_dead_node():
    world = running()
    world.down = {"n1"}
    with pytest.raises(WrongState, match="--ignore-failures"):
        plan(world)
    run(world, plan(world, ignore_failures=True))
    assert not world.config.instances


def test_shared_disks_are_removed_by_another_node_when_the_primary_is_offline():
    world = running(nodes={"n1": {"offline": True}})
    world.guests["n1"].clear()
    run(world, plan(world, ignore_failures=True))
    assert gone(world)
    assert ("n2", "disk_remove") in world.asked


def test_disks_on_an_offline_node_are_named():
    world = running(DiskTemplate.FILE, nodes={"n1": {"offline": True}})
    unit, seen, view = look(InstanceRemoveUnit, InstanceRemove, world, instance_name="web1", ignore_failures=True)
    assert any("disk/1 (256M, file) of instance web1 is left on node node1" in line for line in view.lines)
    run(world, unit.plan(seen))
    assert not world.config.instances


def test_hooks():
    unit, seen, _ = look(InstanceRemoveUnit, InstanceRemove, running(nodes={"n1": {}}), instance_name="web1",
                         shutdown_timeout=5)
    hooks = unit.hooks(seen)
    assert (hooks.path, hooks.pre_nodes, hooks.env["SHUTDOWN_TIMEOUT"]) == ("instance-remove", ("n1",), "5")
