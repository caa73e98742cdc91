# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_CREATE."""

import pytest

from gantry.cmdlib.instance_create import InstanceCreateUnit
from gantry.errors import (
    BadEnvironment,
    Error,
    ExecError,
    NoResources,
    NotFound,
    NotUnique,
    ParameterError,
    WrongInput,
    WrongState,
)
from gantry.opcodes.instance import InstanceCreate
from support.cuts import check_every_cut, fails_and_undoes, run
from support.guest_world import UP, World, cluster_config, disk, instance
from support.view import look, plan_of

PLAIN = {"instance_name": "web1", "mode": "create", "disks": ({"size": 256},), "nics": ({},), "os_type": "tiny",
         "pnode": "node1", "disk_template": "sharedfile", "start": True}


def fresh(**cluster):
    return World(cluster_config(cluster=cluster))


def make(world=None, **fields):
    world = world or fresh()
    return world, plan_of(InstanceCreateUnit, InstanceCreate, world, **(PLAIN | fields))


def refused(error, world=None, **fields):
    with pytest.raises(error) as caught:
        make(world, **fields)
    return str(caught.value)


def test_a_shared_file_instance_runs_in_the_end():
    world, plan = make()
    assert run(world, plan) == ["node1"]
    made = world.config.instance("web1")
    assert (made.admin_state, made.disks_active) == (UP, True)
    assert made.machine == "pc-q35-7.2"
    assert world.running(made.uuid) == ["n1"]
    only = world.config.disks_of(made)[0]
    assert only.file.path == f"/srv/shared/web1/{only.uuid}.sharedfile.disk0"
    assert only.nodes == ()
    assert world.files[only.file.path].content == "installed"


def test_devices_get_slots_and_addresses_for_life():
    world, plan = make(hypervisor="kvm", disks=({"size": 4}, {"size": 4}), nics=({}, {"mac": "AA:00:00:11:22:33"}))
    run(world, plan)
    made = world.config.instance("web1")
    assert [item.pci for item in world.config.disks_of(made)] == [12, 13]
    assert [nic.pci for nic in made.nics] == [14, 15]
    assert made.nics[0].mac.startswith("aa:00:00:")
    assert made.nics[1].mac == "aa:00:00:11:22:33"
    assert {("mac", nic.mac) for nic in made.nics} <= set(plan.reserves)
    assert made.network_port == 11000


@pytest.mark.parametrize("fields", [
    {}, {"disk_template": "file", "disks": ({"size": 4}, {"size": 8})}, {"start": False}, {"no_install": True},
    {"disk_template": "diskless", "disks": (), "os_type": None, "no_install": True},
    {"disk_template": "diskless", "disks": ()}])
def test_cut_off_anywhere_it_is_done_or_undone(fields):
    check_every_cut(lambda: make(**fields), check=lambda world: (world.starts <= 2) or pytest.fail("started thrice"))


@pytest.mark.parametrize("call", ["disk_create", "disks_open", "os_create", "instance_start"])
def test_a_failure_leaves_nothing_behind(call):
    world, plan = make()
    world.refuse[call] = ExecError(detail="no")
    assert str(fails_and_undoes(world, plan)) == "no"
    assert not world.config.instances
    assert not world.config.disks
    assert not world.files


def test_without_installation_it_is_not_started():
    world = fresh()
    unit, seen, view = look(InstanceCreateUnit, InstanceCreate, world, **(PLAIN | {"no_install": True}))
    assert "No-installation mode selected, disabling startup" in view.lines
    run(world, unit.plan(seen))
    assert not world.guests["n1"]
    assert [file.content for file in world.files.values()] == [""]


def test_secret_parameters_are_in_no_plan():
    _, plan = make(osparams={"size": "1"}, osparams_secret={"root-password": "hush"})
    stored = str(plan.encode())
    assert "hush" not in stored
    assert "OSP_ROOT_PASSWORD" in stored
    assert "'OSP_SIZE': '1'" in stored


def test_hooks_see_the_instance():
    unit, seen, _ = look(InstanceCreateUnit, InstanceCreate, fresh(), **PLAIN)
    hooks = unit.hooks(seen)
    assert (hooks.path, hooks.target, hooks.pre_nodes, hooks.post_nodes) == ("instance-add", "web1", ("n1",), ("n1",))
    assert hooks.env["ADD_MODE"] == "create"
    assert hooks.env["INSTANCE_STATUS"] == "True"
    assert hooks.env["INSTANCE_DISK0_SIZE"] == "256"
    assert "INSTANCE_DISK0_DEV_TYPE" not in hooks.env
    assert hooks.env["INSTANCE_NIC0_BRIDGE"] == "br0"
    assert hooks.env["INSTANCE_BE_maxmem"] == "128"


def test_an_address_of_a_network_comes_from_its_pool():
    world, plan = make(nics=({"network": "office", "ip": "pool"}, {"network": "office", "ip": "pool"}))
    run(world, plan)
    assert [nic.ip for nic in world.config.instance("web1").nics] == ["203.0.113.2", "203.0.113.3"]
    assert ("ip", "203.0.113.2") in plan.reserves


@pytest.mark.parametrize(("error", "fields", "words"), [
    (NotFound, {"pnode": "node9"}, "node9"),
    (WrongInput, {"pnode": None}, "default iallocator"),
    (BadEnvironment, {"pnode": None, "iallocator": "nosuch"}, "nosuch"),
    (WrongInput, {"iallocator": "hail"}, "both"),
    (WrongInput, {"instance_name": "bad name"}, "bad name"),
    (WrongInput, {"ip_check": True}, "name check"),
    (WrongInput, {"mode": "remote-import"}, "remote-import"),
    (WrongInput, {"forthcoming": True}, "forthcoming"),
    (WrongInput, {"os_type": None}, "No guest OS"),
    (WrongInput, {"os_type": "other"}, "other"),
    (WrongInput, {"disk_template": "plain"}, "not enabled"),
    (WrongInput, {"disk_template": "diskless"}, "cannot have disks"),
    (WrongInput, {"disks": ()}, "No disk information"),
    (WrongInput, {"disks": ({},)}, "Missing disk size"),
    (WrongInput, {"disks": ({"size": 0},)}, "larger than 0"),
    (WrongInput, {"disks": ({"size": 4, "vg": "xenvg"},)}, "vg"),
    (NotUnique, {"disks": ({"size": 4, "name": "a"}, {"size": 4, "name": "a"})}, "twice"),
    (WrongInput, {"disks": ({"size": 4, "name": "7"},)}, "index"),
    (NoResources, {"disks": ({"size": 99999},), "ignore_ipolicy": True}, "disk space"),
    (WrongInput, {"disks": ({"size": 200000},)}, "violates policy"),
    (WrongInput, {"hvparams": {"migration_port": 8102}, "hypervisor": "kvm"}, "global"),
    (ParameterError, {"hvparams": {"nonsense": 1}}, "nonsense"),
    (ParameterError, {"beparams": {"vcpus": "many"}}, "vcpus"),
    (ParameterError, {"beparams": {"maxmem": 128, "minmem": 256}}, "maximum"),
    (NoResources, {"beparams": {"memory": 9000}}, "Not enough memory"),
    (WrongInput, {"nics": ({"mac": "xx"},)}, "MAC"),
    (WrongInput, {"nics": ({"mac": "01:00:00:00:00:01"},)}, "multicast"),
    (NotUnique, {"nics": ({"mac": "aa:00:00:00:00:05"}, {"mac": "aa:00:00:00:00:05"})}, "twice"),
    (WrongInput, {"nics": ({"ip": "1.2.3"},)}, "1.2.3"),
    (WrongInput, {"nics": ({"ip": "pool"},)}, "network"),
    (WrongInput, {"nics": ({"ip": "203.0.113.4"},)}, "office"),
    (WrongInput, {"nics": ({"network": "office", "ip": "10.0.0.1"},)}, "is not in network"),
    (NotUnique, {"nics": ({"network": "office", "ip": "203.0.113.1"},)}, "already in use"),
    (WrongInput, {"nics": ({"network": "office", "link": "br1"},)}, "cannot be given together"),
    (ParameterError, {"nics": ({"mode": "strange"},)}, "strange"),
    (WrongInput, {"nics": ({"mode": "routed"},)}, "ip address"),
    (WrongInput, {"nics": ({"vlan": "x"},)}, "VLAN"),
    (WrongInput, {"nics": ({},) * 9, "ignore_ipolicy": True}, "too many"),
    (WrongInput, {"file_storage_dir": "../x"}, "not a path"),
    (WrongInput, {"hypervisor": "kvm", "nics": (), "tags": ("a",), "group_name": "default", "disks": ()}, "disk"),
])
def test_refusals_change_nothing(error, fields, words):
    world = fresh()
    before = world.snapshot()
    assert words in refused(error, world, **fields)
    assert world.snapshot() == before


@pytest.mark.parametrize(("node", "words"), [({"offline": True}, "offline"), ({"drained": True}, "drained"),
                                             ({"vm_capable": False, "master_candidate": False}, "vm_capable")])
def test_nodes_that_take_no_instances(node, words):
    world = World(cluster_config(nodes={"n2": node}))
    assert words in refused(WrongState, world, pnode="node2")


def test_names_are_unique():
    world = World(cluster_config(instance(), disks=(disk(),)))
    assert "already" in refused(NotUnique, world)


def test_a_node_that_does_not_answer():
    world = fresh()
    world.down = {"n1"}
    with pytest.raises(Error, match="does not answer"):
        make(world)


def test_policy_can_be_ignored():
    world, plan = make(disks=({"size": 4},), ignore_ipolicy=True, beparams={"vcpus": 60})
    assert run(world, plan) == ["node1"]
