# SPDX-License-Identifier: BSD-2-Clause
"""Failover and migration of instances with mirrored disks."""

from dataclasses import replace

import pytest

from gantry.cmdlib import move
from gantry.cmdlib.instance_failover import InstanceFailoverUnit
from gantry.cmdlib.instance_migrate import InstanceMigrateUnit
from gantry.constants import DiskTemplate
from gantry.errors import HypervisorError, NodeUnreachable, StorageError, WrongInput, WrongState
from gantry.opcodes.instance import InstanceFailover, InstanceMigrate
from support.cuts import Runner, check_every_cut, fails_and_undoes, run
from support.guest_world import DOWN, UP, Process, cluster_config, instance
from support.mirror_world import MirrorWorld, mirrored
from support.view import look, plan_of


def stopped(*, nodes=None, disks=(), **fields):
    disks = disks or (mirrored(), mirrored("d2", port=11002, minor=1, pci=14, index=1))
    found = instance(**({"template": DiskTemplate.DRBD, "disks": tuple(disk.uuid for disk in disks),
                         "admin_state": DOWN} | fields))
    return MirrorWorld(cluster_config(found, disks=disks, nodes=nodes, cluster={
        "enabled_disk_templates": ("drbd", "plain"), "volume_group_name": "xenvg"}))


def running(**fields):
    world = stopped(**({"admin_state": UP, "disks_active": True} | fields))
    return world.run(world.config.instance("web1"))


def failover(world, **fields):
    return plan_of(InstanceFailoverUnit, InstanceFailover, world, **({"instance_name": "web1"} | fields))


def migrate(world, **fields):
    return plan_of(InstanceMigrateUnit, InstanceMigrate, world, **({"instance_name": "web1"} | fields))


def place(world):
    found = world.config.instance("web1")
    return found.primary_node, found.owner_epoch, world.running("i1")


def roles(world, disk="d1"):
    return {node: (end.role, end.net, end.up) for (node, uuid), end in world.ends.items() if uuid == disk}


ON_SECOND = {"n1": ("Secondary", "single", True), "n2": ("Primary", "single", True)}
ON_FIRST = {"n1": ("Primary", "single", True), "n2": ("Secondary", "single", True)}


def one_guest(world):
    assert len(world.running("i1")) == 1
    assert {end.net for end in world.ends.values()} == {"single"}


def fail_once(world, call, error):
    """The next such call fails."""
    ask, armed = world.ask, [True]

    def once(node, name, args):
        if armed and name == call:
            armed.clear()
            raise error
        return ask(node, name, args)
    world.ask = once


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(move, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(move, "LINK_PAUSES", ())


# --- failover ---


def test_failover_goes_to_the_secondary_and_leaves_a_pair():
    world = running()
    run(world, failover(world))
    assert place(world) == ("n2", 2, ["n2"])
    assert roles(world) == roles(world, "d2") == ON_SECOND
    assert {end.epoch for end in world.ends.values()} == {2}
    run(world, failover(world))
    assert place(world) == ("n1", 3, ["n1"])
    assert roles(world) == ON_FIRST


def test_failover_cut_off_anywhere():
    def make():
        world = running()
        return world, failover(world)
    check_every_cut(make, undone_without=("owner_epoch",), check=one_guest)


@pytest.mark.parametrize("active", [False, True])
def test_failover_of_a_stopped_instance_cut_off_anywhere(active):
    def make():
        world = stopped(disks_active=active)
        return world, failover(world)
    check_every_cut(make, undone_without=("owner_epoch",))
    world, plan = make()
    run(world, plan)
    assert place(world) == ("n2", 2, [])
    assert {end.up for end in world.ends.values()} == {active}
    assert {end.epoch for end in world.ends.values()} == {2}


@pytest.mark.parametrize("offline", [False, True])
def test_failover_from_a_dead_node(offline):
    world = running()
    world.fail("n1")
    if offline:
        world = running(nodes={"n1": {"offline": True}})
        world.fail("n1")
    run(world, failover(world))
    assert place(world) == ("n2", 2, ["n2"])
    assert world.ends["n1", "d1"].epoch == 1, "it has not heard of it"
    assert world.config.disks["d2"].degraded_since, "one end has all from now on"


def test_failover_from_a_dead_node_cut_off_anywhere(monkeypatch):
    monkeypatch.setattr("gantry.utils.clock.epoch", lambda: 1000.0)

    def make():
        world = running(nodes={"n1": {"offline": True}})
        world.fail("n1")
        return world, failover(world)
    check_every_cut(make, undone_without=("owner_epoch",))


def test_failover_from_a_node_that_does_not_answer_but_runs_the_guest():
    world = running()
    world.down = {"n1"}
    with pytest.raises(WrongState, match=r"which does not answer.*its disks are in use"):
        failover(world)


def test_a_mirror_may_take_a_while_to_notice_that_its_peer_is_dead(monkeypatch):
    monkeypatch.setattr(move, "LINK_PAUSES", (0.0, 0.0))
    world = running()
    world.down = {"n1"}
    looks, status = [], world._disks_status

    def notices(node, disks):
        looks.append(node)
        if len(looks) == 2:
            world.fail("n1")
        return status(node, disks)
    world._disks_status = notices
    run(world, failover(world))
    assert place(world) == ("n2", 2, ["n2"])


def test_data_that_is_being_copied_is_not_gone_on_with():
    world = running()
    for disk in ("d1", "d2"):
        world.ends["n2", disk].gen = 0
    with pytest.raises(WrongState, match=r"disk/0 of instance web1 is degraded on target node node2.*its mirror is syn"
                                         r"|degraded on target node node2, aborting failover.*is lost"):
        failover(world)
    unit, seen, view = look(InstanceFailoverUnit, InstanceFailover, world, instance_name="web1",
                            ignore_consistency=True)
    assert any("what instance web1 has written since then is lost" in line for line in view.lines)
    run(world, unit.plan(seen))
    assert place(world) == ("n2", 2, ["n2"])


def test_an_end_that_stood_alone_is_not_gone_on_with():
    world = running()
    world._drbd_disconnect("n2", world.config.disks_of(world.config.instance("web1")))
    with pytest.raises(WrongState, match="the peer is not connected"):
        failover(world)


def test_an_end_that_has_not_heard_of_the_present_owner_is_known_to_be_old():
    world = running()
    world.fail("n1")
    run(world, failover(world))
    world.down.clear()
    world.fail("n2")  # before node1 was brought up again
    with pytest.raises(WrongState, match="last brought up for owner 1 of the instance, which has had owner 2"):
        failover(world)


def test_an_end_that_was_seen_to_lack_data_is_not_gone_on_with_when_the_primary_is_dead():
    world = running()
    world.config.replace("disks", replace(world.config.disks["d2"], degraded_since=900.0))
    assert failover(world), "what the primary says now counts"
    world.fail("n1")
    with pytest.raises(WrongState, match=r"disk/1 .* it had not all data of the primary node"):
        failover(world)
    assert failover(world, ignore_consistency=True)


def test_a_stopped_instance_does_not_leave_the_only_whole_copy():
    """The secondary was away for a while before the instance was stopped; it may have to start without the other."""
    world = stopped()
    world.config.replace("disks", replace(world.config.disks["d2"], degraded_since=900.0))
    with pytest.raises(WrongState, match=r"disk/1 .* had not all data .*gnt-instance activate-disks web1"):
        failover(world)
    assert failover(world, ignore_consistency=True)


def test_a_target_that_refuses_leaves_the_guest_where_it_is():
    world = running()
    plan = failover(world)
    before = world.snapshot(without=("owner_epoch",))
    fail_once(world, "disks_open", StorageError(detail="not UpToDate"))
    assert "not UpToDate" in str(fails_and_undoes(world, plan))
    assert world.snapshot(without=("owner_epoch",)) == before
    assert place(world)[2] == ["n1"]
    world.fail("n1")
    assert failover(world), "it has heard of the owner that came to nothing"


@pytest.mark.parametrize(("unit", "op", "word"), [(InstanceFailoverUnit, InstanceFailover, "failed over"),
                                                  (InstanceMigrateUnit, InstanceMigrate, "migrated")])
def test_only_the_secondary_can_be_the_target(unit, op, word):
    with pytest.raises(WrongInput, match=f"cannot be {word} to arbitrary nodes, only to the secondary.*node2"):
        plan_of(unit, op, running(), instance_name="web1", target_node="node3")
    with pytest.raises(WrongInput, match=f"cannot be {word} to arbitrary nodes: an allocator"):
        plan_of(unit, op, running(), instance_name="web1", iallocator="hail")
    assert plan_of(unit, op, running(), instance_name="web1", target_node="node2").steps
    with pytest.raises(WrongState, match="drained"):
        plan_of(unit, op, running(nodes={"n2": {"drained": True}}), instance_name="web1")


def test_hooks_know_that_the_nodes_change_places():
    unit, seen, _ = look(InstanceFailoverUnit, InstanceFailover, running(), instance_name="web1")
    env = unit.hooks(seen).env
    assert (env["OLD_PRIMARY"], env["OLD_SECONDARY"]) == ("node1", "node2")
    assert (env["NEW_PRIMARY"], env["NEW_SECONDARY"]) == ("node2", "node1")


# --- migration ---


def test_a_migration_ends_with_one_primary():
    world = running()
    run(world, migrate(world))
    assert place(world) == ("n2", 2, ["n2"])
    assert roles(world) == roles(world, "d2") == ON_SECOND
    assert world.starts == 0
    assert {end.epoch for end in world.ends.values()} == {2}
    assert {end.gen for end in world.ends.values()} == {world.ends["n2", "d1"].gen}, "in sync again"


@pytest.mark.parametrize("fields", [{}, {"mode": "non-live"}])
def test_migration_cut_off_anywhere(fields):
    def make():
        world = running()
        return world, migrate(world, **fields)
    check_every_cut(make, undone_without=("owner_epoch",), check=one_guest)


@pytest.mark.parametrize("call", ["drbd_connect", "drbd_wait_synced", "migration_accept", "migration_send"])
def test_a_migration_that_fails_leaves_a_pair(call):
    world = running()
    plan = migrate(world)
    fail_once(world, call, HypervisorError(detail="no"))
    fails_and_undoes(world, plan)
    assert place(world) == ("n1", 2, ["n1"])
    assert roles(world) == ON_FIRST
    world._drbd_wait_synced("n1", world.config.disks_of(world.config.instance("web1")))
    run(world, migrate(world))
    assert place(world) == ("n2", 3, ["n2"])


def test_the_source_dies_when_the_guest_has_arrived():
    """Nobody tells that it was sent, but it runs on the target: were it recorded on its old node, it would be started
    there as well when that is back.
    """
    world = running()
    send = world._migration_send

    def last_act(node, **args):
        send(node, **args)
        world.fail("n1")
        raise NodeUnreachable(node="node1", call="task_status", detail="no route to host")
    world._migration_send = last_act
    runner = Runner(world, migrate(world))
    runner.forward()
    assert place(world) == ("n2", 2, ["n2"])
    assert runner.warnings, "the old node could not be told"


def test_the_source_dies_before_the_guest_has_arrived():
    world = running()

    def too_early(node, **args):
        world.fail("n1")
        raise NodeUnreachable(node="node1", call="task_status", detail="no route to host")
    world._migration_send = too_early
    with pytest.raises(NodeUnreachable):
        run(world, migrate(world))
    assert world.config.instance("web1").primary_node == "n1"


def test_only_a_synced_pair_is_migrated():
    world = running()
    world.ends["n2", "d2"].gen = 0
    with pytest.raises(WrongState, match=r"disk/1 of instance web1 is not in sync.*cannot migrate"):
        migrate(world)


def test_cleanup_makes_a_pair_again():
    world = running()
    for end in world.ends.values():
        end.net, end.role = "dual", "Primary"
    world.guests["n1"].clear()
    world.guests["n2"]["i1"] = Process(epoch=2)
    run(world, migrate(world, cleanup=True))
    assert place(world) == ("n2", 2, ["n2"])
    assert roles(world) == ON_SECOND


def test_a_dead_primary_is_failed_over_when_that_is_allowed():
    world = running(nodes={"n1": {"offline": True}})
    world.fail("n1")
    with pytest.raises(WrongState, match="can't migrate"):
        migrate(world)
    run(world, migrate(world, allow_failover=True))
    assert place(world) == ("n2", 2, ["n2"])
