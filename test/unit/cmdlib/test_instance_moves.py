# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_FAILOVER, OP_INSTANCE_MIGRATE, OP_NODE_MIGRATE."""

import pytest

from gantry.cmdlib import move, vmspec
from gantry.cmdlib.instance_failover import InstanceFailoverUnit
from gantry.cmdlib.instance_migrate import InstanceMigrateUnit
from gantry.cmdlib.instance_startup import InstanceStartupUnit
from gantry.cmdlib.node_migrate import NodeMigrateUnit
from gantry.constants import DiskTemplate
from gantry.errors import BadEnvironment, HypervisorError, NoResources, WrongInput, WrongState
from gantry.opcodes.base import decode
from gantry.opcodes.instance import InstanceFailover, InstanceMigrate, InstanceStartup
from gantry.opcodes.node import NodeMigrate
from support.cuts import Runner, check_every_cut, fails_and_undoes, run
from support.guest_world import DOWN, UP, Process, World, cluster_config, disk, instance
from support.view import look, plan_of


def stopped(*, nodes=None, template=DiskTemplate.SHAREDFILE, **fields):
    disks = (disk(template=template),) if template is not DiskTemplate.DISKLESS else ()
    found = instance(template=template, disks=tuple(item.uuid for item in disks), **fields)
    return World(cluster_config(found, disks=disks, nodes=nodes))


def running(**fields):
    world = stopped(**({"admin_state": UP, "disks_active": True} | fields))
    return world.run(world.config.instance("web1"))


def failover(world, **fields):
    return plan_of(InstanceFailoverUnit, InstanceFailover, world,
                   **({"instance_name": "web1", "target_node": "node2"} | fields))


def migrate(world, **fields):
    return plan_of(InstanceMigrateUnit, InstanceMigrate, world,
                   **({"instance_name": "web1", "target_node": "node2"} | fields))


def place(world):
    found = world.config.instance("web1")
    return found.primary_node, found.owner_epoch, world.running("i1")


# --- failover ---


@pytest.mark.parametrize("template", [DiskTemplate.SHAREDFILE, DiskTemplate.DISKLESS])
def test_failover(template):
    world = running(template=template)
    run(world, failover(world))
    assert place(world) == ("n2", 2, ["n2"])


def test_failover_of_a_stopped_instance_only_moves_the_record():
    world = stopped()
    run(world, failover(world))
    assert place(world) == ("n2", 2, [])


@pytest.mark.parametrize("template", [DiskTemplate.SHAREDFILE, DiskTemplate.DISKLESS])
def test_failover_cut_off_anywhere(template):
    def make():
        world = running(template=template)
        return world, failover(world)
    check_every_cut(make)


def test_failover_from_an_offline_node():
    world = running(nodes={"n1": {"offline": True}})
    world.guests["n1"].clear()
    run(world, failover(world))
    assert place(world) == ("n2", 2, ["n2"])


def test_failover_from_a_dead_node_that_is_not_marked_offline(monkeypatch):
    monkeypatch.setattr(move, "ASK_SECONDS", 0.0)
    world = running()
    world.guests["n1"].clear()
    world.down = {"n1"}
    run(world, failover(world))
    assert place(world) == ("n2", 2, ["n2"])


def test_failover_from_a_node_that_does_not_answer_but_runs_the_guest(monkeypatch):
    monkeypatch.setattr(move, "ASK_SECONDS", 0.0)
    world = running()
    world.down = {"n1"}
    with pytest.raises(WrongState, match=r"Could not shutdown instance web1 on node node1.*its disks are in use"):
        failover(world)


def test_a_failover_that_cannot_stop_the_guest_leaves_it_running():
    world = running()
    before = world.snapshot()
    todo = failover(world)
    world.refuse["instance_stop"] = HypervisorError(detail="stuck")
    fails_and_undoes(world, todo)
    assert world.snapshot() == before


def test_failover_refusals():
    with pytest.raises(WrongState, match="'file' does not allow failovers"):
        failover(stopped(template=DiskTemplate.FILE))
    with pytest.raises(WrongInput, match="primary node"):
        failover(stopped(), target_node="node1")
    with pytest.raises(WrongState, match="offline"):
        failover(stopped(nodes={"n2": {"offline": True}}))
    with pytest.raises(BadEnvironment, match="nosuch"):
        failover(stopped(), target_node=None, iallocator="nosuch")
    world = running()
    world.memory_free = 1
    with pytest.raises(NoResources):
        failover(world)
    world = running()
    world.files.clear()
    with pytest.raises(WrongState, match="disk/0 of instance web1 is not there on node node2"):
        failover(world)


def test_without_a_target_the_roomiest_node_is_taken():
    world = running()
    run(world, failover(world, target_node=None))
    assert place(world) == ("n2", 2, ["n2"])


def test_failover_hooks():
    unit, seen, _ = look(InstanceFailoverUnit, InstanceFailover, running(), instance_name="web1", target_node="node2")
    hooks = unit.hooks(seen)
    assert (hooks.pre_nodes, hooks.post_nodes) == (("n1", "n2"), ("n1", "n2"))
    assert hooks.env["OLD_PRIMARY"] == "node1"
    assert hooks.env["NEW_PRIMARY"] == "node2"
    assert hooks.env["NEW_SECONDARY"] == ""
    assert hooks.instance == "i1"


# --- migration ---


@pytest.mark.parametrize("template", [DiskTemplate.SHAREDFILE, DiskTemplate.DISKLESS])
def test_migrate(template):
    world = running(template=template)
    run(world, migrate(world))
    assert place(world) == ("n2", 2, ["n2"])
    assert world.guests["n2"]["i1"].epoch == 2
    assert not world.guests["n1"]
    assert world.starts == 0


@pytest.mark.parametrize("fields", [{}, {"mode": "non-live"}])
@pytest.mark.parametrize("template", [DiskTemplate.SHAREDFILE, DiskTemplate.DISKLESS])
def test_migrate_cut_off_anywhere(template, fields):
    def make():
        world = running(template=template)
        return world, migrate(world, **fields)

    def one_guest(world):
        assert len(world.running("i1")) == 1
    check_every_cut(make, undone_without=("owner_epoch",), check=one_guest)


def test_a_migration_that_fails_lets_the_guest_run_on_and_be_moved_later():
    world = running()
    todo = migrate(world)
    world.refuse["migration_send"] = HypervisorError(detail="connection refused")
    fails_and_undoes(world, todo)
    assert place(world) == ("n1", 2, ["n1"])
    world.refuse.clear()
    run(world, migrate(world))
    assert place(world) == ("n2", 3, ["n2"])


def test_after_a_failed_migration_the_old_node_can_start_the_guest_again():
    world = running()
    todo = migrate(world)
    world.refuse["migration_send"] = HypervisorError(detail="connection refused")
    fails_and_undoes(world, todo)
    world.guests["n1"].clear()
    run(world, plan_of(InstanceStartupUnit, InstanceStartup, world, instance_name="web1"))
    assert world.running("i1") == ["n1"]


def test_what_the_guest_was_started_with_is_kept():
    world = stopped(machine="")
    run(world, plan_of(InstanceStartupUnit, InstanceStartup, world, instance_name="web1", beparams={"memory": 256}))
    _, seen, _ = look(InstanceMigrateUnit, InstanceMigrate, world, instance_name="web1", target_node="node2")
    assert (seen.spec.memory, seen.spec.owner_epoch, seen.spec.machine) == (256, 2, "q35")


def test_memory_is_shrunk_to_fit():
    world = running(beparams={"minmem": 64, "maxmem": 128})
    world.memory_free = 100
    with pytest.raises(NoResources):
        migrate(world, allow_runtime_changes=False)
    run(world, migrate(world))
    assert place(world) == ("n2", 2, ["n2"])
    world.memory_free = 10
    with pytest.raises(NoResources):
        migrate(world, target_node="node3")


def test_migrate_refusals():
    with pytest.raises(WrongState, match="Instance web1 is not running, can't migrate: please use failover"):
        migrate(stopped(admin_state=UP))
    with pytest.raises(WrongState, match="is offline, can't migrate"):
        migrate(stopped(nodes={"n1": {"offline": True}}))
    with pytest.raises(WrongInput, match="Only one of"):
        migrate(running(), live=True, mode="live")
    world = running()
    world.guests["n2"]["i1"] = Process(epoch=2, state="incoming")
    with pytest.raises(WrongState, match="--cleanup"):
        migrate(world)


@pytest.mark.parametrize(("world", "fields"), [
    (stopped, {"allow_failover": True}), (lambda: running(beparams={"always_failover": True}), {})])
def test_carried_out_as_a_failover(world, fields):
    made = world()
    run(made, migrate(made, **fields))
    assert made.config.instance("web1").primary_node == "n2"
    assert not [name for _, name in made.asked if name == "migration_send"]


def test_migrate_hooks():
    unit, seen, _ = look(InstanceMigrateUnit, InstanceMigrate, running(), instance_name="web1", target_node="node2")
    env = unit.hooks(seen).env
    assert (env["MIGRATE_LIVE"], env["MIGRATE_CLEANUP"], env["ALLOW_RUNTIME_CHANGES"]) == ("True", "False", "True")


# --- migration of what is on one node only ---


def local():
    return running(template=DiskTemplate.FILE)


def test_disks_on_one_node_move_along():
    world = local()
    [before] = world.config.disks_of(world.config.instance("web1"))
    run(world, migrate(world))
    assert place(world) == ("n2", 2, ["n2"])
    [after] = world.config.disks_of(world.config.instance("web1"))
    assert (after.uuid, after.nodes, after.size) == (before.uuid, ("n2",), before.size)
    assert after.file.path != before.file.path
    assert {name: (file.content, file.open_on) for name, file in world.files.items()} == {
        f"n2:{after.file.path}": ("installed", {"n2"})}
    run(world, migrate(world, target_node="node1"))
    assert place(world) == ("n1", 3, ["n1"])


def test_moving_along_cut_off_anywhere():
    def make():
        world = local()
        return world, migrate(world)

    def one_guest(world):
        assert len(world.running("i1")) == 1
        assert len(world.files) == 1
    check_every_cut(make, undone_without=("owner_epoch",), check=one_guest)


@pytest.mark.parametrize("call", ["disk_create", "migration_accept", "migration_receive_disks",
                                  "migration_mirror_disks", "migration_send"])
def test_when_it_fails_the_guest_stays_on_its_disks(call):
    world = local()
    before = world.snapshot(without=("owner_epoch",))
    todo = migrate(world)
    world.refuse[call] = HypervisorError(detail="no")
    fails_and_undoes(world, todo)
    assert world.snapshot(without=("owner_epoch",)) == before
    assert not world.guests["n1"]["i1"].mirrored


def test_refusals_of_what_is_on_one_node_only():
    with pytest.raises(WrongInput, match="name the node that is to get them"):
        migrate(local(), target_node=None)
    with pytest.raises(WrongState, match="a failover is not possible"):
        migrate(stopped(template=DiskTemplate.FILE), allow_failover=True)
    world = local()
    world.disk_free = 1
    with pytest.raises(NoResources, match="node node2"):
        migrate(world)
    world = local()
    world.guests["n1"]["i1"].spec = vmspec.build(world.config, world.config.instance("web1"), ())
    with pytest.raises(WrongState, match="runs without its disk/0"):
        migrate(world)


# --- cleanup ---


@pytest.mark.parametrize("cut", [3, 4, 5])
def test_cleanup_records_where_the_guest_really_is(cut):
    world = running()
    todo = migrate(world)
    runner = Runner(world, todo)
    for index, step in enumerate(todo.steps[:cut]):
        runner.results[step.key] = world.act(step.action, runner.results)
        assert index < cut
    run(world, migrate(world, cleanup=True, target_node=None))
    assert place(world) == ("n2", 2, ["n2"])
    assert not world.guests["n1"]


def test_cleanup_ends_what_waits_on_the_target():
    world = running()
    todo = migrate(world)
    runner = Runner(world, todo)
    for step in todo.steps[:2]:
        runner.results[step.key] = world.act(step.action, runner.results)
    run(world, migrate(world, cleanup=True, target_node=None))
    assert place(world) == ("n1", 2, ["n1"])
    assert not world.guests["n2"]


def test_cleanup_of_what_runs_nowhere_or_twice():
    with pytest.raises(WrongState, match="not running anywhere"):
        migrate(stopped(), cleanup=True, target_node=None)
    world = running()
    world.guests["n3"]["i1"] = Process(epoch=1)
    with pytest.raises((WrongState, AssertionError)):
        migrate(world, cleanup=True, target_node=None)


# --- a whole node ---


def test_node_migrate_submits_a_job_an_instance():
    more = [instance(f"web{index}", f"i{index}", disks=()) for index in (10, 2)]
    world = World(cluster_config(*more))
    result = run(world, plan_of(NodeMigrateUnit, NodeMigrate, world, node_name="node1", target_node="node2",
                                mode="live"))
    assert result == {"jobs": [[True, 0], [True, 1]]}
    jobs = [decode(job[0]) for job in world.jobs]
    assert [(job.instance_name, job.target_node, job.mode) for job in jobs] == [
        ("web2", "node2", "live"), ("web10", "node2", "live")]


def test_node_migrate_of_an_empty_node():
    world = World(cluster_config())
    assert run(world, plan_of(NodeMigrateUnit, NodeMigrate, world, node_name="node1")) == {"jobs": []}


def test_admin_down_stays_down():
    world = running(admin_state=DOWN)
    run(world, failover(world))
    assert place(world) == ("n2", 2, [])


def test_a_complete_migration_taken_for_failed_does_not_lose_the_guest():
    world = running()
    todo = migrate(world)
    runner = Runner(world, todo)
    for step in todo.steps[:3]:
        runner.results[step.key] = world.act(step.action, runner.results)
    with pytest.raises(HypervisorError, match="complete"):
        world.act(todo.steps[1].undo, runner.results)
    assert world.running("i1") == ["n2"]
    run(world, migrate(world, cleanup=True, target_node=None))
    assert place(world) == ("n2", 2, ["n2"])
