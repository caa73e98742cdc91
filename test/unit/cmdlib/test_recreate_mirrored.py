# SPDX-License-Identifier: BSD-2-Clause
"""recreate-disks of plain and mirrored disks."""

import pytest

from gantry.cmdlib import mirror
from gantry.cmdlib.instance_recreate_disks import InstanceRecreateDisksUnit
from gantry.errors import NodeUnreachable, WrongInput, WrongState
from gantry.iallocator import run as allocator
from gantry.opcodes.instance import InstanceRecreateDisks
from gantry.utils import clock
from support.cuts import check_every_cut, run
from support.disk_world import disk_world, mirrored, plain
from support.guest_world import File
from support.view import plan_of

BOTH = (mirrored(), mirrored("d2", index=1, pci=14))


@pytest.fixture(autouse=True)
def fixed_secrets(monkeypatch):
    """So that two runs are alike."""
    monkeypatch.setattr(mirror, "new_secret", lambda: "fresh")
    monkeypatch.setattr(clock, "epoch", lambda: 1000.0)


def recreate(world, **fields):
    return plan_of(InstanceRecreateDisksUnit, InstanceRecreateDisks, world, instance_name="web1", **fields)


def lost(*disks, only=("d1", "d2"), **fields):
    """The instance with these disks, whose volumes are gone, and nothing is remembered of what was on them."""
    world = disk_world(*disks, active=False, **fields)
    world.files = {path: file for path, file in world.files.items() if file.disk not in only}
    for uuid in only:
        world.newest.pop(uuid, None)
    return world


def clean(world):
    world.settle()
    assert world.orphans() == (set(), set())


@pytest.fixture(autouse=True)
def empty_disks(monkeypatch):
    """A resync of what was never written."""
    from support.disk_world import DiskWorld
    inner = DiskWorld.settle

    def settle(world):
        for device in world.devices.values():
            world.newest.setdefault(device.disk, "")
        inner(world)
    monkeypatch.setattr(DiskWorld, "settle", settle)


def test_both_ends():
    world = lost(*BOTH)
    run(world, recreate(world))
    assert world.config.disks["d1"].drbd == BOTH[0].drbd
    assert world.config.disks["d1"].degraded_since == 1000.0
    assert world.devices == {}
    clean(world)


def test_one_disk_with_another_size():
    world = lost(*BOTH, only=("d2",))
    run(world, recreate(world, disks=((1, {"size": 512}),)))
    assert world.config.disks["d2"].size == 512
    clean(world)


def test_on_other_nodes():
    world = lost(*BOTH, nodes={"n1": {"offline": True}})
    run(world, recreate(world, nodes=("node2", "node3")))
    one = world.config.instance("web1")
    assert (one.primary_node, one.owner_epoch) == ("n2", 2)
    assert world.config.secondaries_of(one) == ("n3",)
    disk = world.config.disks["d1"]
    assert disk.drbd.end("n2") == BOTH[0].drbd.end("n2")
    assert disk.drbd.secret == "fresh"
    clean(world)


def test_where_an_allocator_wants_them(monkeypatch):
    """hail, in this process."""
    from hbal.alloc import answer

    async def ask(name, params, message):
        return answer(message, options=["--static-kvm-node-memory=0"])
    monkeypatch.setattr(allocator, "ask", ask)
    world = lost(*BOTH, nodes={"n1": {"offline": True}})
    run(world, recreate(world, iallocator="hail"))
    assert set(world.config.disks["d1"].nodes) == {"n2", "n3"}
    clean(world)
    with pytest.raises(WrongInput, match="both"):
        recreate(lost(*BOTH), iallocator="hail", nodes=("node2", "node3"))


def test_plain_on_another_node():
    world = lost(plain(), nodes={"n1": {"offline": True}})
    run(world, recreate(world, nodes=("node2",)))
    assert world.config.disks["d1"].nodes == ("n2",)
    clean(world)


def test_away_from_a_node_that_only_lost_its_disks():
    """A broken volume group; the node itself is there."""
    world = lost(*BOTH)
    world.files["n1:vg0/d1-n1.disk0_meta"] = File(disk="d1", size=128)
    run(world, recreate(world, nodes=("node2", "node3")))
    assert world.config.disks["d1"].nodes == ("n2", "n3")
    clean(world)


@pytest.mark.parametrize(("fields", "offline"), [
    ({}, False), ({"nodes": ("node2", "node3")}, True), ({"nodes": ("node2", "node3")}, False)])
def test_cut_off_anywhere(fields, offline):
    def make():
        world = lost(*BOTH, nodes={"n1": {"offline": True}} if offline else None)
        return world, recreate(world, **fields)
    check_every_cut(make)


def test_what_is_left_of_a_disk_is_not_overwritten():
    """The metadata of both ends are lost, and the data of one: the other's may be all that there is."""
    world = disk_world(*BOTH, active=False)
    for uuid, node in (("d1", "n1"), ("d1", "n2")):
        world.files.pop(f"{node}:vg0/{world.config.disks[uuid].drbd.end(node).meta.lv}")
    world.files.pop(f"n1:vg0/{world.config.disks['d1'].drbd.end('n1').data.lv}")
    with pytest.raises(WrongState, match=r"disk/0 .* damaged, but .* on node node2 in vg0/d1-n2.disk0_data"):
        recreate(world)
    world.files.pop(f"n2:vg0/{world.config.disks['d1'].drbd.end('n2').data.lv}")
    world.newest.pop("d1")
    run(world, recreate(world))
    clean(world)


def test_disks_that_are_there_do_not_change_their_primary_node():
    world = lost(*BOTH, only=("d2",), nodes={"n1": {"offline": True}})
    with pytest.raises(WrongState, match=r"disk/0 .* exists on node node2, .* all of them together"):
        recreate(world, nodes=("node2", "node3"))


def test_refusals():
    with pytest.raises(WrongState, match=r"repaired with replace-disks"):
        recreate(disk_world(*BOTH, active=False))
    with pytest.raises(WrongInput, match="two nodes can be given"):
        recreate(lost(*BOTH), nodes=("node3",))
    with pytest.raises(WrongInput, match="cannot be the primary"):
        recreate(lost(*BOTH), nodes=("node3", "node3"))
    world = disk_world(*BOTH, active=False)
    world.files = {path: file for path, file in world.files.items() if path.startswith("n1:")}
    with pytest.raises(WrongState, match=r"disk/0 .* exists on node node1 .* replace-disks"):
        recreate(world, nodes=("node2", "node3"))
    world = lost(*BOTH)
    world.down = {"n1"}
    with pytest.raises(NodeUnreachable):
        recreate(world, nodes=("node2", "node3"))
    with pytest.raises(WrongState, match="exists on node"):
        recreate(disk_world(*BOTH, active=False), disks=((0, {}),))
