# SPDX-License-Identifier: BSD-2-Clause
"""modify -t: between plain, mirrored and file disks, with the guest stopped and while it runs."""

import pytest

from gantry.cmdlib import mirror
from gantry.cmdlib.instance_set_params import InstanceSetParamsUnit
from gantry.constants import DiskTemplate
from gantry.errors import HypervisorError, NodeUnreachable, NoResources, StorageError, WrongInput, WrongState
from gantry.opcodes.instance import InstanceSetParams
from gantry.utils import clock
from support.cuts import Runner, check_every_cut, check_half_a_removal, run
from support.disk_world import disk_world, mirrored, plain
from support.guest_world import UP, disk
from support.view import look, plan_of

PLAIN, DRBD = (plain(), plain("d2", index=1, pci=14)), (mirrored(), mirrored("d2", index=1, pci=14))
FILE = (disk(template=DiskTemplate.FILE), disk("d2", index=1, template=DiskTemplate.FILE, pci=14))
WAYS = [(PLAIN, {"disk_template": "drbd", "remote_node": "node2"}), (DRBD, {"disk_template": "plain"}),
        (FILE, {"disk_template": "plain"}), (FILE, {"disk_template": "drbd", "remote_node": "node3"}),
        (PLAIN, {"disk_template": "file"}), (DRBD, {"disk_template": "file"})]
NAMES = [f"{disks[0].dev_type}-{fields['disk_template']}" for disks, fields in WAYS]


@pytest.fixture(autouse=True)
def fixed_secrets(monkeypatch):
    """So that two runs are alike."""
    monkeypatch.setattr(mirror, "new_secret", lambda: "fresh")
    monkeypatch.setattr(clock, "epoch", lambda: 1000.0)


def modify(world, **fields):
    return plan_of(InstanceSetParamsUnit, InstanceSetParams, world, instance_name="web1", **fields)


def stopped(disks, **fields):
    return disk_world(*disks, active=False, **fields)


def running(disks, **fields):
    world = disk_world(*disks, admin_state=UP, **fields)
    return world.run(world.config.instance("web1"))


def clean(world):
    world.settle()
    assert world.orphans() == (set(), set())


def newest(world):
    """Whether the disks are whole where they are recorded."""
    world.settle()
    found = world.config.disks_of(world.config.instance("web1"))
    return all(world.files[world._place("n1", disk)].content == world.newest[disk.uuid] for disk in found)


@pytest.mark.parametrize(("disks", "fields"), WAYS, ids=NAMES)
def test_offline(disks, fields):
    world = stopped(disks)
    assert run(world, modify(world, **fields)) == [["disk_template", fields["disk_template"]]]
    one = world.config.instance("web1")
    found = world.config.disks_of(one)
    assert {one.disk_template, *(disk.dev_type for disk in found)} == {fields["disk_template"]}
    assert [(disk.uuid, disk.pci, disk.size) for disk in found] == [("d1", 12, 256), ("d2", 14, 256)]
    assert newest(world)
    assert world.devices == {}
    clean(world)


@pytest.mark.parametrize(("disks", "fields"), WAYS, ids=NAMES)
def test_live(disks, fields):
    world = running(disks)
    assert run(world, modify(world, live=True, **fields)) == [["disk_template", fields["disk_template"]]]
    found = world.config.disks_of(world.config.instance("web1"))
    assert {disk.dev_type for disk in found} == {disk.dev_type for disk in world.using["i1"]} == {
        fields["disk_template"]}
    assert world.running("i1") == ["n1"]
    assert newest(world)
    clean(world)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("disks", "fields"), WAYS, ids=NAMES)
def test_cut_off_anywhere(disks, fields, live):
    def make():
        world = running(disks) if live else stopped(disks)
        return world, modify(world, live=live, **fields)
    check_every_cut(make, check=clean)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("disks", "fields"), WAYS, ids=NAMES)
def test_canceled_while_the_old_disks_are_removed(disks, fields, live):
    """There is no way back to a disk that is partly gone, and the way there would remove the only copy."""
    world = running(disks) if live else stopped(disks)
    plan = modify(world, live=live, **fields)
    if not live and fields["disk_template"] == "drbd" and disks is PLAIN:
        assert not any("removing" in step.title for step in plan.steps)  # the data stay where they are
        return
    check_half_a_removal(world, plan)
    assert newest(world)
    clean(world)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("fields", [{"disk_template": "drbd", "remote_node": "node2"}, {"disk_template": "file"}])
def test_a_volume_that_was_rounded_up_is_not_cut_off(fields, live):
    """The guest may use what is more."""
    world = running(PLAIN) if live else stopped(PLAIN)
    for file in world.files.values():
        file.size = 260
    run(world, modify(world, live=live, **fields))
    assert [world.config.disks[uuid].size for uuid in ("d1", "d2")] == [260, 260]
    assert {file.size for path, file in world.files.items() if "meta" not in path} == {260}


def test_the_data_stay_where_they_are_between_plain_and_drbd():
    world = stopped(PLAIN)
    run(world, modify(world, disk_template="drbd", remote_node="node2"))
    end = world.config.disks["d1"].drbd.end("n1")
    assert end.data == PLAIN[0].lvm
    run(world, modify(world, disk_template="plain"))
    assert world.config.disks["d1"].lvm == PLAIN[0].lvm
    assert "disk_copy" not in [name for _, name in world.asked]


def test_the_log_reads_as_operators_know_it():
    world = stopped(DRBD)
    titles = [step.title for step in modify(world, disk_template="plain").steps]
    assert [line for line in titles if line.startswith(("Conv", "Remov"))] == [
        "Converting disk template from 'drbd' to 'plain'", "Removing volumes on the secondary node...",
        "Removing unneeded volumes on the primary node..."]
    world = stopped(PLAIN)
    titles = [step.title for step in modify(world, disk_template="drbd", remote_node="node2").steps]
    assert [line for line in titles if line.startswith(("Conv", "Creat", "Init"))] == [
        "Converting disk template from 'plain' to 'drbd'", "Creating additional volumes...",
        "Initializing DRBD devices..."]


def test_an_old_copy_is_not_taken_for_the_disk():
    """The primary's mirror is out of date: the disk would go back in time."""
    world = stopped(DRBD)
    for one in DRBD:
        world.files[f"n1:vg0/{one.drbd.end('n1').meta.lv}"].content = "Inconsistent"
    world.down.add("n2")
    todo = modify(world, disk_template="plain")
    with pytest.raises(StorageError, match="Inconsistent"):
        Runner(world, todo).forward()
    assert world.config.disks["d1"].dev_type is DiskTemplate.DRBD


def test_a_copy_that_is_being_filled_is_not_taken_for_the_disk():
    """Its disks are active, so nothing need be promoted: what is missing on the primary comes from the secondary."""
    world = disk_world(*DRBD, active=True)
    world.files[f"n1:vg0/{DRBD[1].drbd.end('n1').meta.lv}"].content = "Inconsistent"
    with pytest.raises(WrongState, match=r"disk/1 .* only good copy"):
        modify(world, disk_template="plain")
    modify(world, disk_template="file")  # copied from where it is whole


def test_the_second_disk_fails_live():
    """The first one goes back, and was recorded where it was all the time."""
    world = running(PLAIN)
    todo = modify(world, disk_template="drbd", remote_node="node2", live=True)
    before = world.snapshot()
    exchange = type(world)._instance_disk_exchange

    def failing(node, instance, hypervisor, old, new, owner_epoch):
        if new.uuid == "d2" and new.drbd is not None:
            raise HypervisorError(detail="I/O error on the copy")
        recorded = world.config.disks["d1"].dev_type
        using = next(item for item in world.using["i1"] if item.uuid == "d1").dev_type
        assert recorded == using or old.uuid == "d1"
        exchange(world, node, instance, hypervisor, old, new, owner_epoch)

    world._instance_disk_exchange = failing
    runner = Runner(world, todo)
    with pytest.raises(HypervisorError):
        runner.forward()
    runner.undo(max(runner.done) + 1)
    assert world.snapshot() == before


@pytest.mark.parametrize("dies", ["second disk", "sync"])
def test_the_node_dies_after_a_disk_was_exchanged(dies):
    """Nobody can let the guest go back.  What was written since lies on the new disk, which is recorded and stays."""
    world = running(PLAIN)
    todo = modify(world, live=True, disk_template="drbd", remote_node="node2")
    copied = []

    def dying(inner):
        def call(node, **args):
            copied.append(node)
            if len(copied) == {"second disk": 2, "sync": 3}[dies]:
                world.down.add("n1")
                raise NodeUnreachable(node="node1", call="task_status", detail="no route to host")
            return inner(node, **args)
        return call
    world._instance_disk_exchange = dying(world._instance_disk_exchange)
    world._drbd_wait_synced = dying(world._drbd_wait_synced)
    runner = Runner(world, todo)
    with pytest.raises(NodeUnreachable):
        runner.forward()
    reached = max(runner.done) + 1
    if not runner.past_return(reached):
        runner.undo(reached, lenient=True)
    world.down.clear()
    for one in world.config.disks_of(world.config.instance("web1")):
        assert world.files[world._place("n1", one)].content == world.newest[one.uuid], one
    first = world.config.disks["d1"].drbd
    assert {path for path in (f"{end.node}:vg0/{end.data.lv}" for end in first.ends) if path in world.files} == {
        f"{end.node}:vg0/{end.data.lv}" for end in first.ends}, "both ends of it are there"


def test_a_lost_secondary_is_no_obstacle_to_plain():
    world = stopped(DRBD, nodes={"n2": {"offline": True}})
    unit, seen, view = look(InstanceSetParamsUnit, InstanceSetParams, world, instance_name="web1",
                            disk_template="plain")
    assert any("old volumes" in line for line in view.lines)
    run(world, unit.plan(seen))
    assert world.config.disks["d1"].nodes == ("n1",)


def test_nobody_waits_when_that_is_not_wanted():
    world = stopped(PLAIN)
    run(world, modify(world, disk_template="drbd", remote_node="node2", wait_for_sync=False))
    assert "drbd_wait_synced" not in [name for _, name in world.asked]
    assert world.config.disks["d1"].degraded_since == 1000.0
    run(world, modify(world, disk_template="plain"))
    assert world.config.disks["d1"].degraded_since is None


def test_a_volume_that_is_lost():
    world = stopped(PLAIN)
    del world.files["n1:vg0/d2.disk1"], world.newest["d2"]
    with pytest.raises(WrongState, match="disk/1 of instance web1 is not there"):
        modify(world, disk_template="drbd", remote_node="node2")


def test_refusals():
    with pytest.raises(WrongState, match=r"marked to be up, cannot change disk template \(stop it, or give --live"):
        modify(running(DRBD), disk_template="plain")
    with pytest.raises(WrongState, match="does not run"):
        modify(stopped(DRBD), disk_template="plain", live=True)
    world = stopped(PLAIN)
    for fields, text in [({"disk_template": "plain"}, "already has"), ({"disk_template": "drbd"}, "secondary node"),
                         ({"disk_template": "diskless"}, "diskless cannot be converted"),
                         ({"disk_template": "file", "remote_node": "node2"}, "only for disk template drbd"),
                         ({"disk_template": "file", "beparams": {"vcpus": 2}}, "goes alone"),
                         ({"disk_template": "drbd", "remote_node": "node1"}, "primary node"),
                         ({"beparams": {"vcpus": 2}, "live": True}, "only for a change of the disk template")]:
        with pytest.raises(WrongInput, match=text):
            modify(world, **fields)
    world.disk_free = 300
    with pytest.raises(NoResources, match="node2"):
        modify(world, disk_template="drbd", remote_node="node2")
    world.refuse["instance_hotplug_obstacle"] = HypervisorError(detail="too old")
