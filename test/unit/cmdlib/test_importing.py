# SPDX-License-Identifier: BSD-2-Clause
"""OP_INSTANCE_CREATE from an export: what the export says, what the command says, and nothing left when it fails."""

import asyncio

import pytest

from gantry.cmdlib import export_ini, mirror
from gantry.cmdlib.backup_export import BackupExportUnit
from gantry.cmdlib.instance_create import InstanceCreateUnit
from gantry.config.config import Config
from gantry.errors import ExecError, NotFound, WrongInput, WrongState
from gantry.objects.instance import Nic
from gantry.opcodes.backup import BackupExport
from gantry.opcodes.instance import InstanceCreate
from support.cuts import check_every_cut, fails_and_undoes, run
from support.disk_world import plain
from support.export_world import ExportWorld, export_world
from support.view import FakeView, look, plan_of

HERE = {"instance_name": "web2", "mode": "import", "pnode": "node1", "src_path": "web1", "start": False, "disks": (),
        "nics": ()}


def exported(*disks, **fields):
    """A world with an export of web1 on node3, which was made of it as these fields say."""
    fields = {"nics": (Nic(uuid="c0", mac="aa:00:00:12:34:56", name="lan", pci=13),), "tags": frozenset({"a", "b"}),
              "beparams": {"maxmem": 512, "minmem": 256}, "osparams": {"Locale": "C"},
              "osparams_private": {"key": "x%y"}} | fields
    world = export_world(*(disks or (plain(), plain("d2", index=1, pci=14))), active=False, **fields)
    run(world, plan_of(BackupExportUnit, BackupExport, world, instance_name="web1", target_node="node3"))
    return world


def plan(world, **fields):
    return plan_of(InstanceCreateUnit, InstanceCreate, world, **(HERE | fields))


def imported(world=None, **fields):
    """The instance, once it is there."""
    world = world or exported()
    run(world, plan(world, **fields))
    return world.config.instance(fields.get("instance_name", "web2"))


def test_all_of_it_comes_from_the_export():
    world = exported()
    found = imported(world)
    old = world.config.instance("web1")
    assert (found.os, found.hypervisor, found.disk_template, found.tags) == (old.os, old.hypervisor, "plain", old.tags)
    assert (found.beparams["maxmem"], found.beparams["minmem"]) == (512, 256)
    assert (found.osparams, found.osparams_private) == ({"Locale": "C"}, {"key": "x%y"})
    assert [item.size for item in world.config.disks_of(found)] == [256, 256]
    assert {world.files[world._place("n1", item)].content for item in world.config.disks_of(found)} == {"installed"}
    assert (found.admin_state, world.running(found.uuid)) == ("down", [])
    assert not any(file.open_on for file in world.files.values())
    assert found.nics[0].name == "lan"
    assert found.nics[0].mac != old.nics[0].mac, "another instance has another address"


@pytest.mark.parametrize("template", ["plain", "drbd", "sharedfile"])
def test_cut_off_anywhere(template, monkeypatch):
    monkeypatch.setattr(mirror, "new_secret", lambda: "secret")

    def make():
        world = exported()
        return world, plan(world, disk_template=template, start=True,
                           **({"snode": "node2"} if template == "drbd" else {}))
    check_every_cut(make)


@pytest.mark.parametrize("call", ["import_send", "import_receive", "disks_open"])
def test_what_fails_leaves_nothing(call):
    world = exported()
    before, made = world.snapshot(), plan(world)
    world.refuse[call] = ExecError(detail="no")
    assert str(fails_and_undoes(world, made)) == "no"
    assert world.snapshot() == before


def test_what_the_command_says_wins():
    found = imported(beparams={"memory": 128}, os_type="tiny+x", tags=("c",), osparams={"Locale": "de"},
                     disks=({"size": 300}, {"size": 256}, {"size": 10}), nics=({}, {"ip": "192.0.2.77"}))
    assert (found.beparams["maxmem"], found.beparams["minmem"]) == (128, 128)
    assert (found.os, found.tags, found.osparams) == ("tiny+x", {"c"}, {"Locale": "de"})
    assert (len(found.disks), [nic.ip for nic in found.nics]) == (3, [None, "192.0.2.77"])


def test_values_like_the_defaults():
    kept, dropped = (imported(exported(hypervisor="kvm"), **more) for more in ({}, {"identify_defaults": True}))
    assert kept.hvparams
    assert "mode" in kept.nics[0].nicparams
    assert (dropped.hvparams, dropped.nics[0].nicparams) == ({}, {})
    assert dropped.beparams == {"maxmem": 512, "minmem": 256}


@pytest.mark.parametrize("nics", [(), ({"mac": "auto"},)])
def test_an_instance_that_keeps_its_name_keeps_its_address(nics):
    world = exported()
    old = world.config.instance("web1")
    fresh = ExportWorld(Config({**world.config.tables, "instances": {}, "disks": {}}))
    fresh.exports = world.exports
    found = imported(fresh, instance_name="web1", nics=nics, src_path=None)
    assert found.nics[0].mac == old.nics[0].mac


def test_it_can_do_without_the_network_interfaces_of_the_export():
    assert imported(no_nics=True).nics == ()
    with pytest.raises(WrongInput, match="no_nics"):
        imported(no_nics=True, nics=({},))


def test_where_the_export_is():
    world = exported()
    world.exports["n2", "web1"] = world.exports["n3", "web1"]
    with pytest.raises(WrongInput, match="Several nodes have an export of web1: node2, node3"):
        plan(world)
    assert imported(world, src_node="node2").name == "web2"
    with pytest.raises(NotFound, match="Export 'other'"):
        plan(world, src_path="other")
    with pytest.raises(WrongInput, match="requires a source node"):
        plan(world, src_path="/srv/backup/web1")
    assert imported(world, instance_name="web3", src_node="node3", src_path="/srv/backup/web1").name == "web3"


@pytest.mark.parametrize(("fields", "why"), [
    ({"disks": ({"size": 256},)}, "Not enough disks in target configuration \\(expected 2"),
    ({"disks": ({"size": 256}, {"size": 255})}, "disk/1 of 255 MiB is too small"),
    ({"disks": ({"adopt": "x"},)}, "cannot be adopted"), ({"no_install": True}, "no_install"),
    ({"compress": "rar"}, "'rar'"), ({"disk_template": "diskless"}, "diskless")])
def test_wrong_input(fields, why):
    with pytest.raises(WrongInput, match=why):
        plan(exported(), **fields)


def test_what_is_no_export():
    world = exported()
    good = world.exports["n3", "web1"]["config"]
    for text, why in (("", "Wrong export version None"), ("[export]\nversion = 1\n", "Wrong export version 1"),
                      ("no ini", "cannot be understood"), (good.replace("disk1_size = 256", ""), "disk1_size"),
                      (good.replace("nic_count = 1", "nic_count = 1000000000"), "nic_count is 1000000000"),
                      (good.replace("disk_template = plain", "disk_template = lvm"), "name another one with -t")):
        world.exports["n3", "web1"]["config"] = text
        with pytest.raises(WrongInput, match=why):
            plan(world)


def test_one_that_is_being_written():
    world = exported()
    unit = InstanceCreateUnit(InstanceCreate(**HERE))
    view = FakeView(world)
    view.reservations.of_others["export-written"] = {"web1"}
    with pytest.raises(WrongState, match="being written or removed"):
        asyncio.run(unit.check(view))


def test_a_network_that_is_not_known_here():
    world = exported()
    config = world.exports["n3", "web1"]["config"]
    world.exports["n3", "web1"]["config"] = config.replace("nic0_network = None", "nic0_network = w9")
    with pytest.raises(WrongInput, match="NIC 0 of the export is in the network w9"):
        plan(world)
    assert imported(world, nics=({"mode": "bridged"},)).nics[0].network is None


def test_hooks_and_reservations():
    unit, found, view = look(InstanceCreateUnit, InstanceCreate, exported(), **HERE)
    env = found.hooks.env
    assert [env[name] for name in ("ADD_MODE", "SRC_NODE", "SRC_PATH", "SRC_IMAGES")] == [
        "import", "node3", "web1", "d1 d2"]
    assert ("export-read", "web1/web2") in unit.plan(found).reserves
    assert unit.locks(view).exclusive == {"instance": {"web2"}}
    assert unit.locks(view).shared["node"] == {"n1"}


def test_what_another_implementation_wrote():
    """Fewer sections, other parameters, other capitals."""
    said = export_ini.read("[export]\nversion = 0\ntimestamp = 1\nos = debian+x\n"
                           "[instance]\nname = old.example.org\nmemory = 512\nvcpus = 2\ndisk_template = plain\n"
                           "disk_count = 1\ndisk0_size = 1024\ndisk0_dump = 2f.disk0\ndisk0_ivname = disk/0\n"
                           "nic_count = 1\nnic0_mac = aa:00:00:00:00:01\nnic0_ip = None\n", "it")
    assert (said.beparams, said.os, said.hypervisor) == ({"memory": "512", "vcpus": "2"}, "debian+x", "")
    assert said.disks == ({"size": 1024, "dump": "2f.disk0"},)
    assert said.nics == ({"mac": "aa:00:00:00:00:01"},)
