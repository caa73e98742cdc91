# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster modify: what changes, what is refused."""

import pytest

from gantry.cmdlib.cluster_set_params import ClusterSetParamsUnit
from gantry.errors import HypervisorError, ParameterError, WrongInput, WrongState
from gantry.opcodes.cluster import ClusterSetParams
from support.cluster_world import CERTS, ClusterWorld, config, with_address
from support.cuts import check_every_cut, run
from support.guest_world import disk, instance
from support.view import look, plan_of


def world(*instances, **kwargs):
    return ClusterWorld(config(*instances, **kwargs))


def change(here, **fields):
    run(here, plan_of(ClusterSetParamsUnit, ClusterSetParams, here, **fields))
    return here.config.cluster


def test_plain_fields():
    made = change(world(), max_running_jobs=5, default_iallocator="hail", mac_prefix="AA:BB:CC",
                  maintain_node_health=True)
    assert (made.max_running_jobs, made.default_iallocator, made.mac_prefix, made.maintain_node_health) == (
        5, "hail", "aa:bb:cc", True)


def test_parameters_are_complete_and_can_be_reset():
    here = world()
    made = change(here, beparams={"maxmem": "2g", "vcpus": 2}, ndparams={"ssh_port": 2222},
                  nicparams={"link": "br9"}, diskparams={"plain": {"stripes": 4}})
    assert (made.beparams["default"]["maxmem"], made.beparams["default"]["vcpus"]) == (2048, 2)
    assert (made.ndparams["ssh_port"], made.ndparams["spindle_count"]) == (2222, 1)
    assert made.nicparams["default"] == {"mode": "bridged", "link": "br9", "vlan": ""}
    assert made.diskparams["plain"] == {"stripes": 4}
    assert change(here, ndparams={"ssh_port": "default"}).ndparams["ssh_port"] == 22


def test_hypervisor_parameters_are_checked_on_the_nodes():
    here = world()
    assert change(here, hvparams={"kvm": {"acpi": False}}).hvparams["kvm"]["acpi"] is False
    assert {node for node, call in here.asked if call == "hypervisor_validate"} == {"n1", "n2", "n3"}
    here.refuse["hypervisor_validate"] = HypervisorError(detail="no such machine")
    with pytest.raises(WrongInput, match="validation failed on node node1: no such machine"):
        change(here, hvparams={"kvm": {"acpi": True}})


def test_nodes_that_do_not_answer_do_not_hinder():
    here = world()
    here.down.add("n3")
    assert change(here, hvparams={"kvm": {"acpi": False}}).hvparams["kvm"]["acpi"] is False


def test_os_parameters():
    here = world()
    made = change(here, os_hvp={"tiny": {"kvm": {"acpi": False}}}, osparams={"tiny": {"ticks": "3"}},
                  osparams_private_cluster={"tiny": {"secret": "x"}})
    assert made.os_hvp == {"tiny": {"kvm": {"acpi": False}}}
    assert (made.osparams, made.osparams_private_cluster) == ({"tiny": {"ticks": "3"}}, {"tiny": {"secret": "x"}})
    assert change(here, osparams={"tiny": {"ticks": "default"}}).osparams == {}


def test_lists_are_edited():
    here = world()
    assert change(here, hidden_os=[["add", "tiny"], ["add", "big"], ["add", "tiny"]]).hidden_os == ("tiny", "big")
    assert change(here, hidden_os=[["remove", "tiny"], ["remove", "nono"]]).hidden_os == ("big",)


def test_uid_pool():
    here = world()
    assert change(here, uid_pool=[[100, 199]], add_uids=[[50, 60]]).uid_pool == ((50, 60), (100, 199))
    assert change(here, remove_uids=[[50, 60]]).uid_pool == ((100, 199),)
    with pytest.raises(WrongInput, match="overlap"):
        change(here, add_uids=[[150, 250]])
    with pytest.raises(WrongInput, match="no such range"):
        change(here, remove_uids=[[1, 2]])


def test_a_larger_pool_is_filled_at_once():
    here = world(nodes={"n3": {"master_candidate": False}}, cluster={"candidate_pool_size": 2})
    made = change(here, candidate_pool_size=5)
    assert here.config.nodes["n3"].master_candidate
    assert made.candidate_certs == CERTS


def test_what_is_so_already_changes_nothing():
    assert plan_of(ClusterSetParamsUnit, ClusterSetParams, world(), max_running_jobs=20).steps == ()


def test_the_address_moves_to_another_device():
    here = with_address(world())
    unit, seen, _ = look(ClusterSetParamsUnit, ClusterSetParams, here, master_netdev="eth1", master_netmask=24)
    plan = unit.plan(seen)
    run(here, plan)
    assert here.addresses == {"n1": ("eth1", "192.0.2.100", 24)}
    assert [step.title for step in plan.steps] == [
        "taking the cluster address 192.0.2.100/32 on lo down", "",
        "bringing the cluster address 192.0.2.100/24 on eth1 up"]
    assert not plan.steps[0].may_fail


def test_with_force_the_old_address_may_stay():
    plan = plan_of(ClusterSetParamsUnit, ClusterSetParams, world(), master_netdev="eth1", force=True)
    assert plan.steps[0].may_fail


@pytest.mark.parametrize(("fields", "error", "text"), [
    ({}, WrongInput, "at least one of the parameters"),
    ({"mac_prefix": "zz:zz:zz"}, WrongInput, "Invalid MAC prefix"),
    ({"hvparams": {"kvm": {"nono": 1}}}, ParameterError, "nono"),
    ({"beparams": {"nono": 1}}, ParameterError, "nono"),
    ({"beparams": {"minmem": 999999}}, (ParameterError, WrongInput), ""),
    ({"diskparams": {"plain": {"nono": 1}}}, ParameterError, "nono"),
    ({"enabled_hypervisors": ["kvm"]}, WrongState, "instances use: web1"),
    ({"enabled_disk_templates": ["file"]}, WrongState, "instances use: web1"),
    ({"vg_name": "", "enabled_disk_templates": ["plain", "sharedfile"]}, WrongInput, "volume group cannot be unset"),
])
def test_refusals(fields, error, text):
    with pytest.raises(error, match=text or None):
        change(world(instance(), disks=(disk(),)), **fields)


def test_hooks_and_locks():
    unit, seen, view = look(ClusterSetParamsUnit, ClusterSetParams, world(), vg_name="xenvg")
    hooks = unit.hooks(seen)
    assert hooks.pre_nodes == hooks.post_nodes == ("n1",)
    assert (hooks.path, hooks.env) == ("cluster-modify", {"NEW_VG_NAME": "xenvg"})
    assert unit.locks(view).shared == {level: {"*"} for level in ("node", "instance", "nodegroup")}


def test_cut_off_anywhere():
    def make():
        here = with_address(world(nodes={"n3": {"master_candidate": False}}, cluster={"candidate_pool_size": 2}))
        return here, plan_of(ClusterSetParamsUnit, ClusterSetParams, here, master_netdev="eth1", candidate_pool_size=4)
    check_every_cut(make)
