# SPDX-License-Identifier: BSD-2-Clause
"""OP_BACKUP_EXPORT and OP_BACKUP_REMOVE: an export is whole or not there, and the guest goes on."""

import asyncio

import pytest

from gantry.cmdlib import export_ini
from gantry.cmdlib.backup_export import BackupExportUnit
from gantry.cmdlib.backup_prepare import BackupPrepareUnit
from gantry.cmdlib.backup_remove import BackupRemoveUnit
from gantry.constants import DiskTemplate
from gantry.errors import ExecError, NoResources, NotFound, StorageError, WrongInput, WrongState
from gantry.opcodes.backup import BackupExport, BackupPrepare, BackupRemove
from gantry.utils import clock
from support.cuts import Runner, check_every_cut, fails_and_undoes, run
from support.disk_world import mirrored, plain
from support.export_world import export_world
from support.guest_world import UP, disk
from support.view import FakeView, look, plan_of

KINDS = {"plain": lambda: (plain(),), "plains": lambda: (plain(), plain("d2", index=1, pci=14)),
         "drbd": lambda: (mirrored(),), "file": lambda: (disk(template=DiskTemplate.FILE),)}


def running(kind="plain"):
    world = export_world(*KINDS[kind](), admin_state=UP)
    return world.run(world.config.instance("web1"))


def down(kind="plain"):
    return export_world(*KINDS[kind](), active=False)


def seen(world, **fields):
    return look(BackupExportUnit, BackupExport, world, instance_name="web1", **{"target_node": "node3"} | fields)


def export(world, **fields):
    return plan_of(BackupExportUnit, BackupExport, world, instance_name="web1", **{"target_node": "node3"} | fields)


def check(world):
    """No snapshot is left, and the guest runs if it ran."""
    assert world.orphans() == (set(), set())
    if world.config.instances:
        assert world.running("i1") == (["n1"] if world.config.instance("web1").admin_state == UP else [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fields", [{}, {"shutdown": False}])
def test_a_guest_that_runs_goes_on(kind, fields):
    world = running(kind)
    plan = export(world, **fields)
    result = run(world, plan)
    assert result == [True, [True] * len(KINDS[kind]())]
    assert (world.starts, world.config.instance("web1").admin_state) == (0 if fields else 1, UP)
    assert {*world.exports["n3", "web1"]} == {"config", *world.config.instance("web1").disks}
    check(world)


@pytest.mark.parametrize("fields", [{}, {"shutdown": False}])
def test_a_guest_that_stands_still_is_not_set_going(fields):
    world = running("plains")
    world.guests["n1"]["i1"].state = "paused"
    plan = export(world, **fields)
    run(world, plan)
    starts = [step.action.args["paused"] for step in plan.steps if getattr(step.action, "call", "") == "instance_start"]
    assert (starts, world.guests["n1"]["i1"].state == "paused") == (([], True) if fields else ([True], False))


def test_several_disks_are_of_one_moment():
    world = running("plains")
    run(world, export(world, shutdown=False))
    one, two = (world.exports["n3", "web1"][name] for name in ("d1", "d2"))
    assert abs(int(one[1:]) - int(two[1:])) == 1, "they were written one after the other, then snapshots were made"


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_that_is_down_is_read_without_snapshots(kind):
    world = down(kind)
    run(world, export(world))
    assert "disk_snapshot" not in {name for _, name in world.asked}
    assert set(world.exports["n3", "web1"].values()) > {"installed"}
    assert not any(file.open_on for file in world.files.values())
    assert world.devices == {}
    check(world)


@pytest.mark.parametrize(("kind", "fields"), [
    ("plain", {}), ("plains", {"shutdown": False}), ("drbd", {}), ("drbd", {"remove_instance": True}),
    ("file", {"shutdown": False})])
def test_cut_off_anywhere(kind, fields):
    def make():
        world = running(kind)
        world.exports["n2", "web1"] = {"config": "", "d1": "old"}
        world.given_up = {"d1", "d2"} if fields.get("remove_instance") else set()
        return world, export(world, **fields)
    check_every_cut(make, check=check)


@pytest.mark.parametrize(("kind", "away"), [("plain", set()), ("drbd", set()), ("drbd", {"n2"})])
def test_cut_off_anywhere_with_the_guest_down(kind, away, monkeypatch):
    """A mirror that is left out is known to be old from then on: it cannot tell that nothing was written."""
    monkeypatch.setattr(clock, "epoch", lambda: 1000.0)

    def make():
        world = down(kind)
        world.down = away
        return world, export(world)
    check_every_cut(make, check=check, undone_without=("owner_epoch", "degraded_since") if away else ())


@pytest.mark.parametrize("call", [
    "export_begin", "instance_stop", "disk_snapshot", "export_send", "export_receive", "export_finish"])
def test_what_fails_leaves_all_as_it_was(call):
    world = running("plains")
    world.exports["n3", "web1"] = {"config": "", "d1": "old"}
    plan = export(world)
    before = world.snapshot()
    world.refuse[call] = ExecError(detail="no")
    assert str(fails_and_undoes(world, plan)) == "no"
    assert world.snapshot() == before
    assert world.running("i1") == ["n1"]


def test_a_dump_that_fails_does_not_stop_the_guest_again():
    world = running()
    runner = Runner(world, export(world))
    world.refuse["export_send"] = StorageError(detail="no space left")
    with pytest.raises(StorageError):
        runner.forward()
    asked = len(world.asked)
    runner.undo(max(runner.done) + 1)
    assert "instance_stop" not in {name for _, name in world.asked[asked:]}
    assert (world.running("i1"), world.starts) == (["n1"], 1)


def test_it_is_removed_afterwards():
    world = running("drbd")
    world.given_up = {"d1"}
    run(world, export(world, remove_instance=True))
    assert (world.config.instances, world.config.disks, world.files, world.devices) == ({}, {}, {}, {})
    assert ("n3", "web1") in world.exports


def test_what_cannot_be_removed_is_a_warning_if_that_is_wanted():
    world = running()
    world.refuse["disk_remove"] = StorageError(detail="it is in use")
    runner = Runner(world, export(world, remove_instance=True, ignore_remove_failures=True))
    runner.forward()
    assert runner.warnings == ["it is in use"]
    assert world.config.instances == {}


def test_older_exports_elsewhere_go():
    world = down()
    world.exports["n1", "web1"] = world.exports["n2", "web1"] = {"config": ""}
    world.exports["n2", "web2"] = {"config": ""}
    run(world, export(world))
    assert set(world.exports) == {("n3", "web1"), ("n2", "web2")}


def test_the_configuration_of_the_export():
    world = down("plains")
    for file in world.files.values():
        file.size = 260
    run(world, export(world))
    found = export_ini.read(world.exports["n3", "web1"]["config"], "it")
    assert (found.name, found.os, found.disk_template, found.hypervisor) == ("web1", "tiny", "plain", "fake")
    assert found.disks == ({"size": 260, "dump": "d1"}, {"size": 260, "dump": "d2"}), "what a guest can use of them"
    assert found.beparams["maxmem"] == "128"
    [nic] = found.nics
    assert (nic["mac"], nic["mode"], nic["link"]) == ("aa:00:00:00:00:02", "bridged", "br0")


def test_room_for_snapshots():
    world = running()
    world.disk_free = 100
    _, found, view = seen(world)
    [snapshot] = found.snapshots
    assert snapshot.room == 90
    assert any("100 MiB free: when more than 90 MiB" in line for line in view.lines)
    world.disk_free = 20
    with pytest.raises(NoResources, match="29 MiB are needed at least"):
        seen(world)
    world = running("file")
    world.disk_free = 100
    with pytest.raises(NoResources):
        seen(world)


def test_verify_knows_whose_the_copies_are():
    unit, found, _ = seen(running("file"))
    assert ("snapshot", found.snapshots[0].made.file.path) in unit.plan(found).reserves


def test_hooks_and_locks():
    unit, found, view = seen(down("drbd"))
    assert found.hooks.path == "instance-export"
    assert found.hooks.pre_nodes == ("n1", "n3")
    assert found.hooks.env["EXPORT_NODE"] == "node3"
    assert found.hooks.env["EXPORT_DO_SHUTDOWN"] == "True"
    assert unit.locks(view).exclusive == {"instance": {"web1"}}
    assert unit.locks(view).shared["node"] == {"n3"}, "others go on while it is copied"
    unit, _, view = seen(down("drbd"), remove_instance=True)
    assert unit.locks(view).shared["node"] == {"n1", "n2", "n3"}


@pytest.mark.parametrize(("fields", "why"), [
    ({"mode": "remote", "target_node": [["h", 1, "m"]]}, "mode remote"), ({"zero_free_space": True}, "zeroed"),
    ({"remove_instance": True, "shutdown": False}, "without shutting it down"), ({"compress": "rar"}, "'rar'")])
def test_wrong_input(fields, why):
    with pytest.raises(WrongInput, match=why):
        export(down(), **fields)


def test_preparing():
    unit, found, _ = look(BackupPrepareUnit, BackupPrepare, down(), instance_name="web1", mode="local")
    assert unit.plan(found).result is None
    with pytest.raises(WrongInput, match="to another cluster"):
        look(BackupPrepareUnit, BackupPrepare, down(), instance_name="web1", mode="remote")


def test_refusals():
    with pytest.raises(WrongState, match="drained"):
        export(export_world(plain(), nodes={"n3": {"drained": True}}))
    with pytest.raises(WrongState, match="offline"):
        export(export_world(plain(), nodes={"n3": {"offline": True}}))
    with pytest.raises(NotFound, match="'other'"):
        export(export_world(plain(), os="other+x"))
    world = running("drbd")
    world.files[world._meta("n1", world.devices["n1", 0].end)].content = "Inconsistent"
    with pytest.raises(WrongState, match="Inconsistent on its primary node"):
        export(world)


def test_a_diskless_guest_is_not_stopped():
    world = export_world(admin_state=UP, os="")
    world.run(world.config.instance("web1"))
    assert run(world, export(world)) == [True, []]
    assert world.starts == 0
    assert "instance_stop" not in {name for _, name in world.asked}


# --- removing ---


def remove(world, name="web1"):
    return plan_of(BackupRemoveUnit, BackupRemove, world, instance_name=name)


def test_all_exports_of_a_name_go():
    def make():
        world = down()
        for node, name in (("n1", "web1"), ("n3", "web1"), ("n2", "web2")):
            world.exports[node, name] = {"config": ""}
        return world, remove(world)
    world, plan = make()
    run(world, plan)
    assert set(world.exports) == {("n2", "web2")}
    with pytest.raises(NotFound, match="Export of instance 'web1'"):
        remove(world)


def test_the_instance_may_be_gone():
    world = down()
    world.exports["n2", "gone.example.org"] = {"config": ""}
    run(world, remove(world, "gone.example.org"))
    assert world.exports == {}


@pytest.mark.parametrize(("unit", "op", "more"), [
    (BackupRemoveUnit, BackupRemove, {}), (BackupExportUnit, BackupExport, {"target_node": "node2"})])
def test_one_that_is_read_stays(unit, op, more):
    world = down()
    world.exports["n2", "web1"] = {"config": ""}
    view = FakeView(world)
    view.reservations.of_others["export-read"] = {"web1/web9"}
    with pytest.raises(WrongState, match="being imported as web9"):
        asyncio.run(unit(op(instance_name="web1", **more)).check(view))
