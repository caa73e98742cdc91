# SPDX-License-Identifier: BSD-2-Clause
"""The cluster as a whole: init hooks, destroy, rename, its address, ssconf, queries."""

import pytest

from gantry.cmdlib.cluster_activate_master_ip import ClusterActivateMasterIpUnit
from gantry.cmdlib.cluster_config_query import ClusterConfigQueryUnit
from gantry.cmdlib.cluster_deactivate_master_ip import ClusterDeactivateMasterIpUnit
from gantry.cmdlib.cluster_destroy import ClusterDestroyUnit
from gantry.cmdlib.cluster_post_init import ClusterPostInitUnit
from gantry.cmdlib.cluster_query import ClusterQueryUnit
from gantry.cmdlib.cluster_redist_conf import ClusterRedistConfUnit
from gantry.cmdlib.cluster_rename import ClusterRenameUnit
from gantry.cmdlib.query import QueryUnit
from gantry.cmdlib.query_fields import QueryFieldsUnit
from gantry.errors import NotFound, NotUnique, ParameterError, WrongInput, WrongState
from gantry.opcodes.cluster import (
    ClusterActivateMasterIp,
    ClusterConfigQuery,
    ClusterDeactivateMasterIp,
    ClusterDestroy,
    ClusterPostInit,
    ClusterQuery,
    ClusterRedistConf,
    ClusterRename,
)
from gantry.opcodes.query import Query, QueryFields
from support.cluster_world import ClusterWorld, config, with_address
from support.cuts import check_every_cut, run
from support.guest_world import disk, instance
from support.view import look, plan_of


def world(*instances, **kwargs):
    return ClusterWorld(config(*instances, **kwargs))


# --- init, destroy ---


def test_the_hooks_of_a_new_cluster_run_after_it_was_made():
    unit, seen, view = look(ClusterPostInitUnit, ClusterPostInit, world())
    hooks = unit.hooks(seen)
    assert (hooks.path, hooks.pre_nodes, hooks.post_nodes) == ("cluster-init", (), ("n1",))
    assert unit.plan(seen).result is True
    assert unit.locks(view).exclusive_cluster


def test_an_empty_cluster_can_be_destroyed():
    here = world()
    for uuid in ("n2", "n3"):
        here.config.remove("nodes", uuid)
    unit, seen, view = look(ClusterDestroyUnit, ClusterDestroy, here)
    plan = unit.plan(seen)
    assert plan.result == "n1"
    assert [(step.action.call, step.action.node, step.may_fail) for step in plan.steps] == [
        ("master_ip_stop", "n1", True)]
    assert unit.hooks(seen).post_nodes == ("n1",)
    assert unit.locks(view).exclusive_cluster


def test_a_cluster_that_is_not_empty_cannot():
    here = world(instance(), disks=(disk(),))
    with pytest.raises(WrongState, match=r"2 node\(s\).*node2, node3"):
        look(ClusterDestroyUnit, ClusterDestroy, here)
    for uuid in ("n2", "n3"):
        here.config.remove("nodes", uuid)
    with pytest.raises(WrongState, match=r"1 instance\(s\).*web1"):
        look(ClusterDestroyUnit, ClusterDestroy, here)


# --- name and address ---


@pytest.fixture
def names(monkeypatch):
    known = {"cluster": "192.0.2.100", "other": "192.0.2.101", "same-address": "192.0.2.100", "busy": "192.0.2.102",
             "a-node": "198.51.100.2"}

    async def answers(address):
        return address == "192.0.2.102"
    monkeypatch.setattr("gantry.cmdlib.cluster_rename.resolve", lambda name: (name, known[name]))
    monkeypatch.setattr("gantry.cmdlib.master_ip.answers", answers)


@pytest.mark.usefixtures("names")
def test_rename_moves_the_address():
    here = with_address(world())
    unit, seen, view = look(ClusterRenameUnit, ClusterRename, here, name="other")
    assert run(here, unit.plan(seen)) == "other"
    assert (here.config.cluster.name, here.config.cluster.master_ip) == ("other", "192.0.2.101")
    assert here.addresses == {"n1": ("lo", "192.0.2.101", 32)}
    assert unit.locks(view).exclusive_cluster
    hooks = unit.hooks(seen)
    assert (hooks.pre_nodes, hooks.post_nodes) == (("n1",), ("n1", "n2", "n3"))
    assert (hooks.target, hooks.env) == ("cluster", {"NEW_NAME": "other"})


@pytest.mark.usefixtures("names")
def test_a_new_name_alone_leaves_the_address_up():
    here = with_address(world())
    run(here, plan_of(ClusterRenameUnit, ClusterRename, here, name="same-address"))
    assert here.config.cluster.name == "same-address"
    assert here.asked == []


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize(("name", "error", "text"), [
    ("cluster", WrongInput, "Neither the name nor the IP address"),
    ("busy", NotUnique, "another host"),
    ("a-node", NotUnique, "that of node node2"),
    ("no name", WrongInput, "not a valid host name"),
])
def test_rename_refusals(name, error, text):
    with pytest.raises(error, match=text):
        look(ClusterRenameUnit, ClusterRename, world(), name=name)


@pytest.mark.usefixtures("names")
def test_rename_cut_off_anywhere():
    def make():
        here = with_address(world())
        return here, plan_of(ClusterRenameUnit, ClusterRename, here, name="other")
    check_every_cut(make)


def test_the_address_goes_up_and_down():
    here = world()
    run(here, plan_of(ClusterActivateMasterIpUnit, ClusterActivateMasterIp, here))
    assert here.addresses == {"n1": ("lo", "192.0.2.100", 32)}
    run(here, plan_of(ClusterDeactivateMasterIpUnit, ClusterDeactivateMasterIp, here))
    assert here.addresses == {}


# --- ssconf ---


def test_ssconf_is_written_anew():
    here = world()
    unit, seen, view = look(ClusterRedistConfUnit, ClusterRedistConf, here)
    run(here, unit.plan(seen))
    assert here.redistributed == 1
    assert unit.locks(view).shared == {"node": {"*"}}


# --- queries ---


def test_cluster_query_is_what_info_shows():
    result = plan_of(ClusterQueryUnit, ClusterQuery, world()).result
    assert (result["name"], result["master"], result["enabled_hypervisors"]) == ("cluster", "node1", ["fake", "kvm"])


def test_config_query():
    plan = plan_of(ClusterConfigQueryUnit, ClusterConfigQuery, world(),
                   output_fields=["cluster_name", "master_node", "volume_group_name"])
    assert plan.result == ["cluster", "node1", None]
    with pytest.raises(WrongInput, match="Unknown output fields selected: nono"):
        look(ClusterConfigQueryUnit, ClusterConfigQuery, world(), output_fields=["nono"])


def test_query():
    here = world(instance(), disks=(disk(),))
    result = plan_of(QueryUnit, Query, here, what="instance", fields=["name", "pnode", "nono"]).result
    assert result["data"] == [[[0, "web1"], [0, "node1"], [1, None]]]
    assert [field["name"] for field in result["fields"]] == ["name", "pnode", "nono"]
    result = plan_of(QueryUnit, Query, here, what="cluster", fields=["name"]).result
    assert result["data"] == [[[0, "cluster"]]]
    result = plan_of(QueryUnit, Query, here, what="os", fields=["name", "valid"]).result
    assert result["data"] == [[[0, "tiny"], [0, True]]]


def test_query_refusals():
    for what in ("job", "lock"):
        with pytest.raises(WrongInput, match="cannot be queried by a job"):
            look(QueryUnit, Query, world(), what=what, fields=["id"])
    with pytest.raises(NotFound):
        look(QueryUnit, Query, world(), what="node", fields=["name"], qfilter=["=", "name", "nono"])
    with pytest.raises(ParameterError):
        look(QueryUnit, Query, world(), what="nono", fields=["name"])


def test_query_fields():
    result = plan_of(QueryFieldsUnit, QueryFields, world(), what="os", fields=["name", "nono"]).result
    assert [(field["name"], field["kind"]) for field in result["fields"]] == [("name", "text"), ("nono", "unknown")]
    assert len(plan_of(QueryFieldsUnit, QueryFields, world(), what="cluster").result["fields"]) > 10
