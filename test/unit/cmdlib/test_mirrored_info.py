# SPDX-License-Identifier: BSD-2-Clause
"""What is shown of instances with plain and mirrored disks: info, fields, hooks."""

import asyncio
from dataclasses import replace

import pytest

from gantry.cli import instance_info
from gantry.cmdlib import hookenv
from gantry.cmdlib.instance_query_data import InstanceQueryDataUnit
from gantry.constants import DiskTemplate
from gantry.objects.instance import Disk, LvmLocation
from gantry.opcodes.instance import InstanceQueryData
from gantry.query import query
from gantry.query.world import World as QueryWorld
from support.guest_world import UP, WorldNodes, cluster_config, instance
from support.mirror_world import MirrorWorld, mirrored
from support.view import look

PLAIN = Disk(uuid="d9", name="", dev_type=DiskTemplate.PLAIN, size=64, nodes=("n3",), pci=12,
             lvm=LvmLocation(vg="xenvg", lv="p.disk0"))


@pytest.fixture
def world():
    """`web1` mirrored on node1 and node2, `db1` with a plain disk on node3."""
    web = instance(template=DiskTemplate.DRBD, disks=("d1",), admin_state=UP, disks_active=True)
    other = instance("db1", "i22", template=DiskTemplate.PLAIN, disks=("d9",), primary_node="n3", network_port=11009)
    made = MirrorWorld(cluster_config(web, other, disks=(mirrored(), PLAIN), cluster={
        "enabled_disk_templates": ("drbd", "plain"), "volume_group_name": "xenvg"}))
    return made.run(web)


def info(world, **fields):
    return look(InstanceQueryDataUnit, InstanceQueryData, world, **fields)[1]


def text_of(data, *, static=False):
    """The lines about the first disk, by title."""
    tree = dict(instance_info.tree(data, static=static))
    return dict(tree["Disks"][0])


def test_both_ends_of_a_pair(world):
    disk = info(world)["web1"]["disks"][0]
    assert disk["logical_id"] == ["node1", "node2", 11001, 0, 0, None]
    assert disk["drbd_info"] == {"primary_node": "node1", "primary_minor": 0, "secondary_node": "node2",
                                 "secondary_minor": 0, "port": 11001}
    assert disk["pstatus"] == disk["sstatus"] == ["/dev/drbd0", 147, 0, None, None, False, 1]
    assert [(child["dev_type"], child["size"], child["logical_id"]) for child in disk["children"]] == [
        ("plain", 256, ["xenvg", "d1.disk0_data"]), ("plain", 128, ["xenvg", "d1.disk0_meta"])]
    lines = text_of(info(world)["web1"])
    assert lines["disk/0"] == "drbd, size 256M"
    assert (lines["nodeA"], lines["nodeB"], lines["port"]) == ("node1, minor=0", "node2, minor=0", 11001)
    assert lines["on primary"] == "/dev/drbd0 (147:0) in sync, status ok"
    assert lines["on secondary"] == "/dev/drbd0 (147:0) in sync, status ok"
    assert "not yet redundant" not in lines
    assert dict(lines["child devices"][1])["child 1"] == "plain, size 128M"
    assert dict(lines["child devices"][0])["logical_id"] == "xenvg/d1.disk0_data"


def test_the_secret_is_shown_to_nobody(world):
    world.config.replace("disks", replace(mirrored(), drbd=replace(mirrored().drbd, secret="hush")))
    assert "hush" not in str(info(world))


def test_a_pair_that_is_being_copied(world):
    world.ends["n2", "d1"].gen = 0
    world.config.replace("disks", replace(world.config.disks["d1"], degraded_since=1700000000.0))
    lines = text_of(info(world)["web1"])
    assert lines["on primary"] == "/dev/drbd0 (147:0) *RECOVERING* 50.00%, ETA 5s, status *DEGRADED*"
    assert lines["not yet redundant"].startswith("134217728 bytes, since 2023-11-1")


def test_an_end_that_is_down_or_away(world):
    world._disks_close("n2", [world.config.disks["d1"]], "i1")
    lines = text_of(info(world)["web1"])
    assert lines["on primary"] == "/dev/drbd0 (147:0) in sync, status *DEGRADED*"
    assert lines["on secondary"] == "not active"
    assert "on primary" not in text_of(info(world, static=True)["web1"], static=True)


def test_a_plain_disk(world):
    disk = info(world)["db1"]["disks"][0]
    assert (disk["logical_id"], disk["drbd_info"], disk["sstatus"]) == (["xenvg", "p.disk0"], None, None)
    assert disk["pstatus"][0] == "/dev/xenvg/p.disk0"
    assert text_of(info(world)["db1"])["logical_id"] == "xenvg/p.disk0"


# --- fields ---


def fields(world, *names):
    asked = QueryWorld(config=world.config, nodes=WorldNodes(world))
    answer = asyncio.run(query.query(asked, "instance", ["name", *names], None))
    return {row[0][1]: [cell[1] if cell[0] == 0 else cell[0] for cell in row[1:]] for row in answer["data"]}


MIRROR = ("mirror.status", "mirror.unsynced", "mirror.since")
NODATA, UNAVAIL, OFFLINE = 2, 3, 4


def test_how_much_is_not_redundant_and_for_how_long(world):
    assert fields(world, *MIRROR) == {"web1": ["ok", 0, UNAVAIL], "db1": [UNAVAIL] * 3}
    world.ends["n2", "d1"].gen = 0
    world.config.replace("disks", replace(world.config.disks["d1"], degraded_since=1700000000.0))
    assert fields(world, *MIRROR)["web1"] == ["sync", 134217728, 1700000000.0]


def test_with_a_node_that_is_gone_nothing_is_redundant(world):
    world.fail("n2")
    world.config.replace("nodes", replace(world.config.nodes["n2"], offline=True))
    assert fields(world, *MIRROR)["web1"] == ["degraded", 256 << 20, UNAVAIL]


def test_a_primary_that_does_not_answer(world):
    world.down = {"n1"}
    assert fields(world, *MIRROR)["web1"] == [NODATA, NODATA, UNAVAIL]


def test_static_fields(world):
    assert fields(world, "pnode", "snodes", "disk.sizes", "disk_usage", "disk_template") == {
        "web1": ["node1", ["node2"], [256], 384, "drbd"], "db1": ["node3", [], [64], 64, "plain"]}


# --- hooks ---


def test_hooks_see_where_disks_lie(world):
    web = world.config.instance("web1")
    env = hookenv.instance_env(world.config, web, world.config.disks_of(web))
    assert {name.removeprefix("INSTANCE_DISK0_"): value for name, value in env.items() if "DISK0" in name} == {
        "UUID": "d1", "SIZE": "256", "MODE": "rw", "DEV_TYPE": "drbd", "PNODE": "node1", "SNODE": "node2",
        "PORT": "11001", "PMINOR": "0", "SMINOR": "0", "DATA_VG": "xenvg", "DATA_ID": "d1.disk0_data",
        "META_VG": "xenvg", "META_ID": "d1.disk0_meta"}
    assert env["INSTANCE_SECONDARIES"] == "node2"
