# SPDX-License-Identifier: BSD-2-Clause
"""verify-disks and the sizes of plain and mirrored disks."""

from dataclasses import replace

import pytest

from gantry.cmdlib.cluster_repair_disk_sizes import ClusterRepairDiskSizesUnit
from gantry.cmdlib.cluster_verify_group import ClusterVerifyGroupUnit
from gantry.cmdlib.group_verify_disks import GroupVerifyDisksUnit
from gantry.config import verify as config_verify
from gantry.constants import DiskTemplate
from gantry.objects.instance import Disk, LvmLocation
from gantry.opcodes.cluster import ClusterRepairDiskSizes, ClusterVerifyGroup
from gantry.opcodes.group import GroupVerifyDisks
from support.cluster_world import ClusterWorld
from support.cuts import run
from support.guest_world import UP, File, cluster_config, instance
from support.mirror_world import MirrorWorld, mirrored
from support.view import look, plan_of

PLAIN = Disk(uuid="d9", name="", dev_type=DiskTemplate.PLAIN, size=64, nodes=("n3",), pci=12,
             lvm=LvmLocation(vg="xenvg", lv="p.disk0"))


class Cluster(ClusterWorld, MirrorWorld):
    """Mirrors, and the calls about the cluster."""


@pytest.fixture
def world():
    """`web1` mirrored on node1 and node2, `db1` with a plain disk on node3; both run."""
    disks = (mirrored(), mirrored("d2", port=11002, minor=1, pci=14, index=1), PLAIN)
    web = instance(template=DiskTemplate.DRBD, disks=("d1", "d2"), admin_state=UP, disks_active=True)
    other = instance("db1", "i22", template=DiskTemplate.PLAIN, disks=("d9",), admin_state=UP, disks_active=True,
                     primary_node="n3", network_port=11009)
    made = Cluster(cluster_config(web, other, disks=disks, cluster={
        "enabled_disk_templates": ("drbd", "plain"), "volume_group_name": "xenvg"}))
    return made.run(web).run(other)


def verify(world, **fields):
    return run(world, plan_of(GroupVerifyDisksUnit, GroupVerifyDisks, world, group_name="default", **fields))


def test_all_is_well(world):
    unit, _, view = look(GroupVerifyDisksUnit, GroupVerifyDisks, world, group_name="default")
    assert verify(world) == [{}, [], {}]
    assert unit.locks(view).shared["node"] == {"n1", "n2", "n3"}


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_a_mirror_that_stands_alone_is_activated(world, node):
    world._drbd_disconnect(node, [world.config.disks["d2"]])
    assert verify(world) == [{}, ["web1"], {}]


def test_a_mirror_that_is_down_is_activated(world):
    world._disks_close("n2", world.config.disks_of(world.config.instance("web1")), "i1")
    assert verify(world) == [{}, ["web1"], {}]


def test_a_mirror_of_an_offline_node_is_as_well_as_it_can_be(world):
    world.fail("n2")
    world.config.replace("nodes", replace(world.config.nodes["n2"], offline=True))
    assert verify(world) == [{}, [], {}]


def test_a_volume_that_is_lost(world):
    end = world.ends["n2", "d1"]
    end.volumes = (end.volumes[0], "other")
    del world.files["n3:xenvg/p.disk0"]
    assert verify(world) == [{}, [], {"web1": [["node2", "xenvg/d1.disk0_meta"]], "db1": [["node3", "xenvg/p.disk0"]]}]


def test_a_node_that_does_not_answer(world):
    world.fail("n2")
    bad, inactive, missing = verify(world)
    assert bad.keys() == {"node2"}
    assert inactive == ["web1"], "the primary stands alone"
    assert missing == {"web1": [["node2", f"xenvg/{name}"] for name in (
        "d1.disk0_data", "d1.disk0_meta", "d2.disk1_data", "d2.disk1_meta")]}


def test_since_when_a_mirror_is_not_whole_is_remembered_until_it_is(world, monkeypatch):
    monkeypatch.setattr("gantry.utils.clock.epoch", lambda: 500.0)
    world._drbd_disconnect("n2", [world.config.disks["d2"]])
    verify(world)
    assert [world.config.disks[uuid].degraded_since for uuid in ("d1", "d2")] == [None, 500.0]
    monkeypatch.setattr("gantry.utils.clock.epoch", lambda: 900.0)
    verify(world)
    assert world.config.disks["d2"].degraded_since == 500.0
    world._drbd_connect("n2", [world.config.disks["d2"]], "i1", dual_primary=False)
    world._drbd_wait_synced("n1", [world.config.disks["d2"]])
    verify(world)
    assert world.config.disks["d2"].degraded_since is None


# --- cluster verify ---


def problems(world):
    """(verdict, the problems found)."""
    _, good, view = look(ClusterVerifyGroupUnit, ClusterVerifyGroup, world, group_name="default", error_codes=True)
    return good, [line.removeprefix("  - ") for line in view.lines if line.startswith("  - ")
                  and "NOTICE" not in line]


def test_verify_finds_nothing_wrong_with_a_pair(world):
    assert problems(world) == (True, [])


@pytest.mark.parametrize(("gen", "net", "good", "words"), [
    (0, "single", True, ["WARNING:EINSTANCEFAULTYDISK:instance:web1:disk/1 on node1 is degraded; local disk state is "
                         "'sync'", "WARNING:EINSTANCEFAULTYDISK:instance:web1:disk/1 on node2 is degraded; local disk "
                         "state is 'sync'"]),
    (1, None, False, ["WARNING:EINSTANCEFAULTYDISK:instance:web1:disk/1 on node1 is degraded; local disk state is "
                      "'ok': the peer is not connected", "ERROR:EINSTANCEFAULTYDISK:instance:web1:disk/1 on node2 is "
                      "degraded; local disk state is 'ok': the peer is not connected"])])
def test_verify_names_mirrors_that_are_not_whole(world, gen, net, good, words):
    world.ends["n2", "d2"].gen, world.ends["n2", "d2"].net = gen, net
    assert problems(world) == (good, words)


def test_verify_names_what_is_down_or_lost(world):
    world._disks_close("n2", [world.config.disks["d1"]], "i1")
    end = world.ends["n2", "d2"]
    end.volumes = (end.volumes[0], "stray")
    good, found = problems(world)
    assert not good
    assert "ERROR:EINSTANCEFAULTYDISK:instance:web1:disk/0 on node2 is not active" in found
    assert "ERROR:EINSTANCEMISSINGDISK:instance:web1:disk xenvg/d2.disk1_meta is missing on node2" in found
    assert "WARNING:ENODEORPHANLV:node:node2:volume xenvg/stray is unknown" in found


def test_reserved_volumes_are_no_orphans(world):
    for place in ("root", "swap0", "mine"):
        world.files[f"n1:xenvg/{place}"] = File(disk="", size=1)
    world.config.replace("cluster", replace(world.config.cluster, reserved_lvs=("xenvg/root", "xenvg/swap.*")))
    assert problems(world) == (True, ["WARNING:ENODEORPHANLV:node:node1:volume xenvg/mine is unknown"])


def test_a_secondary_that_is_offline_is_named(world):
    world.fail("n2")
    world.config.replace("nodes", replace(world.config.nodes["n2"], offline=True, master_candidate=False))
    good, found = problems(world)
    assert not good
    assert "ERROR:EINSTANCEBADNODE:instance:web1:instance has offline secondary node(s) node2" in found
    assert any("WARNING:EINSTANCEFAULTYDISK:instance:web1:disk/0 on node1 is degraded" in line for line in found)


def test_exclusive_storage_suits_no_mirror(world):
    world.config.replace("nodegroups", replace(world.config.groups["g1"], ndparams={"exclusive_storage": True}))
    found = "\n".join(problems(world)[1])
    assert "EINSTANCEUNSUITABLENODE:instance:web1" in found
    assert "EINSTANCEMISSINGCFGPARAMETER:instance:db1:number of spindles not configured for disk/0" in found


def test_physical_volumes_of_exclusive_storage_are_of_one_size(world):
    world.config.replace("nodegroups", replace(world.config.groups["g1"], ndparams={"exclusive_storage": True}))

    def sizes(node, kind, name):
        size = {"n1": 1000, "n2": 1005, "n3": world.third}[node]
        return [{"name": "/dev/sdb", "size": size, "used": 0, "free": size, "allocatable": True}]
    world._storage_list, world.third = sizes, 1000
    assert "EGROUPDIFFERENTPVSIZE" not in str(problems(world))
    world.third = 2000
    assert ("ERROR:EGROUPDIFFERENTPVSIZE:group:default:PV sizes differ too much in the group; smallest (1000 MB) is on "
            "node1, biggest (2000 MB) is on node3") in problems(world)[1]


# --- the configuration ---


def config_texts(world):
    return [found.text for found in config_verify.verify(world.config)]


def test_numbers_and_places_are_unique(world):
    assert config_texts(world) == []
    other = mirrored("d2", port=11001, minor=0, pci=14, index=1)
    ends = (replace(other.drbd.ends[0], data=LvmLocation(vg="xenvg", lv="d1.disk0_data")), other.drbd.ends[1])
    world.config.replace("disks", replace(other, drbd=replace(other.drbd, ends=ends)))
    found = config_texts(world)
    assert "network port 11001 is used more than once: web1/disk0, web1/disk1" in found
    assert "storage DRBD minor 0 on node2 is used more than once: web1/disk0, web1/disk1" in found
    assert "storage xenvg/d1.disk0_data on node1 is used more than once: web1/disk0, web1/disk1" in found


def test_a_mirror_is_between_two_nodes_at_their_addresses(world):
    disk = world.config.disks["d1"]
    one = replace(disk.drbd.ends[0], address="203.0.113.9")
    world.config.replace("disks", replace(disk, nodes=("n1",), drbd=replace(disk.drbd, ends=(one,))))
    found = config_texts(world)
    assert "the mirrored disk web1/disk0 is not between two nodes" in found
    assert any("uses the address 203.0.113.9 on node1, which is not" in text for text in found)
    world.config.replace("instances", replace(world.config.instances["i1"], primary_node="n3"))
    assert any("web1/disk1 has no end on the primary node node3" in text for text in config_texts(world))


# --- sizes ---


def repair(world):
    return run(world, plan_of(ClusterRepairDiskSizesUnit, ClusterRepairDiskSizes, world))


def test_sizes_of_both_ends(world):
    assert repair(world) == []
    for node in ("n1", "n2"):
        world.ends[node, "d1"].size = 300
    world.files["n3:xenvg/p.disk0"].size = 70
    assert repair(world) == [["db1", 0, "size", 70], ["web1", 0, "size", 300]]


def test_ends_that_differ_are_left_alone(world):
    world.ends["n2", "d1"].size = 300
    unit, seen, view = look(ClusterRepairDiskSizesUnit, ClusterRepairDiskSizes, world)
    assert unit.plan(seen).steps == ()
    assert any("disk/0 of instance web1 has 256 MiB on node node1 and 300 MiB on node node2" in line
               for line in view.lines)
