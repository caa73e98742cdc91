# SPDX-License-Identifier: BSD-2-Clause
"""The node with the most memory left."""

from dataclasses import replace

import pytest

from gantry.errors import NoResources
from gantry.iallocator import roomiest
from gantry.objects.node import NodeInfo
from support.cluster_world import config, new_node
from support.guest_world import DOWN, UP, instance

WEB = instance(disks=(), admin_state=UP)


def infos(**free):
    return {uuid: NodeInfo(boot_id="b", memory_total=8192, memory_free=megabytes, memory_node=1, cpu_total=8,
                           cpu_sockets=1, cpu_nodes=1) for uuid, megabytes in free.items()}


def choose(made, given, **free):
    return roomiest.choose(made, given, infos(**free)).uuid


def test_the_most_memory_wins_then_the_name():
    made = config(WEB)
    assert choose(made, WEB, n2=1000, n3=2000) == "n3"
    assert choose(made, WEB, n2=1000, n3=1000) == "n2"
    assert choose(made, WEB, n1=9000, n2=1000) == "n2", "never where it is"


def test_what_guests_may_still_take_counts_as_taken():
    other = replace(instance("big", "i22", disks=(), admin_state=UP, beparams={"maxmem": 1500}), primary_node="n3")
    made = config(WEB, other)
    assert choose(made, WEB, n2=1000, n3=2000) == "n2"
    stopped = config(WEB, replace(other, admin_state=DOWN))
    assert choose(stopped, WEB, n2=1000, n3=2000) == "n3"


@pytest.mark.parametrize("fields", [{"offline": True, "master_candidate": False}, {"drained": True},
                                    {"vm_capable": False}])
def test_nodes_that_take_no_guests(fields):
    made = config(WEB, nodes={"n3": fields})
    assert choose(made, WEB, n2=1000, n3=2000) == "n2"
    assert roomiest.may_take(made, WEB) == ("n2",)


def test_only_nodes_of_its_group():
    made = config(WEB, more_groups=("g2",))
    new_node(made, "n9", group="g2")
    assert choose(made, WEB, n2=1000, n9=9000) == "n2"
    assert roomiest.may_take(made, WEB) == ("n2", "n3")


def test_nobody_has_room():
    made = config(WEB)
    with pytest.raises(NoResources, match=r"No other node of the group can take instance web1 \(128 MiB"):
        choose(made, WEB, n2=100, n3=127)
    assert choose(made, replace(WEB, admin_state=DOWN), n2=1, n3=0) == "n2", "one that is not to run needs none"
    with pytest.raises(NoResources):
        choose(made, WEB)
