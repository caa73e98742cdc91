# SPDX-License-Identifier: BSD-2-Clause
"""gnt-node volumes, list-storage, modify-storage, repair-storage."""

import pytest

from gantry.cmdlib.node_modify_storage import NodeModifyStorageUnit
from gantry.cmdlib.node_query_storage import NodeQueryStorageUnit
from gantry.cmdlib.node_queryvols import NodeQueryvolsUnit
from gantry.cmdlib.repair_node_storage import RepairNodeStorageUnit
from gantry.constants import DiskTemplate
from gantry.errors import WrongInput, WrongState
from gantry.opcodes.node import NodeModifyStorage, NodeQueryStorage, NodeQueryvols, RepairNodeStorage
from support.cuts import check_every_cut, run
from support.guest_world import UP, File, cluster_config, instance
from support.mirror_world import MirrorWorld, mirrored
from support.view import look, plan_of


class StorageWorld(MirrorWorld):
    """`done`: what was changed or repaired."""

    def __init__(self, config):
        super().__init__(config)
        self.done = []

    def _storage_list(self, node, kind, name):
        names = [name] if name.startswith("/") else ["/dev/sdb", "/dev/sdc"] if kind == "lvm-pv" else ["xenvg", "fast"]
        [unit] = super()._storage_list(node, kind, name)
        return [unit | {"name": found} for found in names if name in ("", found)]

    def _storage_modify(self, node, kind, name, changes):
        self.done.append((node, kind, name, changes))

    def _storage_repair(self, node, vg):
        self.done.append((node, vg))


@pytest.fixture
def world():
    """`web1` mirrored on node1 and node2."""
    web = instance(template=DiskTemplate.DRBD, disks=("d1",), admin_state=UP, disks_active=True)
    made = StorageWorld(cluster_config(web, disks=(mirrored(),), cluster={
        "enabled_disk_templates": ("drbd", "plain", "file"), "volume_group_name": "xenvg"}))
    return made.run(web)


def test_volumes_and_whose_they_are(world):
    world.files["n1:xenvg/root"] = File(disk="", size=10)
    asked = ["node", "phys", "vg", "name", "size", "instance"]
    rows = run(world, plan_of(NodeQueryvolsUnit, NodeQueryvols, world, output_fields=asked, nodes=["node1"]))
    assert rows == [["node1", "sda2", "xenvg", "d1.disk0_data", 256, "web1"],
                    ["node1", "sda2", "xenvg", "d1.disk0_meta", 256, "web1"],
                    ["node1", "sda2", "xenvg", "root", 10, "-"]]
    world.down = {"n2"}
    unit, seen, view = look(NodeQueryvolsUnit, NodeQueryvols, world, output_fields=["node", "name"])
    assert unit.plan(seen).result == [["node1", "d1.disk0_data"], ["node1", "d1.disk0_meta"], ["node1", "root"]]
    assert "Can't compute volume data on node node2" in view.lines[0]


def test_units_of_each_kind(world):
    def rows(**fields):
        return run(world, plan_of(NodeQueryStorageUnit, NodeQueryStorage, world, nodes=["node1"],
                                  output_fields=["type", "name", "free"], **fields))
    groups = [["lvm-vg", "xenvg", 50000], ["lvm-vg", "fast", 50000]]
    assert rows() == [*groups, ["file", "/srv/file", 50000]]
    assert rows(storage_type="lvm-vg") == groups, "disks can be put into any of them"
    assert rows(storage_type="lvm-pv") == [["lvm-pv", "/dev/sdb", 50000], ["lvm-pv", "/dev/sdc", 50000]]
    assert rows(name="xenvg") == [["lvm-vg", "xenvg", 50000]]
    with pytest.raises(WrongInput, match="type rados cannot be listed"):
        rows(storage_type="rados")


def modify(world, **fields):
    return plan_of(NodeModifyStorageUnit, NodeModifyStorage, world, **({
        "node_name": "node2", "storage_type": "lvm-pv", "name": "/dev/sdb",
        "changes": {"allocatable": False}} | fields))


def test_a_physical_volume_is_closed_to_new_ones(world):
    run(world, modify(world))
    assert world.done == [("n2", "lvm-pv", "/dev/sdb", {"allocatable": False})]


@pytest.mark.parametrize(("fields", "words"), [
    ({"storage_type": "lvm-vg"}, "type 'lvm-vg' can not be modified"),
    ({"changes": {"size": 1}}, "fields can not be modified.*size"), ({"changes": {}}, "No changes"),
    ({"name": None}, "name of the storage unit is missing")])
def test_what_cannot_be_modified(world, fields, words):
    with pytest.raises(WrongInput, match=words):
        modify(world, **fields)


def repair(world, **fields):
    return plan_of(RepairNodeStorageUnit, RepairNodeStorage, world, **({
        "node_name": "node1", "storage_type": "lvm-vg", "name": "xenvg"} | fields))


def test_a_volume_group_is_repaired_where_the_other_copies_are_whole(world):
    run(world, repair(world))
    assert world.done == [("n1", "xenvg")]
    check_every_cut(lambda: (world, repair(world)))


def test_the_only_whole_copy_is_not_touched(world):
    world.ends["n2", "d1"].gen = 0
    with pytest.raises(WrongState, match="disk/0 of instance web1 is not whole on node node2"):
        repair(world)
    assert repair(world, ignore_consistency=True)
    assert repair(world, node_name="node2"), "node1 has all of it"
    with pytest.raises(WrongInput, match="'file' can not be repaired"):
        repair(world, storage_type="file")
