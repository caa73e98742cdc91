# SPDX-License-Identifier: BSD-2-Clause
"""verify-disks and the sizes of plain and mirrored disks."""

from dataclasses import replace

import pytest

from gantry.cmdlib.cluster_repair_disk_sizes import ClusterRepairDiskSizesUnit
from gantry.cmdlib.group_verify_disks import GroupVerifyDisksUnit
from gantry.constants import DiskTemplate
from gantry.objects.instance import Disk, LvmLocation
from gantry.opcodes.cluster import ClusterRepairDiskSizes
from gantry.opcodes.group import GroupVerifyDisks
from support.cuts import run
from support.guest_world import UP, cluster_config, instance
from support.mirror_world import MirrorWorld, mirrored
from support.view import look, plan_of

PLAIN = Disk(uuid="d9", name="", dev_type=DiskTemplate.PLAIN, size=64, nodes=("n3",), pci=12,
             lvm=LvmLocation(vg="xenvg", lv="p.disk0"))


@pytest.fixture
def world():
    """`web1` mirrored on node1 and node2, `db1` with a plain disk on node3; both run."""
    disks = (mirrored(), mirrored("d2", port=11002, minor=1, pci=14, index=1), PLAIN)
    web = instance(template=DiskTemplate.DRBD, disks=("d1", "d2"), admin_state=UP, disks_active=True)
    other = instance("db1", "i2", template=DiskTemplate.PLAIN, disks=("d9",), admin_state=UP, disks_active=True,
                     primary_node="n3", network_port=11009)
    made = MirrorWorld(cluster_config(web, other, disks=disks, cluster={
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
