# SPDX-License-Identifier: BSD-2-Clause
"""Evacuating nodes and groups, changing groups."""

from dataclasses import replace

import pytest

from gantry.cmdlib.group_evacuate import GroupEvacuateUnit
from gantry.cmdlib.instance_change_group import InstanceChangeGroupUnit
from gantry.cmdlib.node_evacuate import NodeEvacuateUnit
from gantry.errors import BadEnvironment, NoResources, WrongInput
from gantry.iallocator import run as allocator
from gantry.objects.cluster import NodeGroup
from gantry.opcodes.group import GroupEvacuate
from gantry.opcodes.instance import InstanceChangeGroup
from gantry.opcodes.node import NodeEvacuate
from support.cuts import run
from support.disk_world import disk_world, mirrored
from support.guest_world import UP
from support.view import look, plan_of

MOVE = {"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": "web1"}
REPLACE = {"OP_ID": "OP_INSTANCE_REPLACE_DISKS", "instance_name": "web1", "mode": "replace_new_secondary",
           "remote_node": "node3", "disks": []}


@pytest.fixture
def answers(monkeypatch):
    """What the allocator says next, and what it was asked."""
    said = {"result": [[["web1", "default", ["node1", "node3"]]], [], [[REPLACE], [MOVE]]], "asked": []}

    async def ask(name, params, message):
        said["asked"].append((name, dict(params), message["request"]))
        return {"success": True, "info": "", "result": said["result"]}
    monkeypatch.setattr(allocator, "ask", ask)
    return said


def world(**fields):
    made = disk_world(mirrored(), admin_state=UP, cluster={"default_iallocator": "hail"}, **fields)
    group = NodeGroup(uuid="g2", name="other")
    made.config.replace("nodegroups", group)
    made.config.replace("nodes", replace(made.config.nodes["n3"], group="g2"))
    return made


# --- nodes ---


def test_secondaries_go_to_the_node_named():
    here = world()
    result = run(here, plan_of(NodeEvacuateUnit, NodeEvacuate, here, node_name="node2", mode="secondary-only",
                               remote_node="node3", early_release=True))
    [[op]] = here.jobs
    assert (op["OP_ID"], op["mode"], op["remote_node"], op["early_release"]) == (
        "OP_INSTANCE_REPLACE_DISKS", "replace_new_secondary", "node3", True)
    assert result == {"jobs": [[True, 0]]}


def test_secondaries_go_where_the_allocator_wants_them(answers):
    here = world()
    unit, seen, view = look(NodeEvacuateUnit, NodeEvacuate, here, node_name="node2", mode="secondary-only",
                            early_release=True, ignore_soft_errors=True)
    run(here, unit.plan(seen))
    assert answers["asked"] == [("hail", {"ignore-soft-errors": None}, {
        "type": "node-evacuate", "instances": ["web1"], "evac_mode": "secondary-only"})]
    assert here.jobs == [[{**REPLACE, "early_release": True}], [MOVE]]
    assert " - INFO: Instance web1 is to be on node1, node3" in view.lines


def test_a_mirrored_primary_goes_to_its_secondary(answers):
    here = world()
    run(here, plan_of(NodeEvacuateUnit, NodeEvacuate, here, node_name="node1", mode="primary-only", iallocator="hail"))
    assert [(op["OP_ID"], op["iallocator"]) for [op] in here.jobs] == [("OP_INSTANCE_MIGRATE", None)]
    assert answers["asked"] == []


def test_nothing_to_evacuate(answers):
    for mode in ("primary-only", "secondary-only"):
        assert plan_of(NodeEvacuateUnit, NodeEvacuate, world(), node_name="node3", mode=mode).result == {"jobs": []}
    assert answers["asked"] == []


@pytest.mark.parametrize(("result", "error", "text"), [
    ([[], [["web1", "no room"]], []], NoResources, r"web1 \(no room\)"),
    ("nonsense", BadEnvironment, "moved, failed, jobs"),
    ([[], [], [[{"OP_ID": "OP_CLUSTER_DESTROY"}]]], BadEnvironment, "OP_CLUSTER_DESTROY")])
def test_answers_that_cannot_be_followed(answers, result, error, text):
    answers["result"] = result
    with pytest.raises(error, match=text):
        plan_of(NodeEvacuateUnit, NodeEvacuate, world(), node_name="node2", mode="secondary-only")


def test_evacuation_refusals():
    for fields, text in (({"remote_node": "node2"}, "evacuated node"), ({"remote_node": "node1"}, "primary node of"),
                         ({"remote_node": "node3", "iallocator": "hail"}, "both")):
        with pytest.raises(WrongInput, match=text):
            plan_of(NodeEvacuateUnit, NodeEvacuate, world(), node_name="node2", mode="secondary-only", **fields)


# --- groups ---


def test_an_instance_changes_its_group(answers):
    here = world()
    unit, seen, _ = look(InstanceChangeGroupUnit, InstanceChangeGroup, here, instance_name="web1")
    run(here, unit.plan(seen))
    assert answers["asked"][0][2] == {"type": "change-group", "instances": ["web1"], "target_groups": ["g2"]}
    assert here.jobs == [[REPLACE], [MOVE]]
    assert (seen.hooks.path, seen.hooks.env["TARGET_GROUPS"]) == ("instance-change-group", "g2")
    with pytest.raises(WrongInput, match="group default as a target"):
        plan_of(InstanceChangeGroupUnit, InstanceChangeGroup, world(), instance_name="web1", target_groups=["default"])
    alone = disk_world(mirrored())
    with pytest.raises(WrongInput, match="no possible target groups"):
        plan_of(InstanceChangeGroupUnit, InstanceChangeGroup, alone, instance_name="web1")


def test_a_group_is_evacuated(answers):
    here = world()
    run(here, plan_of(GroupEvacuateUnit, GroupEvacuate, here, group_name="default", target_groups=["other"],
                      sequential=True, force_failover=True))
    first, [second] = here.jobs
    assert first == [REPLACE]
    assert (second["OP_ID"], second["depends"]) == ("OP_INSTANCE_FAILOVER", [[-1, ["canceled", "error", "success"]]])
    _, seen, _ = look(GroupEvacuateUnit, GroupEvacuate, here, group_name="default")
    assert seen.hooks.pre_nodes == ("n1", "n2")
    assert plan_of(GroupEvacuateUnit, GroupEvacuate, here, group_name="other").result == {"jobs": []}


def test_the_real_allocator_understands(monkeypatch):
    """hail, in this process."""
    from hbal.alloc import answer

    async def ask(name, params, message):
        return answer(message, options=["--static-kvm-node-memory=0"])
    monkeypatch.setattr(allocator, "ask", ask)
    here = world()
    with pytest.raises(NoResources):  # one node is too few for both ends
        plan_of(InstanceChangeGroupUnit, InstanceChangeGroup, here, instance_name="web1")
    here.config.replace("nodes", replace(here.config.nodes["n3"], group="g1"))
    run(here, plan_of(NodeEvacuateUnit, NodeEvacuate, here, node_name="node2", mode="secondary-only"))
    [[op]] = here.jobs
    assert (op["OP_ID"], op["remote_node"]) == ("OP_INSTANCE_REPLACE_DISKS", "node3")
