# SPDX-License-Identifier: BSD-2-Clause
"""Nodes: add, remove, modify, the pool of candidates, storage, evacuation."""

from dataclasses import replace

import pytest

from gantry.cmdlib import pool
from gantry.cmdlib.node_add import NodeAddUnit
from gantry.cmdlib.node_evacuate import NodeEvacuateUnit
from gantry.cmdlib.node_query_storage import NodeQueryStorageUnit
from gantry.cmdlib.node_queryvols import NodeQueryvolsUnit
from gantry.cmdlib.node_remove import NodeRemoveUnit
from gantry.cmdlib.node_set_params import NodeSetParamsUnit
from gantry.constants import DiskTemplate
from gantry.errors import AlreadyExists, NodeUnreachable, NotFound, NotUnique, ParameterError, WrongInput, WrongState
from gantry.opcodes.node import NodeAdd, NodeEvacuate, NodeQueryStorage, NodeQueryvols, NodeRemove, NodeSetParams
from support.cluster_world import CERTS, ClusterWorld, config, new_node, offline
from support.cuts import check_every_cut, fails_and_undoes, run
from support.guest_world import OFFLINE, UP, disk, instance
from support.mirror_world import MirrorWorld, mirrored
from support.view import look, plan_of


class Mirrors(ClusterWorld, MirrorWorld):
    """Nodes with mirrored disks."""


class Waking(ClusterWorld):
    """A world in which nodes that are marked offline answer, as those do that were mended."""

    def ask(self, node, name, args):
        known = self.config.nodes.get(node)
        if name == "version" and known is not None and known.offline:
            if node in self.down:
                raise NodeUnreachable(node=known.name, call=name, detail="no route to host")
            return self._version(node)
        return super().ask(node, name, args)


def world(*instances, make=ClusterWorld, **kwargs):
    return make(config(*instances, **kwargs))


@pytest.fixture(autouse=True)
def names(monkeypatch):
    known = {"node4": "192.0.2.4", "node1": "192.0.2.1", "node2": "192.0.2.2", "taken": "192.0.2.3",
             "floating": "192.0.2.100"}
    monkeypatch.setattr("gantry.cmdlib.node_add.resolve", lambda name: (name, known[name]))


# --- the pool ---


def test_pool_counts_who_may_be_a_candidate():
    nodes = config(nodes={"n2": {"master_candidate": False}, "n3": {"master_candidate": False, "drained": True}}).nodes
    assert pool.wanted(nodes.values(), 10) == 2
    assert pool.short_by(nodes.values(), 10) == 1
    assert pool.short_by(nodes.values(), 1) == 0
    assert [node.uuid for node in pool.to_promote(nodes.values(), 10)] == ["n2"]
    assert pool.to_promote(nodes.values(), 10, without=frozenset({"n2"})) == ()
    assert pool.certificates(nodes) == {"n1": CERTS["n1"]}


def test_pool_fills_up_in_the_order_of_names():
    made = config()
    for uuid, name in (("a", "node10"), ("b", "node9")):
        new_node(made, uuid, name=name)
    assert [node.name for node in pool.to_promote(made.nodes.values(), 4)] == ["node9"]


# --- add ---

NEW = {"node_name": "node4", "node_uuid": "n4", "certificate": "AA:04"}


def test_add():
    here = world()
    unit, seen, _ = look(NodeAddUnit, NodeAdd, here, **NEW, ndparams={"ssh_port": 2222})
    plan = unit.plan(seen)
    run(here, plan)
    node = here.config.node("node4")
    assert (node.uuid, node.primary_ip, node.secondary_ip, node.group) == ("n4", "192.0.2.4", "192.0.2.4", "g1")
    assert (node.master_candidate, node.ndparams) == (True, {"ssh_port": 2222})
    assert here.config.cluster.candidate_certs == {**CERTS, "n4": "AA:04"}
    assert plan.reserves == (("node", "node4"),)
    hooks = unit.hooks(seen)
    assert hooks.pre_nodes == ("n1", "n2", "n3")
    assert hooks.post_nodes == ("n1", "n2", "n3", "n4")
    assert hooks.env == {"NODE_NAME": "node4", "NODE_PIP": "192.0.2.4", "NODE_SIP": "192.0.2.4",
                         "MASTER_CAPABLE": "True", "VM_CAPABLE": "True"}


def test_a_full_pool_takes_no_more():
    here = world(cluster={"candidate_pool_size": 3})
    run(here, plan_of(NodeAddUnit, NodeAdd, here, **NEW))
    assert not here.config.node("node4").master_candidate
    assert here.config.cluster.candidate_certs == CERTS


def test_a_node_that_does_not_answer_is_not_added():
    here = world()
    before = here.snapshot()
    here.down.add("n4")
    fails_and_undoes(here, plan_of(NodeAddUnit, NodeAdd, here, **NEW))
    assert here.snapshot() == before


def test_readd_resets_the_flags_and_keeps_the_rest():
    here = world(make=Waking)
    offline(here.config, "n2", ndparams={"ssh_port": 2222})
    run(here, plan_of(NodeAddUnit, NodeAdd, here, node_name="node2", readd=True, node_uuid="n2", certificate="BB:02"))
    node = here.config.nodes["n2"]
    assert (node.offline, node.drained, node.master_candidate, node.certificate) == (False, False, True, "BB:02")
    assert node.ndparams == {"ssh_port": 2222}
    assert here.config.cluster.candidate_certs["n2"] == "BB:02"


@pytest.mark.parametrize(("fields", "error", "text"), [
    ({"node_name": "node2"}, AlreadyExists, "already exists"),
    ({"readd": True}, NotFound, "node4"),
    ({"node_name": "node1", "readd": True}, WrongInput, "is the master"),
    ({"node_name": "taken"}, AlreadyExists, "of node node3"),
    ({"node_name": "floating"}, AlreadyExists, "of the cluster"),
    ({"secondary_ip": "198.51.100.2"}, AlreadyExists, "of node node2"),
    ({"group": "nono"}, NotFound, "nono"),
    ({"certificate": None}, WrongInput, "no certificate"),
    ({"ndparams": {"nono": 1}}, ParameterError, "nono"),
])
def test_add_refusals(fields, error, text):
    with pytest.raises(error, match=text):
        look(NodeAddUnit, NodeAdd, world(), **{**NEW, **fields})


def test_with_several_groups_one_has_to_be_named():
    with pytest.raises(WrongInput, match="default, rack-g2"):
        look(NodeAddUnit, NodeAdd, world(more_groups=("g2",)), **NEW)
    here = world(more_groups=("g2",))
    run(here, plan_of(NodeAddUnit, NodeAdd, here, **NEW, group="rack-g2"))
    assert here.config.node("node4").group == "g2"


# --- remove ---


def test_remove_fills_the_pool_and_tells_the_node():
    here = world(nodes={"n2": {"master_candidate": False}}, cluster={"candidate_pool_size": 2})
    unit, seen, _ = look(NodeRemoveUnit, NodeRemove, here, node_name="node3")
    run(here, unit.plan(seen))
    assert sorted(here.config.nodes) == ["n1", "n2"]
    assert here.config.nodes["n2"].master_candidate
    assert here.config.cluster.candidate_certs == {"n1": CERTS["n1"], "n2": CERTS["n2"]}
    assert here.left == ["n3"]
    hooks = unit.hooks(seen)
    assert hooks.pre_nodes == hooks.post_nodes == ("n1", "n2")
    assert hooks.env == {"NODE_NAME": "node3"}


def test_a_dead_node_can_be_removed():
    here = world()
    here.down.add("n3")
    run(here, plan_of(NodeRemoveUnit, NodeRemove, here, node_name="node3"))
    assert "n3" not in here.config.nodes
    here = world(nodes={"n3": {"offline": True, "master_candidate": False}})
    run(here, plan_of(NodeRemoveUnit, NodeRemove, here, node_name="node3"))
    assert here.asked == []


def test_remove_refusals():
    with pytest.raises(WrongState, match="is the master"):
        look(NodeRemoveUnit, NodeRemove, world(), node_name="node1")
    with pytest.raises(WrongState, match="Instance web1"):
        look(NodeRemoveUnit, NodeRemove, world(replace(instance(), primary_node="n2"), disks=(disk(node="n2"),)),
             node_name="node2")


DEAD = {"n2": {"offline": True, "master_candidate": False}}


def test_remove_with_a_detached_disk():
    """No instance names it, and the record of a disk must not name a node that is not there."""
    alone = disk("d9", template=DiskTemplate.FILE, node="n2")
    with pytest.raises(WrongState, match="node2 has the detached disk d9"):
        look(NodeRemoveUnit, NodeRemove, world(disks=(alone,)), node_name="node2")
    here = world(disks=(alone,), nodes=DEAD)
    unit, seen, view = look(NodeRemoveUnit, NodeRemove, here, node_name="node2")
    assert any("d9 is lost with node node2" in line for line in view.lines)
    run(here, unit.plan(seen))
    assert (here.config.disks, "n2" in here.config.nodes) == ({}, False)
    pair = world(disks=(mirrored("d9"),), nodes=DEAD, make=Mirrors)
    with pytest.raises(WrongState, match="detached disk d9"):
        look(NodeRemoveUnit, NodeRemove, pair, node_name="node2")


# --- modify ---


def modify(here, **fields):
    return run(here, plan_of(NodeSetParamsUnit, NodeSetParams, here, **{"node_name": "node2", **fields}))


def flags(here, uuid="n2"):
    node = here.config.nodes[uuid]
    return node.master_candidate, node.drained, node.offline


def test_offline_costs_the_candidacy():
    here = world()
    result = modify(here, offline=True)
    assert result == [["master_candidate", False], ["offline", True]]
    assert flags(here) == (False, False, True)
    assert here.config.cluster.candidate_certs.keys() == {"n1", "n3"}


def test_offline_wins_over_drained_and_back():
    here = world(make=Waking, nodes={"n2": {"drained": True, "master_candidate": False}})
    assert modify(here, offline=True) == [["drained", False], ["offline", True]]
    assert modify(here, offline=False) == [["master_candidate", True], ["offline", False]]
    assert flags(here) == (True, False, False)


def test_flags_come_in_the_order_given_then_as_they_changed():
    here = world()
    result = modify(here, master_capable=False, vm_capable=True, secondary_ip="198.51.100.77")
    assert result == [["master_capable", False], ["vm_capable", True], ["secondary_ip", "198.51.100.77"],
                      ["master_candidate", False]]


def test_parameters_give_no_line():
    here = world()
    assert modify(here, ndparams={"ssh_port": 2222}, hv_state={"kvm": {"mem_total": 1}}) == []
    assert here.config.nodes["n2"].ndparams == {"ssh_port": 2222}
    assert modify(here, ndparams={"ssh_port": "default"}) == []
    assert here.config.nodes["n2"].ndparams == {}


def test_a_flag_that_is_so_already_is_ignored():
    unit, seen, view = look(NodeSetParamsUnit, NodeSetParams, world(), node_name="node2", drained=False)
    assert unit.plan(seen).steps == ()
    assert view.lines == [" - INFO: Ignoring request to set flag drained to False, it is already so"]


def test_the_pool_may_not_run_short_unless_others_are_promoted():
    def small():
        return world(nodes={"n3": {"master_candidate": False}}, cluster={"candidate_pool_size": 2})
    with pytest.raises(WrongState, match="Not enough master candidates"):
        modify(small(), drained=True)
    here = small()
    assert modify(here, drained=True, auto_promote=True) == [["master_candidate", False], ["drained", True]]
    assert flags(here, "n3") == (True, False, False)
    assert here.config.cluster.candidate_certs == {"n1": CERTS["n1"], "n3": CERTS["n3"]}


def test_a_node_that_comes_back_must_answer():
    here = world(make=Waking)
    offline(here.config, "n2")
    here.down.add("n2")
    with pytest.raises(NodeUnreachable):
        modify(here, offline=False)


@pytest.mark.parametrize(("fields", "error", "text"), [
    ({}, WrongInput, "at least one modification"),
    ({"offline": True, "drained": True}, WrongInput, "At most one"),
    ({"node_name": "node1", "drained": True}, WrongInput, "master-failover"),
    ({"node_name": "node1", "master_capable": False}, WrongInput, "master-failover"),
    ({"node_name": "node3", "vm_capable": False}, WrongState, "hosts instances"),
    ({"node_name": "node3", "secondary_ip": "192.0.2.3"}, WrongInput, "two addresses each, and this is its primary"),
    ({"node_name": "node3", "secondary_ip": "198.51.100.2"}, NotUnique, "belongs to node node2"),
    ({"master_candidate": True, "master_capable": False}, WrongState, "cannot be master candidate"),
    ({"ndparams": {"nono": 1}}, ParameterError, "nono"),
    ({"node_name": "nono", "drained": True}, NotFound, "nono"),
])
def test_modify_refusals(fields, error, text):
    with pytest.raises(error, match=text):
        modify(world(replace(instance(), primary_node="n3"), disks=(disk(node="n3"),)), **fields)


def test_mirrors_follow_the_address_of_their_node():
    pair = mirrored()
    guest = instance(template=DiskTemplate.DRBD)
    here = world(guest, disks=(pair,), make=Mirrors)
    with pytest.raises(WrongState, match="Instance web1 is in use, its mirrors on node node2"):
        modify(world(replace(guest, disks_active=True), disks=(pair,), make=Mirrors), node_name="node2",
               secondary_ip="198.51.100.88")
    assert modify(here, node_name="node2", secondary_ip="198.51.100.88") == [["secondary_ip", "198.51.100.88"]]
    assert here.config.nodes["n2"].secondary_ip == "198.51.100.88"
    assert [end.address for end in here.config.disks["d1"].drbd.ends] == ["198.51.100.1", "198.51.100.88"]


def test_modify_hooks_get_what_was_asked_for():
    unit, seen, _ = look(NodeSetParamsUnit, NodeSetParams, world(), node_name="node2", drained=True)
    hooks = unit.hooks(seen)
    assert hooks.pre_nodes == hooks.post_nodes == ("n1", "n2")
    assert hooks.env == {"MASTER_CANDIDATE": "None", "DRAINED": "True", "OFFLINE": "None", "MASTER_CAPABLE": "None",
                         "VM_CAPABLE": "None"}


def test_demotion_with_promotion_locks_all_nodes():
    unit, _, view = look(NodeSetParamsUnit, NodeSetParams, world(), node_name="node2", drained=True, auto_promote=True)
    assert unit.locks(view).exclusive["node"] == {"*"}


@pytest.mark.parametrize(("unit", "op", "fields"), [
    (NodeAddUnit, NodeAdd, NEW),
    (NodeRemoveUnit, NodeRemove, {"node_name": "node3"}),
    (NodeSetParamsUnit, NodeSetParams, {"node_name": "node2", "drained": True, "auto_promote": True}),
])
def test_cut_off_anywhere(unit, op, fields):
    def make():
        here = world()
        new_node(here.config, "n5")
        here.config.replace("cluster", replace(here.config.cluster, candidate_pool_size=4))
        return here, plan_of(unit, op, here, **fields)
    check_every_cut(make)


# --- storage ---

ALL_FIELDS = ["node", "type", "name", "size", "used", "free", "allocatable"]


def test_storage_units_of_the_enabled_templates():
    here = world()
    rows = run(here, plan_of(NodeQueryStorageUnit, NodeQueryStorage, here, output_fields=ALL_FIELDS, nodes=["node2"]))
    assert rows == [["node2", "sharedfile", "/srv/shared", 200000, 150000, 50000, True],
                    ["node2", "file", "/srv/file", 200000, 150000, 50000, True]]
    rows = run(here, plan_of(NodeQueryStorageUnit, NodeQueryStorage, here, output_fields=["node", "type"],
                             storage_type="file"))
    assert rows == [["node1", "file"], ["node2", "file"], ["node3", "file"]]
    assert run(here, plan_of(NodeQueryStorageUnit, NodeQueryStorage, here, output_fields=["node"],
                             storage_type="lvm-vg")) == []


def test_nodes_that_do_not_answer_have_no_storage():
    here = world(nodes={"n3": {"offline": True, "master_candidate": False}})
    here.down.add("n2")
    unit, seen, view = look(NodeQueryStorageUnit, NodeQueryStorage, here, output_fields=["node"], name="/srv/file")
    assert unit.plan(seen).result == [["node1"]]
    assert "node node2 did not measure" in view.lines[0]


def test_volumes_and_unknown_fields():
    assert plan_of(NodeQueryvolsUnit, NodeQueryvols, world(), output_fields=["vg", "name"]).result == []
    for unit, op in ((NodeQueryvolsUnit, NodeQueryvols), (NodeQueryStorageUnit, NodeQueryStorage)):
        with pytest.raises(WrongInput, match="Unknown output fields selected: nono"):
            look(unit, op, world(), output_fields=["name", "nono"])


# --- evacuate ---


def test_primaries_are_migrated_or_failed_over():
    guests = [replace(instance("web1", "i1"), admin_state=UP), replace(instance("web2", "i22", disks=())),
              replace(instance("web3", "i333", disks=()), admin_state=OFFLINE)]
    here = world(*guests, disks=(disk(),))
    result = run(here, plan_of(NodeEvacuateUnit, NodeEvacuate, here, node_name="node1", mode="primary-only"))
    assert [(op["OP_ID"], op["instance_name"]) for [op] in here.jobs] == [
        ("OP_INSTANCE_MIGRATE", "web1"), ("OP_INSTANCE_FAILOVER", "web2"), ("OP_INSTANCE_FAILOVER", "web3")]
    assert len(result["jobs"]) == 3
    assert plan_of(NodeEvacuateUnit, NodeEvacuate, here, node_name="node2", mode="primary-only").result == {"jobs": []}


def test_evacuation_refusals():
    here = world()
    for fields, text in (({"mode": "all"}, "one go"),
                         ({"mode": "primary-only", "remote_node": "node3"}, "only with --secondary-only")):
        with pytest.raises(WrongInput, match=text):
            look(NodeEvacuateUnit, NodeEvacuate, here, node_name="node2", **fields)
