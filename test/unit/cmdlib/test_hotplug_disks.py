# SPDX-License-Identifier: BSD-2-Clause
"""modify --disk while the guest runs: it gets and loses disks at once, at both ends of mirrors."""

from dataclasses import replace

import pytest

from gantry.cmdlib import mirror
from gantry.cmdlib.instance_set_params import InstanceSetParamsUnit
from gantry.constants import DiskTemplate
from gantry.errors import HypervisorError, WrongState
from gantry.opcodes.instance import InstanceSetParams
from gantry.utils import clock
from support.cuts import Runner, check_every_cut, run
from support.disk_world import disk_world, mirrored, plain
from support.guest_world import UP, disk
from support.view import look, plan_of

KINDS = {"plain": (plain(), plain("d2", index=1, pci=14)),
         "drbd": (mirrored(), mirrored("d2", index=1, pci=14)),
         "file": (disk(template=DiskTemplate.FILE), disk("d2", index=1, template=DiskTemplate.FILE, pci=14))}
ADD, REMOVE, DETACH = ("add", -1, {"size": 64}), ("remove", 1, {}), ("detach", 1, {})


@pytest.fixture(autouse=True)
def fixed_secrets(monkeypatch):
    """So that two runs are alike."""
    monkeypatch.setattr(mirror, "new_secret", lambda: "fresh")
    monkeypatch.setattr(clock, "epoch", lambda: 1000.0)


def running(kind="drbd"):
    world = disk_world(*KINDS[kind], admin_state=UP)
    world.given_up = {"d2"}
    return world.run(world.config.instance("web1"))


def modify(world, *edits, **fields):
    return plan_of(InstanceSetParamsUnit, InstanceSetParams, world, instance_name="web1", disks=edits, **fields)


def used(world):
    return [one.uuid for one in world.using["i1"]]


@pytest.mark.parametrize("kind", KINDS)
def test_add(kind):
    world = running(kind)
    assert run(world, modify(world, ADD)) == [["disk/2", "add:size=64,mode=rw"], ["disk/2", "hotplug:done"]]
    assert used(world) == list(world.config.instance("web1").disks)
    world.settle()
    assert world.orphans() == (set(), set())


def test_a_mirror_that_is_not_waited_for_is_known_to_be_incomplete():
    world = running()
    run(world, modify(world, ADD, wait_for_sync=False))
    *_, new = world.config.disks_of(world.config.instance("web1"))
    assert new.degraded_since == 1000.0


@pytest.mark.parametrize("kind", KINDS)
def test_remove(kind):
    world = running(kind)
    assert run(world, modify(world, REMOVE)) == [["disk/1", "remove"], ["disk/1", "hotplug:done"]]
    assert used(world) == ["d1"]
    assert world.orphans() == (set(), set())


def test_what_stays_on_a_node_that_is_offline_is_said():
    world = disk_world(*KINDS["drbd"], active=False, nodes={"n2": {"offline": True}})
    world.down.add("n2")
    world.given_up = {"d2"}
    unit, seen, view = look(InstanceSetParamsUnit, InstanceSetParams, world, instance_name="web1", disks=(REMOVE,))
    assert any("disk/1" in line and "is left on node node2" in line for line in view.lines)
    run(world, unit.plan(seen))
    assert world.config.instance("web1").disks == ("d1",)


@pytest.mark.parametrize("kind", KINDS)
def test_detach_and_attach(kind):
    world = running(kind)
    assert run(world, modify(world, DETACH)) == [["disk/1", "detach"], ["disk/1", "hotplug:done"]]
    assert used(world) == ["d1"]
    assert {device.disk for device in world.devices.values()} <= {"d1"}
    assert run(world, modify(world, ("attach", -1, {"uuid": "d2"}))) == [
        ["disk/1", "attach:size=256,mode=rw"], ["disk/1", "hotplug:done"]]
    assert used(world) == ["d1", "d2"]
    assert world.orphans() == (set(), set())


@pytest.mark.parametrize("kind", ["plain", "drbd"])
@pytest.mark.parametrize("edits", [(ADD,), (REMOVE,), (DETACH,), (ADD, REMOVE)])
def test_cut_off_anywhere(kind, edits):
    def make():
        world = running(kind)
        return world, modify(world, *edits)
    check_every_cut(make)


@pytest.mark.parametrize("kind", ["plain", "drbd"])
@pytest.mark.parametrize("up", [True, False])
def test_a_disk_that_had_newer_owners(kind, up):
    """Its last instance was moved more often than this one, which can open it all the same; and this one's mirrors are
    not taken for old because of it.
    """
    world = running(kind) if up else disk_world(*KINDS[kind], active=False)
    run(world, modify(world, DETACH))
    for file in world.files.values():
        file.epoch = 7 if file.disk == "d2" else file.epoch
    todo = modify(world, ("attach", -1, {"uuid": "d2"}))
    run(world, todo)
    one = world.config.instance("web1")
    assert one.owner_epoch == 7
    if kind == "drbd":
        ends = {path: file.epoch for path, file in world.files.items() if "data" in path}
        assert set(ends.values()) == {7}, ends
    assert used(world) == ["d1", "d2"] if up else world.devices == {}
    for node in ("n1", "n2") if kind == "drbd" else ("n1",):
        world.ask(node, "disks_assemble", {"disks": list(world.config.disks_of(one)), "instance": "web1",
                                           "owner_epoch": one.owner_epoch})


def test_a_disk_on_other_nodes_is_not_attached():
    """It was mirrored to another node when this instance's disks were, too."""
    world = running()
    run(world, modify(world, DETACH))
    other = replace(world.config.disks["d2"], nodes=("n1", "n3"))
    world.config.replace("disks", other)
    with pytest.raises(WrongState, match="d2 is not on node node2"):
        modify(world, ("attach", -1, {"uuid": "d2"}))


def test_a_disk_is_attached_once():
    """A job of another instance, which it can lie beside, cannot get it meanwhile."""
    world = running()
    run(world, modify(world, DETACH))
    unit, seen, view = look(InstanceSetParamsUnit, InstanceSetParams, world, instance_name="web1",
                            disks=(("attach", -1, {"uuid": "d2"}),))
    assert ("disk", "d2") in view.reservations.own
    assert ("disk", "d2") in unit.plan(seen).reserves


def test_attaching_cut_off_anywhere():
    def make():
        world = running()
        run(world, modify(world, DETACH))
        return world, modify(world, ("attach", -1, {"uuid": "d2"}))
    check_every_cut(make)


def test_a_guest_that_does_not_take_it_has_it_after_its_next_start():
    world = running()
    runner = Runner(world, modify(world, ADD))
    world.refuse["instance_disk_add"] = HypervisorError(detail="no slot is free")
    assert runner.forward()[-1] == ["disk/2", "hotplug:failed"]
    assert len(world.config.instance("web1").disks) == 3
    assert used(world) == ["d1", "d2"]


def test_a_guest_that_does_not_let_go_keeps_it():
    world = running()
    before = world.snapshot()
    runner = Runner(world, modify(world, REMOVE))
    world.refuse["instance_disk_remove"] = HypervisorError(detail="the guest does not answer")
    with pytest.raises(HypervisorError):
        runner.forward()
    world.refuse.clear()
    runner.undo(0)
    assert world.snapshot() == before


@pytest.mark.parametrize("fields", [{"hotplug": False}, {"obstacle": "without acpi it cannot"},
                                    {"obstacle": "without acpi it cannot", "hotplug_if_possible": True}])
def test_where_it_is_not_possible_or_not_wanted(fields):
    world = running()
    fields = dict(fields)
    world.obstacle = fields.pop("obstacle", "")
    unit, seen, view = look(InstanceSetParamsUnit, InstanceSetParams, world, instance_name="web1", disks=(ADD,),
                            **fields)
    assert run(world, unit.plan(seen)) == [["disk/2", "add:size=64,mode=rw"]]
    assert used(world) == ["d1", "d2"]
    assert any("after its next start" in line for line in view.lines)
    assert any("WARNING" in line for line in view.lines) == (bool(world.obstacle) and not fields)
