# SPDX-License-Identifier: BSD-2-Clause
"""What the scripts around an operation on an instance are told, and where they run."""

import pytest

from gantry.cmdlib import hookenv
from gantry.cmdlib.instance_failover import InstanceFailoverUnit
from gantry.cmdlib.instance_grow_disk import InstanceGrowDiskUnit
from gantry.cmdlib.instance_remove import InstanceRemoveUnit
from gantry.cmdlib.instance_rename import InstanceRenameUnit
from gantry.cmdlib.instance_set_params import InstanceSetParamsUnit
from gantry.constants import DiskTemplate
from gantry.opcodes.instance import (
    InstanceFailover,
    InstanceGrowDisk,
    InstanceRemove,
    InstanceRename,
    InstanceSetParams,
)
from support.cuts import run
from support.disk_world import disk_world, mirrored, plain
from support.view import look


def around(world, unit, op, **fields):
    """(variables of the pre scripts, those of the post scripts, the hooks) of an operation that is carried out."""
    made, seen, _ = look(unit, op, world, instance_name="web1", **fields)
    hooks = made.hooks(seen)
    before = hookenv.environment(world.config, op.OP_ID, "pre", hooks)
    run(world, made.plan(seen))
    return before, hookenv.environment(world.config, op.OP_ID, "post", hooks), hooks


def told(before, after, name):
    """The value that both kinds of scripts get, and the one of afterwards."""
    assert before.get(f"GANETI_{name}") == after.get(f"GANETI_{name}")
    return before.get(f"GANETI_{name}"), after.get(f"GANETI_POST_{name}")


def test_scripts_that_come_after_see_the_size_that_a_disk_has_then():
    before, after, _ = around(disk_world(mirrored()), InstanceGrowDiskUnit, InstanceGrowDisk, disk=0, amount=64)
    assert told(before, after, "INSTANCE_DISK0_SIZE") == ("256", "320")
    assert told(before, after, "AMOUNT") == ("64", "64")


def test_scripts_that_come_after_see_the_disks_that_are_there_then():
    world = disk_world(plain(), plain("d2", index=1, pci=14))
    world.given_up.add("d1")
    edits = (("remove", 0, {}), ("modify", 0, {"name": "data"}))
    before, after, _ = around(world, InstanceSetParamsUnit, InstanceSetParams, disks=edits)
    assert told(before, after, "INSTANCE_DISK_COUNT") == ("2", "1")
    assert told(before, after, "INSTANCE_DISK0_UUID") == ("d1", "d2")
    assert told(before, after, "INSTANCE_DISK0_NAME") == (None, "data")
    assert told(before, after, "INSTANCE_DISK1_UUID") == ("d2", None)


def test_scripts_that_come_after_see_the_nodes_as_they_are_then():
    world = disk_world(mirrored())
    before, after, _ = around(world, InstanceFailoverUnit, InstanceFailover)
    assert told(before, after, "INSTANCE_PRIMARY") == ("node1", "node2")
    assert told(before, after, "INSTANCE_SECONDARIES") == ("node2", "node1")
    assert told(before, after, "NEW_PRIMARY") == ("node2", "node2")


def test_scripts_that_come_after_see_the_new_name():
    world = disk_world(plain(), active=False, os="")
    before, after, _ = around(world, InstanceRenameUnit, InstanceRename, new_name="db1")
    assert told(before, after, "INSTANCE_NAME") == ("web1", "db1")
    assert told(before, after, "INSTANCE_NEW_NAME") == ("db1", "db1")


def test_an_instance_that_is_gone_is_told_of_as_it_was():
    world = disk_world(plain(), active=False)
    world.given_up.add("d1")
    before, after, _ = around(world, InstanceRemoveUnit, InstanceRemove)
    assert told(before, after, "INSTANCE_DISK0_SIZE") == ("256", "256")


@pytest.mark.parametrize("fields", [{"beparams": {"vcpus": 2}}, {"disk_template": "plain"}])
def test_a_change_is_told_to_all_nodes_of_the_instance(fields):
    world = disk_world(mirrored(), active=False, cluster={
        "enabled_disk_templates": (DiskTemplate.DRBD, DiskTemplate.PLAIN)})
    *_, hooks = around(world, InstanceSetParamsUnit, InstanceSetParams, **fields)
    assert hooks.pre_nodes == hooks.post_nodes == ("n1", "n2")


def test_a_new_mirror_is_told_to_its_new_node():
    world = disk_world(plain(), active=False, cluster={
        "enabled_disk_templates": (DiskTemplate.DRBD, DiskTemplate.PLAIN)})
    *_, hooks = around(world, InstanceSetParamsUnit, InstanceSetParams, disk_template="drbd", remote_node="node3")
    assert hooks.pre_nodes == ("n1", "n3")
