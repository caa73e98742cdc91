# SPDX-License-Identifier: BSD-2-Clause
"""Node groups: add, modify, rename, remove, assign-nodes."""

import pytest

from gantry.cmdlib.group_add import GroupAddUnit
from gantry.cmdlib.group_assign_nodes import GroupAssignNodesUnit
from gantry.cmdlib.group_remove import GroupRemoveUnit
from gantry.cmdlib.group_rename import GroupRenameUnit
from gantry.cmdlib.group_set_params import GroupSetParamsUnit
from gantry.constants import DiskTemplate
from gantry.errors import AlreadyExists, NotFound, ParameterError, WrongInput, WrongState
from gantry.objects.instance import Disk, Instance
from gantry.opcodes.group import GroupAdd, GroupAssignNodes, GroupRemove, GroupRename, GroupSetParams
from support.cluster_world import ClusterWorld, config
from support.cuts import check_every_cut, run
from support.guest_world import disk, instance
from support.view import look, plan_of


def world(**kwargs):
    return ClusterWorld(config(**kwargs))


def both(hooks, nodes):
    assert hooks.pre_nodes == hooks.post_nodes == nodes
    return hooks.path, hooks.object_type, hooks.target, hooks.env


def test_add_records_what_is_given():
    here = world()
    unit, seen, view = look(GroupAddUnit, GroupAdd, here, group_name="rack2", alloc_policy="last_resort",
                            ndparams={"ssh_port": "2222"}, ipolicy={"vcpu-ratio": 2.0})
    run(here, unit.plan(seen))
    group = here.config.group("rack2")
    assert (group.alloc_policy, group.ndparams) == ("last_resort", {"ssh_port": 2222})
    assert group.ipolicy == {"vcpu-ratio": 2.0}
    assert ("nodegroup", "rack2") in view.reservations.own
    assert both(unit.hooks(seen), ("n1",)) == ("group-add", "GROUP", "rack2", {"GROUP_NAME": "rack2"})


def test_add_refusals():
    with pytest.raises(AlreadyExists):
        look(GroupAddUnit, GroupAdd, world(), group_name="default")
    with pytest.raises(ParameterError):
        look(GroupAddUnit, GroupAdd, world(), group_name="rack2", ndparams={"nono": 1})


@pytest.mark.parametrize(("unit", "op", "fields"), [
    (GroupAddUnit, GroupAdd, {"group_name": "rack2"}),
    (GroupRenameUnit, GroupRename, {"group_name": "default", "new_name": "row-a"}),
    (GroupRemoveUnit, GroupRemove, {"group_name": "rack-g2"}),
    (GroupSetParamsUnit, GroupSetParams, {"group_name": "default", "alloc_policy": "unallocable"}),
    (GroupAssignNodesUnit, GroupAssignNodes, {"group_name": "rack-g2", "nodes": ["node2", "node3"]}),
])
def test_cut_off_anywhere(unit, op, fields):
    def make():
        here = world(more_groups=("g2",))
        return here, plan_of(unit, op, here, **fields)
    check_every_cut(make)


def test_modify_reports_node_and_disk_parameters_only():
    here = world()
    unit, seen, _ = look(GroupSetParamsUnit, GroupSetParams, here, group_name="default", alloc_policy="last_resort",
                         ndparams={"ssh_port": 2222}, diskparams={"plain": {"stripes": 2}})
    result = run(here, unit.plan(seen))
    assert result == [["ndparams", "{'ssh_port': 2222}"], ["diskparams", "{'plain': {'stripes': 2}}"]]
    assert here.config.group("default").alloc_policy == "last_resort"
    assert both(unit.hooks(seen), ("n1",)) == ("group-modify", "GROUP", "default", {
        "GROUP_NAME": "default", "NEW_ALLOC_POLICY": "last_resort"})


def test_modify_to_what_it_is_does_nothing():
    here = world()
    plan = plan_of(GroupSetParamsUnit, GroupSetParams, here, group_name="default", alloc_policy="preferred")
    assert plan.steps == ()
    assert plan.result == []


def test_modify_wants_a_modification_and_a_group():
    with pytest.raises(WrongInput, match="at least one modification"):
        look(GroupSetParamsUnit, GroupSetParams, world(), group_name="default")
    with pytest.raises(NotFound):
        look(GroupSetParamsUnit, GroupSetParams, world(), group_name="nono", alloc_policy="preferred")


def test_modify_locks_the_instances_of_the_group():
    here = ClusterWorld(config(instance(), disks=(disk(),)))
    unit, _, view = look(GroupSetParamsUnit, GroupSetParams, here, group_name="default", alloc_policy="last_resort")
    locks = unit.locks(view)
    assert locks.shared["instance"] == {"web1"}
    assert locks.exclusive == {"nodegroup": {"g1"}}


def test_rename():
    here = world()
    unit, seen, _ = look(GroupRenameUnit, GroupRename, here, group_name="default", new_name="row-a")
    assert run(here, unit.plan(seen)) == "row-a"
    assert here.config.group("row-a").uuid == "g1"
    assert both(unit.hooks(seen), ("n1", "n2", "n3"))[3] == {"OLD_NAME": "default", "NEW_NAME": "row-a"}
    with pytest.raises(AlreadyExists):
        look(GroupRenameUnit, GroupRename, world(more_groups=("g2",)), group_name="default", new_name="rack-g2")


def test_remove():
    here = world(more_groups=("g2",))
    unit, seen, _ = look(GroupRemoveUnit, GroupRemove, here, group_name="rack-g2")
    run(here, unit.plan(seen))
    assert [group.name for group in here.config.groups.values()] == ["default"]
    assert both(unit.hooks(seen), ("n1",))[3] == {"GROUP_NAME": "rack-g2"}


def test_remove_refusals():
    with pytest.raises(WrongState, match=r"not empty.*node1, node2, node3"):
        look(GroupRemoveUnit, GroupRemove, world(more_groups=("g2",)), group_name="default")
    here = world()
    for uuid in list(here.config.nodes):
        here.config.remove("nodes", uuid)
    with pytest.raises(WrongState, match="only group"):
        look(GroupRemoveUnit, GroupRemove, here, group_name="default")


def mirrored():
    here = world(more_groups=("g2",))
    here.config.replace("disks", Disk(uuid="d9", name="", dev_type=DiskTemplate.DRBD, size=9, nodes=("n1", "n2")))
    here.config.replace("instances", Instance(uuid="i9", name="mail", primary_node="n1", os="", hypervisor="fake",
                                              disk_template=DiskTemplate.DRBD, disks=("d9",)))
    return here


def test_assign_nodes_moves_them():
    here = mirrored()
    run(here, plan_of(GroupAssignNodesUnit, GroupAssignNodes, here, group_name="rack-g2", nodes=["node1", "node2"]))
    assert [here.config.nodes[uuid].group for uuid in ("n1", "n2", "n3")] == ["g2", "g2", "g1"]
    again = plan_of(GroupAssignNodesUnit, GroupAssignNodes, here, group_name="rack-g2", nodes=["node1"])
    assert again.steps == ()


def test_assign_nodes_does_not_split_mirrors_without_force():
    fields = {"group_name": "rack-g2", "nodes": ["node2"]}
    with pytest.raises(WrongState, match=r"instances mail would .* --force"):
        look(GroupAssignNodesUnit, GroupAssignNodes, mirrored(), **fields)
    here = mirrored()
    unit, seen, view = look(GroupAssignNodesUnit, GroupAssignNodes, here, force=True, **fields)
    run(here, unit.plan(seen))
    assert here.config.nodes["n2"].group == "g2"
    assert "mail" in view.lines[0]
    assert unit.hooks(seen) is None
