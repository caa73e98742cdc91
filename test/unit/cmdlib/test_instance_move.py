# SPDX-License-Identifier: BSD-2-Clause
"""move: the disks of one node are copied to another one."""

import pytest

from gantry.cmdlib.instance_move import InstanceMoveUnit
from gantry.constants import DiskTemplate
from gantry.errors import NoResources, StorageError, WrongInput, WrongState
from gantry.opcodes.instance import InstanceMove
from support.cuts import Runner, check_every_cut, run
from support.disk_world import disk_world, mirrored, plain
from support.guest_world import UP, disk
from support.view import look, plan_of

KINDS = {"plain": (plain(), plain("d2", index=1, pci=14)),
         "file": (disk(template=DiskTemplate.FILE), disk("d2", index=1, template=DiskTemplate.FILE, pci=14))}


def stopped(kind="plain"):
    return disk_world(*KINDS[kind], active=False)


def running(kind="plain"):
    world = disk_world(*KINDS[kind], admin_state=UP)
    return world.run(world.config.instance("web1"))


def move(world, **fields):
    return plan_of(InstanceMoveUnit, InstanceMove, world, instance_name="web1", **{"target_node": "node2"} | fields)


def check(world):
    """Whole disks where they are recorded, and no others."""
    one = world.config.instance("web1")
    for item in world.config.disks_of(one):
        assert world.files[world._place(one.primary_node, item)].content == world.newest[item.uuid]
    assert world.orphans() == (set(), set())


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_that_runs(kind):
    world = running(kind)
    run(world, move(world))
    one = world.config.instance("web1")
    assert (one.primary_node, one.owner_epoch, one.admin_state) == ("n2", 2, UP)
    assert world.running("i1") == ["n2"]
    assert {node for item in world.config.disks_of(one) for node in item.nodes} == {"n2"}
    check(world)


def test_a_volume_that_was_rounded_up_is_copied_whole():
    world = running()
    for file in world.files.values():
        file.size = 260
    run(world, move(world))
    assert {file.size for file in world.files.values()} == {260}
    assert world.config.disks["d1"].size == 256


def test_a_guest_that_is_down():
    world = stopped()
    run(world, move(world))
    assert world.running("i1") == []
    assert world.config.instance("web1").primary_node == "n2"
    assert {place for file in world.files.values() for place in file.open_on} == set()
    check(world)


@pytest.mark.parametrize("make_world", [running, stopped])
@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_anywhere(kind, make_world):
    def make():
        world = make_world(kind)
        return world, move(world)
    check_every_cut(make, check=check)


def test_a_copy_that_fails_leaves_the_guest_where_it_was():
    world = running()
    before = world.snapshot()
    runner = Runner(world, move(world))
    world.refuse["disk_send"] = StorageError(detail="192.0.2.2 port 11001 cannot be reached")
    with pytest.raises(StorageError):
        runner.forward()
    runner.undo(max(runner.done) + 1)
    assert world.snapshot() == before
    assert world.running("i1") == ["n1"]


def test_the_port_is_reserved_while_it_is_used():
    world = stopped()
    unit, seen, view = look(InstanceMoveUnit, InstanceMove, world, instance_name="web1", target_node="node2")
    assert unit.plan(seen).reserves == (("port", str(seen.port)),)
    assert ("port", str(seen.port)) in view.reservations.own
    assert seen.hooks.pre_nodes == ("n1", "n2")


def test_refusals():
    with pytest.raises(WrongState, match="not suitable for copying"):
        move(disk_world(mirrored()))
    with pytest.raises(WrongState, match="already on the node node1"):
        move(stopped(), target_node="node1")
    with pytest.raises(WrongInput, match="Compression tool 'rar'"):
        move(stopped(), compress="rar")
    world = running()
    world.disk_free = 100
    with pytest.raises(NoResources, match="node2"):
        move(world)
    world.disk_free, world.memory_free = 50000, 10
    with pytest.raises(NoResources, match="memory on node node2"):
        move(world)
