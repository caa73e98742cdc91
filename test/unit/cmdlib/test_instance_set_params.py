# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_SET_PARAMS."""

import pytest

from gantry.cmdlib.instance_set_params import InstanceSetParamsUnit
from gantry.constants import DiskTemplate
from gantry.errors import (
    Error,
    HypervisorError,
    NoResources,
    NotFound,
    NotUnique,
    ParameterError,
    StorageError,
    WrongInput,
    WrongState,
)
from gantry.opcodes.instance import InstanceSetParams
from support.cuts import check_every_cut, fails_and_undoes, run
from support.guest_world import OFFLINE, UP, World, cluster_config, disk, instance
from support.view import look, plan_of

NICS = ({"nics": (("add", -1, {"mac": "aa:00:00:01:02:03"}), ("remove", 0, {}))},
        {"nics": (("modify", 0, {"mac": "aa:00:00:01:02:04"}),)})


def stopped(*, nodes=None, **fields):
    return World(cluster_config(instance(**({"disks": ("d1", "d2")} | fields)), nodes=nodes,
                                disks=(disk(), disk("d2", index=1, pci=14))))


def running(**fields):
    world = stopped(admin_state=UP, disks_active=True, **fields)
    return world.run(world.config.instance("web1"))


def modify(world, **fields):
    return plan_of(InstanceSetParamsUnit, InstanceSetParams, world, instance_name="web1", **fields)


def result(world, **fields):
    return run(world, modify(world, **fields))


def test_backend_parameters_are_told_as_typed():
    world = running()
    assert result(world, beparams={"memory": "256m", "vcpus": 2}) == [["be/memory", 256], ["be/vcpus", 2]]
    assert world.config.instance("web1").beparams == {"maxmem": 256, "minmem": 256, "vcpus": 2}
    assert result(world, beparams={"memory": "default"}) == [["be/memory", "default"]]
    assert world.config.instance("web1").beparams == {"vcpus": 2}


def test_hypervisor_parameters():
    world = World(cluster_config(instance(hypervisor="kvm", disks=())))
    assert result(world, hvparams={"boot_order": "network"}) == [["hv/boot_order", "network"]]
    assert world.config.instance("web1").hvparams == {"boot_order": "network"}
    result(world, hvparams={"boot_order": "default"})
    assert world.config.instance("web1").hvparams == {}


def test_another_machine_version_is_pinned_anew():
    world = World(cluster_config(instance(hypervisor="kvm", disks=(), machine="pc-q35-7.1")))
    result(world, hvparams={"machine_version": "pc-q35-7.2"})
    assert world.config.instance("web1").machine == ""


def test_all_kinds_come_in_order():
    world = stopped()
    found = result(world, osparams={"size": "2"}, osparams_private={"key": "x"}, beparams={"vcpus": 3},
                   disks=(("add", -1, {"size": 512}),), nics=(("add", -1, {"mac": "aa:00:00:01:02:03"}),), offline=True)
    assert found == [
        ["disk/2", "add:size=512,mode=rw"], ["nic.1", "add:mac=aa:00:00:01:02:03,ip=None,mode=bridged,link=br0"],
        ["be/vcpus", 3], ["os/size", "2"], ["os_private/key", "<redacted>"], ["admin_state", "offline"]]
    made = world.config.instance("web1")
    assert made.admin_state == OFFLINE
    assert [item.pci for item in world.config.disks_of(made)] == [12, 14, 15]
    assert [nic.pci for nic in made.nics] == [13, 16]


@pytest.mark.parametrize("fields", [
    {"beparams": {"vcpus": 2}}, {"disks": (("add", 0, {"size": 8}), ("modify", 1, {"mode": "ro"}))},
    {"disks": (("remove", 0, {}),)}, {"disks": (("add", -1, {"size": 8}), ("remove", 0, {}), ("remove", 0, {}))},
    {"disks": (("detach", "d1", {}),)}, {"nics": (("remove", -1, {}), ("add", 0, {}))}])
def test_cut_off_anywhere(fields):
    def make():
        world = stopped()
        return world, modify(world, **fields)
    check_every_cut(make)


def test_a_disk_for_a_running_instance_is_seen_after_its_next_start():
    world = running()
    unit, seen, view = look(InstanceSetParamsUnit, InstanceSetParams, world, instance_name="web1",
                            disks=(("add", -1, {"size": 512}),), hotplug=False)
    assert any("after its next start" in line for line in view.lines)
    assert run(world, unit.plan(seen)) == [["disk/2", "add:size=512,mode=rw"]]
    assert len(world.files) == 3


def test_a_disk_that_cannot_be_made_changes_nothing():
    world = stopped()
    before = world.snapshot()
    todo = modify(world, disks=(("add", -1, {"size": 8}),), beparams={"vcpus": 2})
    world.refuse["disk_create"] = StorageError(detail="no space left")
    fails_and_undoes(world, todo)
    assert world.snapshot() == before


def test_detach_and_attach():
    world = stopped()
    assert result(world, disks=(("detach", 1, {}),)) == [["disk/1", "detach"]]
    assert "d2" in world.config.disks
    assert result(world, disks=(("attach", 0, {"uuid": "d2"}),)) == [["disk/0", "attach:size=256,mode=rw"]]
    assert world.config.instance("web1").disks == ("d2", "d1")


def test_disk_names_and_modes():
    world = stopped()
    assert result(world, disks=(("modify", 1, {"mode": "ro", "name": "data"}),)) == [
        ["disk.mode/1", "ro"], ["disk.name/1", "data"]]
    assert result(world, disks=(("modify", "data", {"name": "none"}),)) == [["disk.name/1", None]]


def test_nics():
    world = stopped()
    assert result(world, nics=(("modify", 0, {"ip": "10.0.0.1", "link": "br1"}),)) == [
        ["nic.ip/0", "10.0.0.1"], ["nic.link/0", "br1"]]
    assert result(world, nics=(("modify", 0, {"link": "auto"}),)) == [["nic.link/0", None]]
    nic = world.config.instance("web1").nics[0]
    assert (nic.ip, nic.nicparams) == ("10.0.0.1", {})
    assert result(world, nics=(("remove", 0, {}),)) == [["nic.0", "remove"]]


def test_runtime_memory():
    world = running(beparams={"minmem": 64, "maxmem": 128})
    assert result(world, runtime_mem=96) == [["runtime_memory", 96]]
    assert world.guests["n1"]["i1"].memory == 96
    with pytest.raises(WrongInput, match="between 64 and 128"):
        modify(world, runtime_mem=1024)
    with pytest.raises(WrongState, match="not running"):
        modify(stopped(), runtime_mem=96)


def test_offline_and_online():
    world = stopped()
    for _ in "again":  # a script that does not look first
        assert result(world, offline=True) == [["admin_state", "offline"]]
    assert world.config.instance("web1").admin_state == OFFLINE
    for _ in "again":
        assert result(world, offline=False) == [["admin_state", "down"]]
    for wanted in (True, False):
        with pytest.raises(WrongState, match="marked to be up"):
            modify(running(), offline=wanted)


def test_another_primary_node():
    world = stopped()
    assert result(world, pnode="node2") == [["pnode", "node2"]]
    assert (world.config.instance("web1").primary_node, world.config.instance("web1").owner_epoch) == ("n2", 2)
    with pytest.raises(WrongState, match="running"):
        modify(running(), pnode="node2")


@pytest.mark.parametrize(("error", "fields", "words"), [
    (WrongInput, {}, "No changes"),
    (WrongInput, {"disk_template": "plain"}, "not enabled"),
    (ParameterError, {"beparams": {"odd": 1}}, "odd"),
    (ParameterError, {"hvparams": {"odd": 1}}, "odd"),
    (NoResources, {"beparams": {"memory": 20000}}, "--force"),
    (WrongInput, {"os_name": "other"}, "other"),
    (WrongInput, {"disks": (("modify", 0, {"size": 9}),)}, "grow-disk"),
    (NotFound, {"disks": (("remove", 7, {}),)}, "disk/7"),
    (NotFound, {"disks": (("attach", -1, {"name": "lost"}),)}, "lost"),
    (WrongInput, {"disks": (("add", 9, {"size": 4}),)}, "index 9"),
    (NotUnique, {"disks": (("add", -1, {"size": 4, "name": "a"}), ("add", -1, {"size": 4, "name": "a"}))}, "twice"),
    (NotFound, {"nics": (("remove", 5, {}),)}, "nic/5"),
    (WrongInput, {"nics": (("modify", 0, {"mac": "auto"}),)}, "auto"),
    (WrongInput, {"nics": (("modify", 0, {"mode": "routed"}),)}, "ip address"),
    (WrongInput, {"beparams": {"vcpus": 60}}, "policy"),
])
def test_refusals(error, fields, words):
    world = stopped()
    before = world.snapshot()
    with pytest.raises(error, match=words):
        modify(world, **fields)
    assert world.snapshot() == before


def test_removing_a_disk_from_a_running_instance_is_refused():
    with pytest.raises(WrongState, match="can't remove volume from a running instance without using hotplug"):
        modify(running(), disks=(("remove", 0, {}),), hotplug=False)
    world = running()
    world.obstacle = "it is too old"
    with pytest.raises(WrongState, match="using hotplug: it is too old"):
        modify(world, disks=(("remove", 0, {}),))


def test_an_offline_primary():
    world = stopped(nodes={"n1": {"offline": True}})
    assert result(world, beparams={"vcpus": 2}) == [["be/vcpus", 2]]
    with pytest.raises(Error, match="offline"):
        modify(world, disks=(("add", -1, {"size": 4}),))


def test_a_diskless_instance_takes_no_disk():
    world = World(cluster_config(instance(disks=(), template=DiskTemplate.DISKLESS)))
    with pytest.raises(WrongState, match="diskless"):
        modify(world, disks=(("add", -1, {"size": 4}),))


def test_hooks_see_the_new_values():
    unit, seen, _ = look(InstanceSetParamsUnit, InstanceSetParams, stopped(), instance_name="web1",
                         beparams={"vcpus": 2})
    hooks = unit.hooks(seen)
    assert (hooks.path, hooks.env["INSTANCE_VCPUS"], hooks.pre_nodes) == ("instance-modify", "2", ("n1",))


# --- interfaces of a guest that runs ---


def with_interface():
    """It runs with what is on record."""
    world = running()
    nic = world.config.instance("web1").nics[0]
    world.guests["n1"]["i1"].nics = {nic.uuid: nic.mac}
    return world, nic


def given(world):
    return sorted(world.guests["n1"]["i1"].nics.values())


def test_interfaces_reach_a_guest_that_runs():
    world, nic = with_interface()
    assert result(world, nics=(("add", -1, {"mac": "aa:00:00:01:02:03"}),))[1:] == [["nic.1", "hotplug:done"]]
    assert given(world) == sorted([nic.mac, "aa:00:00:01:02:03"])
    assert result(world, nics=(("remove", 0, {}),)) == [["nic.0", "remove"], ["nic.0", "hotplug:done"]]
    assert given(world) == ["aa:00:00:01:02:03"]
    changed = [["nic.mac/0", "aa:00:00:01:02:04"], ["nic.0", "hotplug:done"]]
    assert result(world, nics=(("modify", 0, {"mac": "aa:00:00:01:02:04"}),)) == changed
    assert given(world) == ["aa:00:00:01:02:04"]


def test_a_new_name_changes_nothing_for_the_guest():
    world, _ = with_interface()
    assert result(world, nics=(("modify", 0, {"name": "lan"}),)) == [["nic.name/0", "lan"]]
    assert not [name for _, name in world.asked if name.startswith("instance_nic")]


@pytest.mark.parametrize("fields", NICS)
def test_interfaces_cut_off_anywhere(fields):
    def make():
        world, _ = with_interface()
        return world, modify(world, **fields)
    check_every_cut(make)


@pytest.mark.parametrize("fields", [{"hotplug": False}, {"obstacle": "without acpi it cannot"},
                                    {"obstacle": "without acpi it cannot", "hotplug_if_possible": True}])
def test_interfaces_wait_for_the_next_start(fields):
    world, nic = with_interface()
    fields = dict(fields)
    world.obstacle = fields.pop("obstacle", "")
    unit, seen, view = look(InstanceSetParamsUnit, InstanceSetParams, world, instance_name="web1",
                            nics=(("remove", 0, {}),), **fields)
    assert run(world, unit.plan(seen)) == [["nic.0", "remove"]]
    assert given(world) == [nic.mac]
    assert world.config.instance("web1").nics == ()
    assert any("takes effect at its next start" in line for line in view.lines) == bool(world.obstacle)
    assert any("WARNING" in line for line in view.lines) == (bool(world.obstacle) and not fields)


def test_a_guest_that_keeps_its_interface_is_told_of():
    world, _ = with_interface()
    world.refuse = {"instance_nic_remove": HypervisorError(detail="does not let go"),
                    "instance_nic_add": HypervisorError(detail="has it still")}
    changed = [["nic.mac/0", "aa:00:00:01:02:04"], ["nic.0", "hotplug:failed"]]
    assert result(world, nics=(("modify", 0, {"mac": "aa:00:00:01:02:04"}),)) == changed
