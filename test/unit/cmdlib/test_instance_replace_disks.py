# SPDX-License-Identifier: BSD-2-Clause
"""replace-disks: new volumes at one end, another secondary; a good copy is there at every moment."""

import pytest

from gantry.cmdlib import mirror
from gantry.cmdlib.instance_replace_disks import InstanceReplaceDisksUnit
from gantry.errors import NoResources, StorageError, WrongInput, WrongState
from gantry.opcodes.instance import InstanceReplaceDisks
from gantry.utils import clock
from support.cuts import Runner, check_every_cut, check_half_a_removal, fails_and_undoes, run
from support.disk_world import disk_world, mirrored, plain, without
from support.guest_world import UP
from support.view import look, plan_of

MODES = [{"mode": "replace_on_primary"}, {"mode": "replace_on_secondary"},
         {"mode": "replace_new_secondary", "remote_node": "node3"}]
DISKS = (mirrored(), mirrored("d2", index=1, pci=14))


@pytest.fixture(autouse=True)
def fixed_secrets(monkeypatch):
    """So that two runs are alike."""
    monkeypatch.setattr(mirror, "new_secret", lambda: "fresh")
    monkeypatch.setattr(clock, "epoch", lambda: 1000.0)


def replace(world, **fields):
    return plan_of(InstanceReplaceDisksUnit, InstanceReplaceDisks, world, instance_name="web1", **fields)


def running(*disks, **fields):
    world = disk_world(*(disks or DISKS), admin_state=UP, **fields)
    return world.run(world.config.instance("web1"))


def clean(world):
    world.settle()
    missing, devices = world.orphans()
    assert (missing, devices) == (set(), set())


def ends(world, uuid="d1"):
    return {end.node: end for end in world.config.disks[uuid].drbd.ends}


@pytest.mark.parametrize(("mode", "node"), [("replace_on_primary", "n1"), ("replace_on_secondary", "n2")])
def test_new_volumes_at_one_end(mode, node):
    world = running()
    before = ends(world)
    run(world, replace(world, mode=mode, disks=(0,)))
    now = ends(world)
    other = {"n1": "n2", "n2": "n1"}[node]
    assert now[other] == before[other]
    assert (now[node].minor, now[node].address) == (before[node].minor, before[node].address)
    assert {now[node].data, now[node].meta}.isdisjoint({before[node].data, before[node].meta})
    assert ends(world, "d2") == {end.node: end for end in DISKS[1].drbd.ends}
    clean(world)


def test_a_new_secondary():
    world = running()
    before = world.config.disks["d1"].drbd
    run(world, replace(world, mode="replace_new_secondary", remote_node="node3"))
    disk = world.config.disks["d1"]
    assert set(disk.nodes) == set(ends(world)) == {"n1", "n3"}
    assert ends(world)["n1"] == before.end("n1")
    assert disk.drbd.secret != before.secret
    assert world.config.secondaries_of(world.config.instance("web1")) == ("n3",)
    assert {node for node, _ in world.devices} == {"n1", "n3"}
    clean(world)


def test_a_secondary_that_is_lost():
    world = running(nodes={"n2": {"offline": True}})
    world.down.add("n2")
    run(world, replace(world, mode="replace_new_secondary", remote_node="node3"))
    assert world.config.secondaries_of(world.config.instance("web1")) == ("n3",)


def test_a_secondary_that_does_not_answer_keeps_its_volumes_and_that_is_said():
    world = running()
    world.down.add("n2")
    unit, seen, view = look(InstanceReplaceDisksUnit, InstanceReplaceDisks, world, instance_name="web1",
                            mode="replace_new_secondary", remote_node="node3")
    assert any("old volumes of instance web1 stay on node node2" in line for line in view.lines)
    run(world, unit.plan(seen))
    assert not any(node == "n2" and name != "version" for node, name in world.asked)


@pytest.mark.parametrize("fields", MODES)
@pytest.mark.parametrize(("state", "early"), [("running", False), ("running", True), ("down", False)])
def test_cut_off_anywhere(fields, early, state):
    def make():
        world = running() if state == "running" else disk_world(*DISKS, active=False)
        return world, replace(world, early_release=early, **fields)
    check_every_cut(make, check=clean, undone_without=("degraded_since",))


@pytest.mark.parametrize("fields", MODES)
@pytest.mark.parametrize("early", [False, True])
def test_canceled_while_old_volumes_are_removed(fields, early):
    world = running()
    check_half_a_removal(world, replace(world, early_release=early, **fields))
    clean(world)


@pytest.mark.parametrize("fields", MODES)
@pytest.mark.parametrize("call", ["disk_create", "disks_assemble", "drbd_replace_local", "drbd_replace_peer",
                                  "drbd_wait_synced"])
def test_what_fails_is_undone(fields, call):
    world = running()
    todo = replace(world, **fields)
    called = {step.action.call for step in todo.steps if hasattr(step.action, "call")}
    if call not in called:
        return
    before = world.snapshot(without=("degraded_since",))
    runner = Runner(world, todo)
    for index, step in enumerate(todo.steps):
        if getattr(step.action, "call", "") == call:
            world.refuse[call] = StorageError(detail="no")
            with pytest.raises(StorageError):
                runner.forward()
            del world.refuse[call]
            runner.undo(index)
            break
    assert world.snapshot(without=("degraded_since",)) == before


@pytest.mark.parametrize(("fields", "since"), [(MODES[0], None), (MODES[1], 1000.0), (MODES[2], 1000.0)])
def test_an_end_that_is_being_filled_is_known_to_be_incomplete(fields, since):
    """Nobody may fail over to it: not while it is filled, and not when all was undone until it is seen to be whole."""
    world = running()
    runner = Runner(world, replace(world, **fields))
    world.refuse["drbd_wait_synced"] = StorageError(detail="no progress")
    with pytest.raises(StorageError):
        runner.forward()
    assert world.config.disks["d1"].degraded_since == since
    del world.refuse["drbd_wait_synced"]
    runner.undo(max(runner.done) + 1)
    assert world.config.disks["d1"].degraded_since == since
    world = running()
    run(world, replace(world, **fields))
    assert world.config.disks["d1"].degraded_since is None


def test_early_release_removes_before_the_sync():
    world = running()
    run(world, replace(world, early_release=True, mode="replace_on_secondary"))
    calls = [name for _, name in world.asked]
    assert calls.index("disk_remove") < calls.index("drbd_wait_synced")
    world = running()
    run(world, replace(world, mode="replace_on_secondary"))
    calls = [name for _, name in world.asked]
    assert calls.index("disk_remove") > calls.index("drbd_wait_synced")


@pytest.mark.parametrize(("node", "side"), [("n1", "primary"), ("n2", "secondary")])
def test_broken_disks_are_found(node, side):
    world = running()
    where = DISKS[1].drbd.end(node).data
    without(world, f"{node}:{where.vg}/{where.lv}")
    before = ends(world, "d2")
    unit, seen, _ = look(InstanceReplaceDisksUnit, InstanceReplaceDisks, world, instance_name="web1",
                         mode="replace_auto")
    assert [swap.index for swap in seen.swaps] == [1]
    assert seen.node.uuid == node
    assert unit.plan(seen).steps
    assert before


def test_nothing_is_broken():
    world = running()
    unit, seen, view = look(InstanceReplaceDisksUnit, InstanceReplaceDisks, world, instance_name="web1",
                            mode="replace_auto")
    assert unit.plan(seen).steps == ()
    assert any("nothing to replace" in line for line in view.lines)


def test_mirrors_that_are_down_are_not_said_to_be_whole():
    """Their volumes are there, but what is in them nobody has seen."""
    world = disk_world(*DISKS, active=False)
    with pytest.raises(WrongState, match=r"not active.* gnt-instance activate-disks web1"):
        replace(world, mode="replace_auto")


def test_broken_on_both_nodes():
    world = running()
    for node, disk in (("n1", DISKS[0]), ("n2", DISKS[1])):
        where = disk.drbd.end(node).data
        without(world, f"{node}:{where.vg}/{where.lv}")
    with pytest.raises(WrongState, match="broken disks on both nodes"):
        replace(world, mode="replace_auto")


def test_the_only_good_copy_is_never_given_up():
    world = running()
    for disk in DISKS:
        world.files[f"n2:vg0/{disk.drbd.end('n2').meta.lv}"].content = "Inconsistent"
    with pytest.raises(WrongState, match="only good copy"):
        replace(world, mode="replace_on_primary")
    world.devices = {}
    world.using, world.guests["n1"] = {}, {}
    todo = replace(world, mode="replace_on_primary")  # nobody can tell yet: the node will
    before = world.snapshot()
    assert isinstance(fails_and_undoes(world, todo), StorageError)
    assert world.config.disks["d1"] == DISKS[0]
    assert before["files"].keys() == world.files.keys()


def test_steps_are_told():
    world = running()
    unit, seen, view = look(InstanceReplaceDisksUnit, InstanceReplaceDisks, world, instance_name="web1",
                            mode="replace_on_secondary")
    titles = [line for line in (*view.lines, *(step.title for step in unit.plan(seen).steps))
              if line.startswith("STEP")]
    assert titles == ["STEP 1/6 Check device existence", "STEP 2/6 Check peer consistency",
                      "STEP 3/6 Allocate new storage", "STEP 4/6 Changing drbd configuration",
                      "STEP 5/6 Sync devices", "STEP 6/6 Removing old storage"]


def test_hooks():
    world = running()
    _, seen, _ = look(InstanceReplaceDisksUnit, InstanceReplaceDisks, world, instance_name="web1",
                      mode="replace_new_secondary", remote_node="node3")
    assert seen.hooks.pre_nodes == ("n1", "n3")
    assert (seen.hooks.env["NEW_SECONDARY"], seen.hooks.env["OLD_SECONDARY"]) == ("node3", "node2")


def test_refusals():
    with pytest.raises(WrongInput, match="template plain"):
        replace(disk_world(plain()), mode="replace_on_primary")
    world = running()
    for fields, text in [({"mode": "replace_new_secondary"}, "give the node or an iallocator"),
                         ({"mode": "replace_new_secondary", "remote_node": "node3", "iallocator": "hail"}, "not both"),
                         ({"mode": "replace_on_primary", "remote_node": "node3"}, "only to change the secondary"),
                         ({"mode": "replace_auto", "disks": (0,)}, "found automatically"),
                         ({"mode": "replace_new_secondary", "remote_node": "node3", "disks": (0,)}, "all disks"),
                         ({"mode": "replace_new_secondary", "remote_node": "node1"}, "is the primary node"),
                         ({"mode": "replace_new_secondary", "remote_node": "node2"}, "secondary node .* already")]:
        with pytest.raises(WrongInput, match=text):
            replace(world, **fields)
    world.disk_free = 100
    with pytest.raises(NoResources, match="node3"):
        replace(world, mode="replace_new_secondary", remote_node="node3")
    world.down.add("n2")
    with pytest.raises(WrongState, match="Both nodes"):
        replace(world, mode="replace_on_secondary")
