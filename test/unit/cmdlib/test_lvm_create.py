# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_CREATE with plain and mirrored disks."""

import asyncio

import pytest

from gantry.cmdlib import mirror
from gantry.cmdlib.instance_create import InstanceCreateUnit
from gantry.constants import FIRST_PORT, LAST_PORT, DiskTemplate
from gantry.errors import ExecError, NoResources, NotFound, NotUnique, StorageError, WrongInput, WrongState
from gantry.objects.instance import Disk, LvmLocation
from gantry.opcodes.instance import InstanceCreate
from support.cuts import check_every_cut, fails_and_undoes, run
from support.guest_world import UP, File, cluster_config, instance
from support.mirror_world import MirrorWorld, mirrored
from support.view import FakeView, look, plan_of

DRBD = {"instance_name": "web1", "mode": "create", "disks": ({"size": 256},), "nics": ({},), "os_type": "tiny",
        "pnode": "node1", "snode": "node2", "disk_template": "drbd", "start": True}
PLAIN = DRBD | {"disk_template": "plain", "snode": None}


@pytest.fixture
def no_chance(monkeypatch):
    """Two runs are alike."""
    monkeypatch.setattr(mirror, "new_secret", lambda: "secret")
    monkeypatch.setattr("gantry.utils.clock.epoch", lambda: 1000.0)


def lvm(**cluster):
    return {"enabled_disk_templates": ("drbd", "plain"), "volume_group_name": "xenvg"} | cluster


def fresh(*instances, disks=(), **more):
    return MirrorWorld(cluster_config(*instances, disks=disks, cluster=lvm(), **more))


def make(world=None, base=DRBD, **fields):
    world = world or fresh()
    return world, plan_of(InstanceCreateUnit, InstanceCreate, world, **(base | fields))


def refused(error, base=DRBD, world=None, **fields):
    with pytest.raises(error) as caught:
        make(world, base, **fields)
    return str(caught.value)


def test_a_mirrored_instance_runs_in_sync():
    world, plan = make(disks=({"size": 256}, {"size": 512, "metavg": "fast"}))
    assert run(world, plan) == ["node1", "node2"]
    made = world.config.instance("web1")
    first, second = world.config.disks_of(made)
    assert (made.admin_state, made.disks_active, world.running(made.uuid)) == (UP, True, ["n1"])
    assert first.nodes == ("n1", "n2")
    assert [(end.node, end.address, end.minor) for end in second.drbd.ends] == [
        ("n1", "198.51.100.1", 1), ("n2", "198.51.100.2", 1)]
    assert (made.network_port, first.drbd.port, second.drbd.port) == (11000, 11001, 11002)
    assert first.drbd.secret != second.drbd.secret
    assert {end.meta.vg for end in second.drbd.ends} == {"fast"}
    assert {end.meta.vg for end in first.drbd.ends} == {"xenvg"}
    assert first.drbd.ends[0].data.lv.endswith(".disk0_data")
    assert first.degraded_since is None, "they were waited for"
    assert first.params == {}, "effective parameters are for nodes, not for the record"
    assert {end.content for end in world.ends.values()} == {"installed"}
    assert {end.net for end in world.ends.values()} == {"single"}


def test_nodes_are_told_the_effective_parameters():
    _, plan = make(fresh(group={"diskparams": {"drbd": {"protocol": "A", "metavg": "fast"}}}))
    creation = next(step for step in plan.steps if "creating" in step.title)
    params = creation.action.actions[0].args["disk"]["params"]
    assert (params["protocol"], params["resync-rate"]) == ("A", 61440)
    assert creation.action.actions[0].args["disk"]["drbd"]["ends"][0]["meta"]["vg"] == "fast"


def test_the_os_is_installed_while_the_disks_sync():
    _, plan = make()
    titles = [step.title for step in plan.steps]
    places = [next(index for index, title in enumerate(titles) if words in title)
              for words in ("the primary of the new disks", "create scripts", "to sync disks", "* starting instance")]
    assert places == sorted(places)


@pytest.mark.parametrize("fields", [
    {}, {"disks": ({"size": 4}, {"size": 8})}, {"start": False}, {"no_install": True}, {"wait_for_sync": False},
    {"wait_for_sync": False, "start": False}])
@pytest.mark.usefixtures("no_chance")
def test_cut_off_anywhere_a_pair_is_done_or_undone(fields):
    check_every_cut(lambda: make(**fields))


@pytest.mark.parametrize("fields", [{}, {"start": False}, {"no_install": True}])
def test_cut_off_anywhere_a_plain_one_is_done_or_undone(fields):
    check_every_cut(lambda: make(base=PLAIN, **fields))


@pytest.mark.parametrize("call", ["disk_create", "disks_assemble", "disks_force", "drbd_wait_synced", "os_create",
                                  "instance_start"])
def test_a_failure_leaves_neither_volume_nor_number(call):
    world, plan = make()
    world.refuse[call] = ExecError(detail="no")
    assert str(fails_and_undoes(world, plan)) == "no"
    assert not world.config.instances
    assert not world.config.disks
    assert not world.ends
    assert not world.config.ports_in_use()


def test_a_secondary_without_room_leaves_nothing_on_the_primary():
    world, plan = make()
    create = world._disk_create

    def on_one(node, **args):
        if node == "n2":
            raise StorageError(detail="no extents")
        create(node, **args)
    world._disk_create = on_one
    fails_and_undoes(world, plan)
    assert not world.ends


def test_not_waiting_and_not_starting_goes_on_syncing():
    world, plan = make(wait_for_sync=False, start=False)
    run(world, plan)
    assert world.config.instance("web1").disks_active
    assert world.config.disks_of(world.config.instance("web1"))[0].degraded_since
    assert world._disks_status("n1", world.config.disks_of(world.config.instance("web1")))[0]["mirror"]["status"] in (
        "sync", "ok")


def test_a_plain_instance():
    world, plan = make(base=PLAIN, disks=({"size": 64, "vg": "fast"},))
    run(world, plan)
    only = world.config.disks_of(world.config.instance("web1"))[0]
    assert (only.lvm.vg, only.nodes, only.dev_type) == ("fast", ("n1",), DiskTemplate.PLAIN)
    assert only.lvm.lv.endswith(".disk0")
    assert world.files[f"n1:fast/{only.lvm.lv}"].content == "installed"


# --- numbers ---


def test_numbers_are_the_lowest_that_neither_configuration_nor_jobs_have():
    world = fresh(instance(disks=("d1",), template=DiskTemplate.DRBD, network_port=11001),
                  disks=(mirrored(minor=1, port=11000),))
    view = FakeView(world)
    view.reservations.of_others = {"port": {"11002"}, "minor": {"n1/0", "n2/2"}}
    assert [mirror.free_port(view), mirror.free_port(view)] == [11003, 11004]
    assert [mirror.free_minor(view, "n1"), mirror.free_minor(view, "n1")] == [2, 3]
    assert [mirror.free_minor(view, "n2"), mirror.free_minor(view, "n2"), mirror.free_minor(view, "n3")] == [0, 3, 0]
    assert ("minor", "n1/2") in view.reservations.own


def test_ports_run_out():
    view = FakeView(fresh())
    view.reservations.of_others = {"port": {str(port) for port in range(FIRST_PORT, LAST_PORT + 1)}}
    with pytest.raises(NoResources, match="11000 to 14999"):
        mirror.free_port(view)


def test_the_plan_keeps_its_numbers():
    _, plan = make()
    assert {("port", "11000"), ("port", "11001"), ("minor", "n1/0"), ("minor", "n2/0")} <= set(plan.reserves)


def test_creations_share_nodes_but_not_memory():
    world = fresh()
    unit, _, view = look(InstanceCreateUnit, InstanceCreate, world, **DRBD)
    locks = unit.locks(view)
    assert locks.shared["node"] == locks.shared["node-res"] == {"n1", "n2"}
    assert locks.exclusive == {"instance": {"web1"}}
    [(_, promise)] = [item for item in view.reservations.own if item[0] == "memory"]
    assert promise.startswith("n1/")
    assert promise.endswith("/128")
    second = FakeView(world)
    second.reservations.of_others = {"memory": {"n1/other/4000"}, "port": {"11000"}}
    with pytest.raises(NoResources, match="needed 4128 MiB, available 4096"):
        asyncio.run(unit.check(second))
    unit, _, view = look(InstanceCreateUnit, InstanceCreate, world, **PLAIN)
    assert unit.locks(view).exclusive["node"] == {"n1"}, "made at once"


# --- adoption ---


def with_volumes(**more):
    world = fresh(**more)
    world.files["n1:xenvg/old"] = File(disk="", size=300, content="data")
    world.files["n1:fast/busy"] = File(disk="", size=10, open_on={"n1"})
    return world


def adopt(*specs, **fields):
    return PLAIN | {"disks": specs or ({"adopt": "old", "size": 0},), "os_type": None} | fields


@pytest.mark.parametrize("start", [True, False])
def test_an_adopted_volume_is_renamed_and_never_removed(start):
    def begin():
        return make(with_volumes(), adopt(), start=start)
    check_every_cut(begin)
    world, plan = begin()
    run(world, plan)
    only = world.config.disks_of(world.config.instance("web1"))[0]
    assert only.size == 300
    assert world.files[f"n1:xenvg/{only.lvm.lv}"].content == "data"
    assert "n1:xenvg/old" not in world.files
    world, plan = begin()
    if start:
        world.refuse["instance_start"] = ExecError(detail="no")
        fails_and_undoes(world, plan)
        assert world.files["n1:xenvg/old"].content == "data"


@pytest.mark.parametrize(("error", "base", "words"), [
    (WrongInput, adopt({"adopt": "old", "size": 0}, {"size": 4}), "Either all"),
    (WrongInput, adopt({"adopt": "old", "size": 0}, disk_template="drbd", snode="node2"), "not supported"),
    (WrongInput, adopt({"adopt": "old", "size": 0}, {"adopt": "old", "size": 0}), "Duplicate"),
    (NotFound, adopt({"adopt": "nosuch", "size": 0}), "node1: Logical volume 'xenvg/nosuch' not known"),
    (WrongState, adopt({"adopt": "busy", "vg": "fast", "size": 0}), "in use")])
def test_what_cannot_be_adopted(error, base, words):
    world = with_volumes()
    before = world.snapshot()
    assert words in refused(error, base, world)
    assert world.snapshot() == before


def test_a_volume_of_an_instance_is_not_adopted():
    own = Disk(uuid="d1", name="", dev_type=DiskTemplate.PLAIN, size=4, nodes=("n1",),
               lvm=LvmLocation(vg="xenvg", lv="mine"))
    world = fresh(instance("web2", disks=("d1",), template=DiskTemplate.PLAIN), disks=(own,))
    assert "belongs to an instance" in refused(NotUnique, adopt({"adopt": "mine", "size": 0}), world)


def test_a_disk_may_name_its_template_as_well():
    world, plan = make(base=PLAIN, disks=({"size": 256, "dev_type": "plain"},))
    run(world, plan)
    assert [disk.dev_type for disk in world.config.disks.values()] == ["plain"]
    assert "cannot be of template drbd: all disks of an instance have one, here plain" in refused(
        WrongInput, PLAIN, disks=({"size": 256, "dev_type": "drbd"},))


def test_a_second_node_is_not_needed_for_disks_that_are_not_mirrored():
    unit, seen, view = look(InstanceCreateUnit, InstanceCreate, fresh(), **(PLAIN | {"snode": "node2"}))
    assert {node for step in unit.plan(seen).steps for node in (getattr(step.action, "node", None),) if node} == {"n1"}
    assert any("node2 is left out" in line for line in view.lines)


# --- refusals ---


@pytest.mark.parametrize(("error", "base", "fields", "words"), [
    (WrongInput, DRBD, {"snode": None}, "need a mirror node"),
    (WrongInput, DRBD, {"snode": "node1"}, "cannot be the primary node"),
    (NotFound, DRBD, {"snode": "node9"}, "node9"),
    (WrongInput, PLAIN, {"disks": ({"size": 4, "metavg": "x"},)}, "metavg"),
    (WrongInput, DRBD, {"disks": ({"size": 4, "adopt": "x"},)}, "not supported"),
    (WrongInput, DRBD, {"disks": ({"size": 4, "spindles": 1},)}, "exclusive storage"),
    (NoResources, DRBD, {"disks": ({"size": 49900},)}, "volume group xenvg: 50028 MiB are needed"),
    (NoResources, PLAIN, {"disks": ({"size": 30000}, {"size": 30000})}, "60000 MiB are needed")])
def test_refusals(error, base, fields, words):
    assert words in refused(error, base, ignore_ipolicy=True, **fields)


def test_the_secondary_is_looked_at_as_well():
    world = fresh(nodes={"n2": {"drained": True}})
    assert "drained" in refused(WrongState, world=world)
    world = fresh()
    measure = world._node_info

    def poor(node, storage):
        world.disk_free = 100 if node == "n2" else 50000
        return measure(node, storage)
    world._node_info = poor
    assert "on node node2 in volume group xenvg" in refused(NoResources, world=world)


def test_without_a_volume_group():
    world = MirrorWorld(cluster_config(cluster=lvm(volume_group_name=None)))
    assert "no volume group" in refused(WrongInput, PLAIN, world)
    assert make(world, PLAIN, disks=({"size": 64, "vg": "fast"},))


def test_exclusive_storage_counts_spindles():
    world = fresh(group={"ndparams": {"exclusive_storage": True}})
    assert "number of spindles" in refused(WrongInput, PLAIN, world)
    assert "not supported with exclusive storage" in refused(WrongInput, DRBD, world)
    assert make(world, PLAIN, disks=({"size": 64, "spindles": 1},))


def test_hooks_are_told_to_both_nodes():
    unit, seen, _ = look(InstanceCreateUnit, InstanceCreate, fresh(), **DRBD)
    hooks = unit.hooks(seen)
    assert hooks.pre_nodes == hooks.post_nodes == ("n1", "n2")
    assert hooks.env["INSTANCE_SECONDARIES"] == "node2"
