# SPDX-License-Identifier: BSD-2-Clause
"""Messages to allocators: readable by ours, true to the configuration."""

from dataclasses import replace

import pytest

from gantry.constants import DiskTemplate
from gantry.iallocator import request
from gantry.objects.node import NodeInfo, StorageUnit
from hbal.load import iallocator as reader
from support.cluster_world import config
from support.guest_world import DOWN, UP, instance

BE = {"maxmem": 512, "vcpus": 2, "spindle_use": 1}
WANTED = request.Wanted(name="new", template=DiskTemplate.SHAREDFILE, beparams=BE, hypervisor="kvm", os="tiny",
                        disks=({"size": 1024}, {"size": 512, "mode": "ro"}))


def info(free=3000, units=()):
    return NodeInfo(boot_id="b", memory_total=4096, memory_free=free, memory_node=100, cpu_total=8, cpu_sockets=1,
                    cpu_nodes=1, storage=units)


def cluster(*instances):
    return config(*instances)


def test_a_message_is_read_as_it_was_meant():
    web = instance(disks=(), admin_state=UP)
    made = cluster(web)
    live = request.Live(nodes={"n1": info(), "n2": info()}, guests={web.uuid: 100})
    message = request.message(made, live, request.allocate(WANTED))
    fields = reader.parse(message)
    data = reader.cluster(fields)
    assert [one.name for one in data.instances] == [web.name]
    assert [node.offline for node in data.nodes] == [False, False, True], "node3 did not answer"
    used = message["instances"][web.name]["memory"] - 100
    assert message["nodes"]["node1"]["free_memory"] == 3000 - used, "what the guest may still take is taken"
    wanted = reader.request(fields, data)
    assert isinstance(wanted, reader.Allocate)
    assert (wanted.instance.memory, wanted.instance.disk, wanted.required_nodes) == (512, 1536, 1)


def test_stopped_guests_promise_nothing():
    made = cluster(instance(disks=(), admin_state=DOWN))
    message = request.message(made, request.Live(nodes={"n1": info()}), request.allocate(WANTED))
    assert message["nodes"]["node1"]["free_memory"] == 3000


def test_space_is_that_of_the_first_template_with_room_on_nodes():
    made = cluster()
    unit = request.storage_unit(made.cluster)
    assert unit is not None
    units = (StorageUnit(kind=unit[0], name=unit[1], total=900, free=300),)
    message = request.message(made, request.Live(nodes={"n1": info(units=units)}), request.allocate(WANTED))
    assert (message["nodes"]["node1"]["total_disk"], message["nodes"]["node1"]["free_disk"]) == (900, 300)
    assert request.storage_unit(replace(made.cluster, enabled_disk_templates=("diskless",))) is None


@pytest.mark.parametrize(("template", "total", "nodes"), [
    (DiskTemplate.DRBD, 1536 + 256, 2), (DiskTemplate.PLAIN, 1536, 1), (DiskTemplate.DISKLESS, 0, 1)])
def test_templates_decide_space_and_nodes(template, total, nodes):
    asked = request.allocate(replace(WANTED, template=template))
    assert (asked["disk_space_total"], asked["required_nodes"]) == (total, nodes)


def test_a_relocation_leaves_the_primary_of_shared_disks():
    web = instance(disks=(), admin_state=UP)
    assert request.relocate(cluster(web), web)["relocate_from"] == ["node1"]


def test_answers_that_are_not_carried_out_yet_count():
    live = request.Live(nodes={"n1": info(), "n2": info(), "n3": info()})
    made, asked = cluster(), request.allocate(WANTED)
    promised = request.promise(request.allocate(replace(WANTED, name="first")), ["node2"])
    message = request.message(made, live, asked, [promised])
    assert message["instances"]["first"]["nodes"] == ["node2"]
    assert message["nodes"]["node2"]["free_memory"] == 3000 - 512
    assert len(reader.cluster(reader.parse(message)).instances) == 1
    recorded = cluster(instance("first", disks=(), admin_state=UP))
    assert request.message(recorded, live, asked, [promised]) == request.message(recorded, live, asked)


def test_moves_that_are_not_carried_out_yet_count():
    live = request.Live(nodes={"n1": info(), "n2": info(), "n3": info()})
    web = instance(disks=(), admin_state=UP)
    made = cluster(web)
    moved = request.promise(request.relocate(made, web), ["node3"])
    message = request.message(made, live, request.allocate(WANTED), [moved])
    assert message["instances"][web.name]["nodes"] == ["node3"]
    assert message["nodes"]["node3"]["free_memory"] == 3000 - message["instances"][web.name]["memory"]
    there = cluster(replace(web, primary_node="n3"))
    assert request.message(there, live, request.allocate(WANTED), [moved])["instances"][web.name]["nodes"] == ["node3"]
