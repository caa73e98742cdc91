# SPDX-License-Identifier: BSD-2-Clause
"""verify-disks, repair-disk-sizes, recreate-disks, and the creation of several instances at once."""

from dataclasses import replace

import pytest

from gantry.cmdlib.cluster_repair_disk_sizes import ClusterRepairDiskSizesUnit
from gantry.cmdlib.cluster_verify_disks import ClusterVerifyDisksUnit
from gantry.cmdlib.group_verify_disks import GroupVerifyDisksUnit
from gantry.cmdlib.instance_multi_alloc import InstanceMultiAllocUnit
from gantry.cmdlib.instance_recreate_disks import InstanceRecreateDisksUnit
from gantry.constants import DiskTemplate
from gantry.errors import AlreadyExists, NoResources, NotFound, NotUnique, ParameterError, WrongInput, WrongState
from gantry.opcodes.cluster import ClusterRepairDiskSizes, ClusterVerifyDisks
from gantry.opcodes.group import GroupVerifyDisks
from gantry.opcodes.instance import InstanceMultiAlloc, InstanceRecreateDisks
from support.cluster_world import ClusterWorld, config, offline
from support.cuts import check_every_cut, fails_and_undoes, run
from support.guest_world import UP, disk, instance
from support.view import FakeView, look, plan_of


def world(template=DiskTemplate.SHAREDFILE, **fields):
    """`web1` on node1 with two disks."""
    made = instance(template=template, disks=("d1", "d2"), **fields)
    return ClusterWorld(config(made, disks=(disk(template=template), disk("d2", index=1, template=template, pci=13))))


def path(here, uuid="d1"):
    return here.config.disks[uuid].file.path


def lose(here, *uuids):
    for place, file in list(here.files.items()):
        if file.disk in uuids:
            del here.files[place]
    return here


# --- verify-disks ---


def test_one_job_for_each_group():
    here = ClusterWorld(config(more_groups=("g2",)))
    unit, seen, view = look(ClusterVerifyDisksUnit, ClusterVerifyDisks, here, is_strict=False)
    assert run(here, unit.plan(seen)) == {"jobs": [[True, 0], [True, 1]]}
    assert [(op["OP_ID"], op["group_name"], op["is_strict"]) for [op] in here.jobs] == [
        ("OP_GROUP_VERIFY_DISKS", "default", False), ("OP_GROUP_VERIFY_DISKS", "rack-g2", False)]
    assert unit.locks(view).shared == {"nodegroup": {"g1", "g2"}}
    one = plan_of(ClusterVerifyDisksUnit, ClusterVerifyDisks, here, group_name="rack-g2")
    assert len(one.steps[0].action.jobs) == 1
    with pytest.raises(NotFound):
        look(ClusterVerifyDisksUnit, ClusterVerifyDisks, here, group_name="nono")


def verify(here, **fields):
    return plan_of(GroupVerifyDisksUnit, GroupVerifyDisks, here, group_name="default", **fields).result


def test_disks_that_are_open_are_fine():
    here = world(disks_active=True, admin_state=UP)
    assert verify(here.run(here.config.instances["i1"])) == [{}, [], {}]


def test_disks_that_should_be_open_are_named():
    here = world(disks_active=True)
    assert verify(here) == [{}, ["web1"], {}]
    assert verify(world()) == [{}, [], {}], "disks that nobody wants open"


def test_lost_disks_are_named():
    here = lose(world(disks_active=True), "d2")
    assert verify(here) == [{}, ["web1"], {"web1": [["node1", path(here, "d2")]]}]


def test_a_node_that_does_not_answer():
    here = world(disks_active=True)
    here.down.add("n1")
    bad, inactive, missing = verify(here)
    assert bad.keys() == {"node1"}
    assert inactive == []
    assert missing == {"web1": [["node1", path(here)], ["node1", path(here, "d2")]]}


def test_offline_nodes_are_not_asked():
    here = world(disks_active=True)
    offline(here.config, "n1")
    assert verify(here) == [{}, [], {}]


def test_what_is_locked_is_left_out_unless_strict():
    import asyncio

    from gantry.opcodes.base import decode
    here = world(disks_active=True)
    unit = GroupVerifyDisksUnit(decode(GroupVerifyDisks(group_name="default", is_strict=False).encode()))
    view = FakeView(here)
    assert unit.locks(view).opportunistic == {"instance", "node"}
    assert unit.plan(asyncio.run(unit.check(view))).result == [{}, [], {}]
    view.locks = {"instance": {"web1"}, "node": {"n1"}}
    assert unit.plan(asyncio.run(unit.check(view))).result == [{}, ["web1"], {}]


# --- repair-disk-sizes ---


def test_sizes_are_recorded_as_they_are():
    here = world()
    here.sizes["d2"] = 300
    unit, seen, view = look(ClusterRepairDiskSizesUnit, ClusterRepairDiskSizes, here)
    plan = unit.plan(seen)
    assert run(here, plan) == [["web1", 1, "size", 300]]
    assert here.config.disks["d2"].size == 300
    assert plan.steps[0].title == ("correcting the size of disk/1 of instance web1: recorded 256 MiB, actual 300 MiB")
    locks = unit.locks(view)
    assert (locks.exclusive, locks.shared) == ({"instance": {"web1"}}, {"node-res": {"n1"}})


def test_what_cannot_be_measured_is_a_warning():
    here = lose(world(), "d1")
    unit, seen, view = look(ClusterRepairDiskSizesUnit, ClusterRepairDiskSizes, here, instances=["web1"])
    assert unit.plan(seen).result == []
    assert "disk/0 of instance web1 is missing on node node1" in view.lines[0]
    here.down.add("n1")
    assert "node1 did not measure" in look(ClusterRepairDiskSizesUnit, ClusterRepairDiskSizes, here)[2].lines[0]
    offline(here.config, "n1")
    assert "offline" in look(ClusterRepairDiskSizesUnit, ClusterRepairDiskSizes, here)[2].lines[0]
    with pytest.raises(NotFound):
        look(ClusterRepairDiskSizesUnit, ClusterRepairDiskSizes, here, instances=["nono"])


def test_repair_cut_off_anywhere():
    def make():
        here = world()
        here.sizes.update(d1=300, d2=301)
        return here, plan_of(ClusterRepairDiskSizesUnit, ClusterRepairDiskSizes, here)
    check_every_cut(make)


# --- recreate-disks ---


def recreate(here, **fields):
    return plan_of(InstanceRecreateDisksUnit, InstanceRecreateDisks, here, instance_name="web1", **fields)


def test_only_lost_disks_are_made_anew():
    here = lose(world(), "d2")
    kept = here.files[path(here)]
    assert run(here, recreate(here)) is None
    assert here.files[path(here)] is kept
    assert here.files[path(here, "d2")].content == ""


def test_size_and_mode_can_change():
    here = lose(world(), "d1", "d2")
    run(here, recreate(here, disks=[[1, {"size": 512, "mode": "ro"}]]))
    made = here.config.disks["d2"]
    assert (made.size, made.mode, here.files[made.file.path].size) == (512, "ro", 512)
    assert path(here) not in here.files


def test_disks_of_a_lost_node_come_back_on_another():
    here = lose(world(DiskTemplate.FILE), "d1", "d2")
    offline(here.config, "n1")
    run(here, recreate(here, nodes=["node2"]))
    web = here.config.instance("web1")
    assert (web.primary_node, web.owner_epoch) == ("n2", 2)
    assert [one.nodes for one in here.config.disks_of(web)] == [("n2",), ("n2",)]
    assert sorted(here.files) == sorted(f"n2:{path(here, uuid)}" for uuid in ("d1", "d2"))


@pytest.mark.parametrize(("make", "fields", "error", "text"), [
    (world, {}, WrongState, "nothing to recreate"),
    (lambda: lose(world(), "d2"), {"disks": [0]}, WrongState, "disk/0 of instance web1 exists"),
    (lambda: lose(world(admin_state=UP), "d2"), {}, WrongState, "marked to be up"),
    (lambda: lose(world(), "d2"), {"disks": [7]}, WrongInput, "has no disk/7"),
    (lambda: lose(world(), "d2"), {"disks": [[1, {"name": "x"}]]}, WrongInput, "name cannot be changed"),
    (lambda: lose(world(), "d2"), {"iallocator": "hail"}, WrongInput, "seen by all nodes"),
    (lambda: lose(world(), "d2"), {"nodes": ["node2", "node3"]}, WrongInput, "one node can be given"),
    (lambda: lose(world(), "d2"), {"nodes": ["node2"]}, WrongInput, "seen by all nodes"),
    (lambda: lose(world(DiskTemplate.FILE), "d2"), {"nodes": ["node2"]}, WrongState, "exists on node node1"),
    (lambda: lose(world(), "d2"), {"disks": [[1, {"size": 60000}]]}, NoResources, "Not enough disk space"),
    (lambda: ClusterWorld(config(instance(disks=(), template=DiskTemplate.DISKLESS))), {}, WrongInput, "has no disks"),
])
def test_recreate_refusals(make, fields, error, text):
    with pytest.raises(error, match=text):
        recreate(make(), **fields)


def test_recreate_cut_off_anywhere():
    def make():
        here = lose(world(DiskTemplate.FILE), "d1", "d2")
        offline(here.config, "n1")
        return here, recreate(here, nodes=["node2"])
    check_every_cut(make)


def test_recreate_hooks_and_failure():
    here = lose(world(), "d1", "d2")
    unit, seen, _ = look(InstanceRecreateDisksUnit, InstanceRecreateDisks, here, instance_name="web1")
    hooks = unit.hooks(seen)
    assert (hooks.path, hooks.pre_nodes, hooks.post_nodes) == ("instance-recreate-disks", ("n1",), ("n1",))
    before, plan = here.snapshot(), unit.plan(seen)
    here.disk_free = 0
    fails_and_undoes(here, plan)
    assert here.snapshot() == before


# --- several instances ---


def create(name, **fields):
    return {"OP_ID": "OP_INSTANCE_CREATE", "instance_name": name, "mode": "create", "pnode": "node2",
            "disk_template": "diskless", "disks": [], "nics": [], "os_type": "tiny", **fields}


def test_a_creation_job_for_each():
    here = world()
    unit, seen, view = look(InstanceMultiAllocUnit, InstanceMultiAlloc, here,
                            instances=[create("a"), create("b", pnode="node3")])
    result = run(here, unit.plan(seen))
    assert result == {"jobs": [[True, 0], [True, 1]], "allocatable": ["a", "b"], "failed": []}
    assert [op["instance_name"] for [op] in here.jobs] == ["a", "b"]
    assert unit.locks(view).shared == {"node": {"n2", "n3"}, "node-res": {"n2", "n3"}}


@pytest.mark.parametrize(("instances", "error", "text"), [
    ([], WrongInput, "No instances"),
    ([create("a", pnode=None)], WrongInput, "No node is named for instance a"),
    ([create("a"), create("a")], NotUnique, "given twice"),
    ([create("web1")], AlreadyExists, "web1"),
    ([create("a", OP_ID="OP_CLUSTER_DESTROY")], ParameterError, "OP_CLUSTER_DESTROY"),
])
def test_multi_alloc_refusals(instances, error, text):
    with pytest.raises(error, match=text):
        look(InstanceMultiAllocUnit, InstanceMultiAlloc, world(), instances=instances)


def test_wiping_is_asked_for_when_the_cluster_wipes():
    here = lose(world(), "d1")
    here.config.replace("cluster", replace(here.config.cluster, prealloc_wipe_disks=True))
    assert recreate(here).steps[0].action.args["wipe"] is True


def test_multi_alloc_by_an_allocator():
    ops = [create(name, pnode=None) for name in ("a", "b")]
    unit, seen, _ = look(InstanceMultiAllocUnit, InstanceMultiAlloc, world(), instances=ops, iallocator="hail")
    assert [op.iallocator for op in seen.ops] == ["hail", "hail"]
    with pytest.raises(WrongInput, match="name nodes for all"):
        look(InstanceMultiAllocUnit, InstanceMultiAlloc, world(), instances=[create("a"), create("b", pnode=None)],
             iallocator="hail")
    with pytest.raises(WrongInput, match="leave one of them out"):
        look(InstanceMultiAllocUnit, InstanceMultiAlloc, world(), instances=[create("a")], iallocator="hail")
    mirror = create("a", disk_template="drbd", snode="node1")
    unit, _, view = look(InstanceMultiAllocUnit, InstanceMultiAlloc, world(), instances=[mirror])
    assert unit.locks(view).shared["node"] == {"n1", "n2"}
